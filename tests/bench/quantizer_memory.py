"""Memory of a quantizer's training step against d: ours, and a lookup-free one with its codebook.

    python -m tests.bench.quantizer_memory --bits 8 16 18 20 32 64 --limit-gib 4

One JSON object a line. Each case runs in a process of its own that may take ``--limit-gib`` more
memory than it began with. ``peak_mib`` is the most that tensors held at once, forward and backward,
and null where the process ran out of memory.

- "bsq": the multi-scale quantizer of training/steps, whose entropy is a sum over bits.
- "lfq": the same positions with the entropy over all 2^d codes written out, as lookup-free
  quantization defines it (MAGVIT-v2, arXiv 2310.05737): softmax over distances to every code.
- "bsq step": a whole tokenizer's training step, encoder and decoder around "bsq".

The quantizers get features of ``--channels`` channels through a linear layer to d and back, so that
both ends are the same for every d.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import platform
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from infinity.config import TokenizerConfig
from infinity.schedule import schedule_for
from infinity.tokenizer.tokenizer import Tokenizer
from training.steps.quantize import INVERSE_TEMPERATURE, straight_through

SCHEDULE = schedule_for("1:1", "0.06M")
SIDE = SCHEDULE[-1].height
KINDS = ("bsq", "lfq", "bsq step")
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--bits", nargs="+", type=int, default=[8, 12, 16, 18, 20, 24, 32, 48, 64])
    parser.add_argument("--batch", type=int, default=1, help="pictures of 256x256")
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--base-channels", type=int, default=32, help='of "bsq step"')
    parser.add_argument("--limit-gib", type=float, default=4.0)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for kind in arguments.kinds:
        for bits in arguments.bits:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                peak = pool.submit(measure, kind, bits, arguments).result()
            line = {
                "kind": kind,
                "bits": bits,
                "peak_mib": None if peak is None else round(peak / MIB, 1),
                "codebook_entries": 2**bits,
                "batch": arguments.batch,
                "limit_gib": arguments.limit_gib,
                "torch": torch.__version__,
                "machine": platform.processor() or platform.machine(),
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


def measure(kind: str, bits: int, arguments: argparse.Namespace) -> int | None:
    """Most bytes of tensors alive at once; None: more than the process may have."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    prepare = {"bsq": _bsq, "lfq": _lfq, "bsq step": _bsq_step}[kind]
    run = prepare(bits, arguments)
    limit = _virtual_bytes() + int(arguments.limit_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            run().backward()
    except (MemoryError, OverflowError):  # of the codebook's size in a 64-bit number
        return None
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        return None
    alive = peak = 0
    assert profiler.profiler is not None
    events: list[Any] = [
        event
        for event in profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
        if event.name() == "[memory]"
    ]
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak


def _bsq(bits: int, arguments: argparse.Namespace) -> Callable[[], Tensor]:
    inwards, outwards, features = _ends(bits, arguments)
    config = TokenizerConfig(bits=bits)

    def run() -> Tensor:
        found = straight_through(inwards(features), config, SCHEDULE)
        penalty = found.commitment_B.mean() + found.entropy_penalty_B(1.0).mean()
        return outwards(found.latent_Bdyx).square().mean() + penalty

    return run


def _lfq(bits: int, arguments: argparse.Namespace) -> Callable[[], Tensor]:
    """One scale after another, as "bsq"; the entropies from the chances of every code."""
    inwards, outwards, features = _ends(bits, arguments)

    def run() -> Tensor:
        entries = torch.arange(2**bits)
        codes_Vd = ((entries[:, None] >> torch.arange(bits)) & 1).float().mul_(2).sub_(1)
        codes_Vd /= math.sqrt(bits)
        total = torch.zeros(arguments.batch, bits, SIDE, SIDE)
        penalty = torch.zeros(())
        residuals = inwards(features)
        for scale in SCHEDULE:
            residual = F.adaptive_avg_pool2d(residuals - total, (scale.height, scale.width))
            unit = F.normalize(residual, dim=1)
            flat_Nd = unit.movedim(1, -1).reshape(-1, bits)
            chances_NV = (2 * INVERSE_TEMPERATURE * flat_Nd @ codes_Vd.T).softmax(-1)
            own = torch.special.entr(chances_NV.clamp(min=1e-9)).sum(-1).mean()
            mean = torch.special.entr(chances_NV.mean(0).clamp(min=1e-9)).sum()
            penalty = penalty + (own - mean) / INVERSE_TEMPERATURE
            code = unit + (unit.sign() / math.sqrt(bits) - unit).detach()
            total = total + F.interpolate(code, size=(SIDE, SIDE), mode="bilinear")
        return outwards(total).square().mean() + penalty

    return run


def _bsq_step(bits: int, arguments: argparse.Namespace) -> Callable[[], Tensor]:
    config = TokenizerConfig(bits=bits, base_channels=arguments.base_channels)
    tokenizer = Tokenizer(config)
    pictures = torch.rand(arguments.batch, 3, *SCHEDULE.image_size(config.token_pixels)) * 2 - 1

    def run() -> Tensor:
        found = straight_through(tokenizer.features(pictures), config, SCHEDULE)
        penalty = found.commitment_B.mean() + found.entropy_penalty_B(1.0).mean()
        return (tokenizer.decoder(found.latent_Bdyx) - pictures).square().mean() + penalty

    return run


def _ends(bits: int, arguments: argparse.Namespace) -> tuple[nn.Module, nn.Module, Tensor]:
    channels = arguments.channels
    features = torch.randn(arguments.batch, channels, SIDE, SIDE)
    return nn.Conv2d(channels, bits, 1), nn.Conv2d(bits, channels, 1), features


def _virtual_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
