"""Labels and next inputs for given flips, from features on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import FlipRule, encode_scales
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.upstream import bit_tokens, quantizer_config, schedule_of


def given_flips(masks: Sequence[Tensor | None], patch: int) -> FlipRule:
    """The flip rule of stored masks (B, 1, y, x, d); scales without one are left alone."""

    def flips(index: int, bits_BlD: Tensor) -> Tensor | None:
        mask = masks[index] if index < len(masks) else None
        return None if mask is None else bit_tokens(mask, patch)

    return flips


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    for entry in case.data["cases"]:
        name = entry["name"]
        tensors = {
            key.removeprefix(f"{name}."): tensor
            for key, tensor in case.tensors.items()
            if key.startswith(f"{name}.")
        }
        masks = []
        if entry["noise_apply_requant"]:  # without it the flips never reach the sum
            masks = [tensors.get(f"flip_mask_{i}") for i in range(entry["noise_apply_layers"])]
        check_encoding(
            tensors,
            schedule_of(entry),
            entry["codebook_dim"],
            bool(entry["patchify"]),
            masks,
            tolerances,
            report,
            name,
        )


def check_encoding(
    tensors: Mapping[str, Tensor],
    schedule: ScaleSchedule,
    bits: int,
    patchify: bool,
    masks: Sequence[Tensor | None],
    tolerances: Mapping[str, float],
    report: Report,
    where: str,
) -> None:
    """raw_features (and flips) -> gt_bits, x_BLC_wo_prefix."""
    config = quantizer_config(bits, patchify)
    encoded = encode_scales(
        tensors["raw_features"].float(), config, schedule, given_flips(masks, config.patch)
    )
    report.equal("labels", encoded.labels_BLD, tensors["gt_bits"].bool(), where)
    report.close(
        "next inputs",
        encoded.inputs_BLD,
        tensors["x_BLC_wo_prefix"],
        min(1e-5, tolerances["vae_features"]),
        where,
    )
