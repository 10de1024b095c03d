"""Seconds and memory of a checkout of the public reference, with random weights of a shape of ours.

A process of its own, in the checkout: its package has our package's name. Attention is torch's, what only its
training needs is stubbed out; blocks are in the given precision under autocast, as its script has them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from math import gcd
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

TOKENS = 20


def time_reference(folder: Path, spec: Any, schedule: Any, machine: Any) -> dict[str, float]:
    """Figures of the reference in ``folder``, of a ``ModelSpec`` on a ``Machine`` of ``tests.bench.gpu_models``; it
    draws no schedules but its own."""
    config = spec.transformer
    shape = {
        "depth": config.depth,
        "width": config.width,
        "heads": config.num_heads,
        "text_width": config.text_width,
        "text_tokens": config.text_max_length,
        "bits": spec.tokenizer.bits,
        "patchify": spec.tokenizer.patchify,
        "scales": [(1, scale.height, scale.width) for scale in schedule],
        "device": machine.device.type,
        "dtype": str(machine.dtype).removeprefix("torch."),
        "repeats": machine.repeats,
        "guidance": 4.0,
    }
    script = Path(__file__).resolve()
    run = subprocess.run(
        [sys.executable, str(script), json.dumps(shape)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder.resolve())},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"the reference did not run: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def _stub_out() -> None:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    def flash_attn_func(q, k, v, dropout_p=0, softmax_scale=None):
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        return scaled_dot_product_attention(q, k, v, scale=softmax_scale).transpose(1, 2)

    def flash_attn_varlen_kvpacked_func(
        q, kv, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p, softmax_scale
    ):
        rows = len(cu_seqlens_k) - 1
        q = q.view(rows, max_seqlen_q, *q.shape[1:])
        kv = kv.view(rows, max_seqlen_k, *kv.shape[1:])  # all prompts are equally long here
        found = flash_attn_func(q, kv[:, :, 0], kv[:, :, 1], 0, softmax_scale)
        return found.reshape(-1, *found.shape[2:])

    flash = ModuleType("flash_attn")
    flash.flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    flash.flash_attn_varlen_kvpacked_func = flash_attn_varlen_kvpacked_func  # type: ignore[attr-defined]
    sys.modules["flash_attn"] = flash
    timm = MagicMock()
    timm.models.register_model = lambda build: build
    sys.modules |= {"timm": timm, "timm.loss": timm.loss, "timm.models": timm.models}
    sys.modules["timm.models.layers"] = timm.models.layers
    for name in (
        "cv2",
        "imageio",
        "torchvision",
        "seaborn",
        "matplotlib",
        "pytz",
        "tqdm",
        "tap",
        "wandb",
    ):
        if find_spec(name) is None:
            sys.modules[name] = MagicMock()
    sys.modules.setdefault("matplotlib.pyplot", MagicMock())
    sys.modules.setdefault("torch.utils.tensorboard", MagicMock())
    if not torch.cuda.is_available():
        torch.compile = lambda *given, **options: given[0] if given else lambda function: function


def main(shape: dict[str, Any]) -> dict[str, float]:
    _stub_out()
    import torch

    # The reference's own modules, found in the checkout.
    from infinity.models.bsq_vae import vae as tokenizers  # type: ignore[import-not-found]
    from infinity.models.infinity import Infinity  # type: ignore[import-not-found]
    from infinity.utils import dist  # type: ignore[import-not-found]

    device, dtype = torch.device(shape["device"]), getattr(torch, shape["dtype"])
    if device.type == "cuda":
        dist.initialize(fork=False)
    levels = [1, 2, 4, 4] if shape["patchify"] else [1, 2, 4, 4, 4]
    vae = tokenizers.vae_model(
        None, "dynamic", shape["bits"], 2 ** shape["bits"], patch_size=8 if shape["patchify"] else 16,
        encoder_ch_mult=levels, decoder_ch_mult=levels,
    ).to(device)  # fmt: skip
    quantizer = SimpleNamespace(lfq=SimpleNamespace(mask=None))
    torch.set_default_device(device)
    model = Infinity(
        vae_local=SimpleNamespace(embed_dim=shape["bits"], quantizer=quantizer),
        text_channels=shape["text_width"], text_maxlen=shape["text_tokens"], shared_aln=True,
        raw_scale_schedule=shape["scales"], checkpointing="full-block", fused_norm=True,
        pad_to_multiplier=128, rope2d_each_sa_layer=1, rope2d_normalized_by_hw=2, pn="1M",
        apply_spatial_patchify=int(shape["patchify"]), inference_mode=True, train_h_div_w_list=[1.0],
        depth=shape["depth"], embed_dim=shape["width"], num_heads=shape["heads"], mlp_ratio=4,
        block_chunks=gcd(shape["depth"], 8) if shape["depth"] % 2 == 0 else shape["depth"],
    ).to(device).eval().requires_grad_(False)  # fmt: skip
    torch.set_default_device("cpu")
    model.rng = torch.Generator(device=device)
    for block in model.unregistered_blocks:
        block.to(dtype)
        # On a CPU autocast leaves norms alone, and they refuse two precisions.
        if device.type == "cpu":
            for norm in filter(lambda part: isinstance(part, torch.nn.LayerNorm), block.modules()):
                norm.float()
    text = torch.randn(TOKENS, shape["text_width"], device=device)
    ends = torch.tensor([0, TOKENS], dtype=torch.int32, device=device)
    count = len(shape["scales"])

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    decode, decoder_s = vae.decode, []

    def timed_decode(latent: torch.Tensor) -> torch.Tensor:
        started_s = now()
        image = decode(latent)
        decoder_s.append(now() - started_s)
        return image

    vae.decode = timed_decode

    def draw() -> float:
        started_s = now()
        is_low = dtype != torch.float32
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=is_low):
            model.autoregressive_infer_cfg(
                vae=vae, scale_schedule=[tuple(scale) for scale in shape["scales"]],
                label_B_or_BLT=(text, [TOKENS], ends, TOKENS), g_seed=0, B=1,
                cfg_list=[shape["guidance"]] * count, tau_list=[1.0] * count, top_k=900, top_p=0.97,
                returns_vemb=1, cfg_insertion_layer=[0], vae_type=shape["bits"], ret_img=True,
                inference_mode=True,
            )  # fmt: skip
        return now() - started_s

    for _ in range(2):
        draw()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    decoder_s.clear()
    total_s = statistics.median(draw() for _ in range(shape["repeats"]))
    decoder = statistics.median(decoder_s)
    figures = {"total_s": total_s, "transformer_s": total_s - decoder, "decoder_s": decoder}
    if device.type == "cuda":
        figures["max_memory_allocated_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return {name: round(value, 4) for name, value in figures.items()}


if __name__ == "__main__":
    import contextlib
    import io

    sys.path[0] = ""  # the checkout, not this folder
    with contextlib.redirect_stdout(io.StringIO()):
        figures = main(json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(figures) + "\n")
