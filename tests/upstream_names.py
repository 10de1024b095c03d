"""Our weights under upstream's names, for tests that need files as upstream writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from infinity.checkpoints.convert import TOKENIZER, TRANSFORMER, Kind, count_blocks


def to_upstream(state: Mapping[str, Tensor], kind: Kind, chunks: int = 1) -> dict[str, Tensor]:
    """The inverse of ``from_upstream``, with upstream's constant buffers; ``chunks`` groups blocks."""
    exported = dict(_named(*item, kind) for item in state.items())
    if kind == "tokenizer":
        bits = len(state["encoder.conv_out.weight"])
        powers = torch.tensor([2] * bits).cumprod(0).flip(0) // 2
        device = state["encoder.conv_out.weight"].device
        return exported | {f"quantize{r}.lfq.mask": powers.to(device) for r in ("", "r")}
    width, depth = len(state["start"]), count_blocks(state)
    places = [
        "text_proj_for_sos.ca",
        *(f"blocks.{n}.{a}" for n in range(depth) for a in ("sa", "ca")),
    ]
    zero = torch.zeros(width, device=state["start"].device)
    exported |= {f"{place}.zero_k_bias": zero.clone() for place in places}
    if chunks == 1:
        return exported
    return {
        re.sub(
            r"^blocks\.(\d+)\.",
            lambda match: "block_chunks.{}.module.{}.".format(
                *divmod(int(match[1]), depth // chunks)
            ),
            name,
        ): tensor
        for name, tensor in exported.items()
    }


def _named(name: str, tensor: Tensor, kind: Kind) -> tuple[str, Tensor]:
    for upstream, line in (TRANSFORMER if kind == "transformer" else TOKENIZER).items():
        ours, *shapes = line.split(" | ")
        pattern = re.escape(ours).replace(r"\{n\}", r"(\d+)").replace(r"\*", "(weight|bias)")
        if match := re.fullmatch(pattern, name):
            named = upstream.replace("{n}", "{}").replace("*", "{}").format(*match.groups())
            back = " -> ".join(reversed(shapes[0].split(" -> "))) if shapes else ""
            return named, rearrange(tensor, back) if back else tensor
    raise KeyError(name)
