"""Whole generations: logits, bits, next inputs, sums of codes, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infinity.generation.generate import generate, leading, text_condition
from infinity.generation.sampling import seeded_generator
from infinity.images import images_from_tensor
from infinity.request import SamplingParams
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.upstream import (
    bit_tokens,
    load_tokenizer,
    load_transformer,
    schedule_of,
    split_scales,
    split_text,
    tokenizer_config,
    transformer_config,
    vae_settings,
)


def _per_scale(value: float | list[float]) -> float | tuple[float, ...]:
    return tuple(value) if isinstance(value, list) else value


def _sampling(call: Mapping[str, Any]) -> SamplingParams:
    layers = call.get("ins", [0])
    return SamplingParams(
        guidance=_per_scale(call["cfg"]),
        temperature=_per_scale(call["tau"]),
        top_k=call["top_k"],
        top_p=call["top_p"] or 1.0,
        guidance_layers=tuple(layers if isinstance(layers, list) else [layers]),
    )


@torch.inference_mode()
def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    data, tensors = case.data, case.tensors
    patchify = bool(data["config"].get("apply_spatial_patchify", 0))
    transformer = load_transformer(
        case.sibling(data["transformer_weights"]), transformer_config(data["config"])
    )
    vae_path = case.sibling(data["vae_weights"])
    config = tokenizer_config(vae_settings(vae_path), patchify)
    tokenizer = load_tokenizer(vae_path, config)
    schedule, sampling = schedule_of(data), _sampling(data["call"])

    prompts = split_text(tensors)
    negatives: list[Tensor | None] = [None] * len(prompts)
    if data.get("negative_prompt"):
        negatives = list(split_text(tensors, "neg_"))
    condition = text_condition(transformer, prompts, negatives, sampling, len(schedule))
    forced = [
        bit_tokens(tensors[f"forced_bits_{i}"], config.patch)
        for i in range(data["call"].get("gt_leak", 0))
    ]
    # Upstream draws a whole batch from one generator, row after row.
    generators = [seeded_generator(data["call"]["seed"])] * len(prompts)

    logits = split_scales(tensors["logits"], schedule)
    bits = split_scales(tensors["bits"].bool(), schedule)
    inputs = [
        None,
        *split_scales(_padded(tensors["next_inputs"], schedule[0].tokens), schedule)[1:],
    ]
    latent = None
    steps = generate(
        transformer,
        config,
        condition,
        schedule,
        sampling,
        generators,
        revise=leading(forced),
        keep_logits=True,
    )
    for step in steps:
        where = f"scale {step.index}"
        assert step.logits_BlD2 is not None
        report.close("logits", step.logits_BlD2, logits[step.index], tolerances["logits"], where)
        if step.index < len(forced):
            report.equal("forced bits", step.bits_BlD, forced[step.index], where)
        else:
            report.equal("bits", step.bits_BlD, bits[step.index], where)
        if step.index:
            report.close(
                "next inputs",
                step.input_BlD,
                inputs[step.index],
                min(1e-5, tolerances["vae_features"]),
                where,
            )
        latent = step.canvas.latent_Bdyx
    assert latent is not None
    report.close(
        "sum of codes", latent, tensors["summed_codes"], min(1e-5, tolerances["vae_features"])
    )
    pictures = images_from_tensor(tokenizer.decode(latent))
    found = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    expected = tensors["image_u8_bgr"].flip(-1)
    report.close("uint8 picture", found.double(), expected.double(), tolerances["image_u8"])


def _padded(inputs_BLD: Tensor, first: int) -> Tensor:
    """Room for the first scale, which has no input, so that spans fit."""
    return torch.cat(
        (inputs_BLD.new_zeros(len(inputs_BLD), first, inputs_BLD.shape[-1]), inputs_BLD), 1
    )
