"""The conventional classifier over all 2^d codes, to hold the classifier of bits against.

Legend: B batch, L l tokens, D bits a token, V = 2^D codes, C width, R rows (both guidance halves).
"""

from __future__ import annotations

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infinity.config import TransformerConfig
from infinity.model.layers import modulated_norm
from infinity.model.transformer import InfinityTransformer, SharedCondition, TextCondition
from infinity.schedule import ScaleSchedule
from training.losses import BitLoss, bit_loss, token_weights

GUIDANCE, TEMPERATURE = 3.0, 0.9
CERTAIN = 1e4


class IndexTransformer(InfinityTransformer):
    """The same transformer with a head of 2^D classes.

    In training ``logits`` are those of the codes, (B, L, V). In evaluation it guides and draws the
    code itself, as bits cannot be drawn apart, and hands its bits on as logits that leave no choice.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.width, 2**config.bits_per_token)
        self.source = torch.Generator().manual_seed(0)

    def logits(self, hidden_BlC: Tensor, condition: TextCondition | SharedCondition) -> Tensor:
        factor, shift = condition.head_modulation.unbind()
        logits_BlV = self.head(modulated_norm(hidden_BlC.float(), factor, shift))
        if self.training:
            return logits_BlV
        given_BlV, free_BlV = (logits_BlV.float() / TEMPERATURE).chunk(2)
        chances_BlV = (free_BlV + GUIDANCE * (given_BlV - free_BlV)).softmax(-1)
        drawn = torch.multinomial(chances_BlV.flatten(0, 1), 1, generator=self.source)
        bits_BlD = bits_of(drawn.view(chances_BlV.shape[:2]), self.config.bits_per_token)
        gap_BlD = torch.where(bits_BlD, CERTAIN, -CERTAIN)
        return torch.stack((-gap_BlD, gap_BlD), -1).repeat(2, 1, 1, 1)


def bits_of(index_BL: Tensor, bits: int) -> Tensor:
    """(B, L) int64 -> (B, L, D) bool, lowest bit first."""
    return (index_BL[..., None] >> torch.arange(bits)) & 1 > 0


def index_of(bits_BLD: Tensor) -> Tensor:
    """Inverse of :func:`bits_of`."""
    return (bits_BLD.long() << torch.arange(bits_BLD.shape[-1])).sum(-1)


def index_loss(logits_BLV: Tensor, labels_BLD: Tensor, schedule: ScaleSchedule) -> BitLoss:
    """Cross-entropy of the code over its D bits, in nats a bit, as :func:`bit_loss` is: both are the
    negative log-likelihood of a token divided by D."""
    bits = labels_BLD.shape[-1]
    loss_N = F.cross_entropy(
        logits_BLV.float().flatten(0, 1), index_of(labels_BLD).flatten(), reduction="none"
    )
    per_token_BL = loss_N.view(labels_BLD.shape[:2]) / bits
    weights_L = token_weights(schedule, reweight=True).to(per_token_BL)
    correct_BLD = bits_of(logits_BLV.detach().argmax(-1), bits) == labels_BLD
    return BitLoss((per_token_BL * weights_L).sum(-1).mean(), per_token_BL.detach(), correct_BLD)


def training_memory(
    kind: str, config: TransformerConfig, schedule: ScaleSchedule, batch: int, limit_gib: float
) -> int | None:
    """Bytes one training step adds to a fresh process, the optimizer's state included.

    Args:
        kind: "bits" or "index".

    Returns:
        None where it needs more than ``limit_gib``.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, kind, config, schedule, batch, limit_gib).result()


def _measured(
    kind: str, config: TransformerConfig, schedule: ScaleSchedule, batch: int, limit_gib: float
) -> int | None:

    import resource  # of Unix alone

    torch.manual_seed(0)
    gc.collect()
    # The peak of the imports is forgotten.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _peak_bytes()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + int(limit_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        _step(kind, config, schedule, batch)
    except MemoryError:
        return None
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        return None
    return _peak_bytes() - before


def _peak_bytes() -> int:
    """The most memory this process has held so far (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def _step(kind: str, config: TransformerConfig, schedule: ScaleSchedule, batch: int) -> None:
    is_index = kind == "index"
    transformer = (IndexTransformer if is_index else InfinityTransformer)(config)
    transformer.init_weights(torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(transformer.parameters(), lr=1e-4)
    labels_BLD = torch.rand(batch, schedule.total_tokens, config.bits_per_token) < 0.5
    inputs_BLD = torch.randn(labels_BLD.shape)[:, schedule[0].tokens :]
    text = [torch.randn(8, config.text_width) for _ in range(batch)]
    with torch.autocast("cpu", torch.bfloat16):
        logits = transformer(inputs_BLD, transformer.encode_text(text), schedule)
    (index_loss if is_index else bit_loss)(logits, labels_BLD, schedule).loss.backward()
    optimizer.step()
