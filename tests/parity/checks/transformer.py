"""Teacher-forced training step: labels, logits, loss, metrics, gradient norms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule, nearest_aspect_ratio
from tests.parity.cases import Case
from tests.parity.checks.self_correction import check_encoding, given_flips
from tests.parity.report import Report
from tests.parity.upstream import (
    load_transformer,
    quantizer_config,
    schedule_of,
    split_text,
    transformer_config,
    upstream_names,
)
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.losses import BitLoss, bit_loss
from training.steps.draws import TransformerDraws
from training.steps.transformer_step import TransformerStep

ROUNDING_RUNS = 16
ROUNDING_JITTER = 2.4e-7
"""Two units in the last place of float32."""


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    data, tensors = case.data, case.tensors
    rounds_to_bf16 = data.get("ca_mode", "fp32") == "bf16"
    config = transformer_config(data["config"], bf16_cross_attention=rounds_to_bf16)
    transformer = load_transformer(case.sibling(data["weights"]), config)
    schedule = schedule_of(data)
    labels_BLD = tensors["gt_bits"].bool()
    if "raw_features" in tensors:
        _check_labels(case, schedule, tolerances, report)

    if rounds_to_bf16:
        logits_BLD2 = _rounded_logits(case, transformer, schedule, tolerances, report)
    else:
        logits_BLD2 = _logits(case, transformer, schedule)
        report.close("logits", _flat(logits_BLD2), tensors["logits"], tolerances["logits"])

    reduction = data.get("bitloss_type", "mean")
    result = bit_loss(
        logits_BLD2,
        labels_BLD,
        schedule,
        reweight=bool(data.get("reweight_loss_by_scale", 0)),
        reduction=reduction,
    )
    # A mean over bits, or a sum of as many: its tolerance grows with them.
    bits = config.bits_per_token if reduction == "sum" else 1
    report.close("loss", result.loss, data["loss"], tolerances["loss"] * bits)
    if "loss_per_token" in tensors:
        tolerance = tolerances["ca_bf16_logits" if rounds_to_bf16 else "logits"] * bits
        expected = tensors["loss_per_token"]
        found = result.per_token_BL * bits  # ours is the mean over a token's bits, always
        report.close("loss per token", found, expected, tolerance)
    _check_metrics(data, logits_BLD2, labels_BLD, result, schedule, tolerances, report)
    if "grad_norms" in data:
        result.loss.backward()
        _check_gradients(transformer, data, tolerances["grad_norm_rel"], report)
    if "raw_features" in tensors and not rounds_to_bf16:
        transformer.zero_grad()
        _check_training_step(case, transformer, schedule, tolerances, report)


def _check_training_step(
    case: Case,
    transformer: InfinityTransformer,
    schedule: ScaleSchedule,
    tolerances: Mapping[str, float],
    report: Report,
) -> None:
    """Loss and gradients from features and texts on, through the step that training runs."""
    data, tensors = case.data, case.tensors
    patchify = bool(data["config"].get("apply_spatial_patchify", 0))
    features = tensors["raw_features"].float()
    tokenizer = quantizer_config(features.shape[1], patchify)
    ratio = nearest_aspect_ratio(data["ratio"], 1.0)
    config = TrainingConfig.model_validate(
        {
            "output": "unused",
            "model": transformer.config,
            "tokenizer": {"model": tokenizer, "weights": "unused"},
            "text_encoder": {"source": None, "train": True, "max_length": 2, "heads": 1},
            "data": {"schedules": {ratio: schedule}},
            "optimization": {
                "steps": 1,
                "reweight": bool(data.get("reweight_loss_by_scale", 0)),
                "bit_reduction": data.get("bitloss_type", "mean"),
            },
        }
    )
    step = TransformerStep(config, transformer, None, None)
    batch = Batch(
        step=0,
        aspect_ratio=ratio,
        captions=("",) * len(features),
        keys=("",) * len(features),
        positions=tuple(range(len(features))),
        latents=features,
        features=tuple(split_text(tensors)),
    )
    dropped = tuple(data.get("cond_dropped", [False] * len(features)))
    draws = TransformerDraws(dropped, None, given_flips(_flip_masks(case), tokenizer.patch))
    loss = step.bit_loss(batch, draws).loss
    bits = transformer.config.bits_per_token if data.get("bitloss_type") == "sum" else 1
    report.close("training step's loss", loss, data["loss"], tolerances["loss"] * bits)
    if "grad_norms" in data:
        loss.backward()
        _check_gradients(transformer, data, tolerances["grad_norm_rel"], report)


def _logits(
    case: Case, transformer: InfinityTransformer, schedule: ScaleSchedule, jitter_seed: int = 0
) -> Tensor:
    """Logits (B, L, D, 2); a seed moves the inputs by a rounding error of float32."""
    generator = torch.Generator().manual_seed(jitter_seed)

    def jittered(tensor: Tensor) -> Tensor:
        if not jitter_seed:
            return tensor
        noise = torch.randn(tensor.shape, generator=generator)
        return tensor * (1 + ROUNDING_JITTER * noise)

    texts = [jittered(text) for text in split_text(case.tensors)]
    dropped = case.data.get("cond_dropped", [False] * len(texts))
    texts = [
        transformer.unconditional_text(len(text)) if drop else text
        for text, drop in zip(texts, dropped, strict=True)
    ]
    inputs_BLD = jittered(case.tensors["x_BLC_wo_prefix"])
    return transformer(inputs_BLD, transformer.encode_text(texts), schedule)


def _rounded_logits(
    case: Case,
    transformer: InfinityTransformer,
    schedule: ScaleSchedule,
    tolerances: Mapping[str, float],
    report: Report,
) -> Tensor:
    """Logits with bfloat16 rounding inside, compared; returns those of the closest run.

    Where a value lies between two bfloat16 numbers, an error of float32 decides which it becomes,
    and the token's logits (a text token's: everybody's) jump by some 1e-3. So no two correct
    programs agree everywhere. A token counts as right if one of several runs, whose inputs differ
    by such errors, gives its logits; a missing or misplaced rounding is wrong in all of them.
    """
    expected = case.tensors["logits"]
    tolerance = tolerances["ca_bf16_logits"]
    errors_RBL: list[Tensor] = []
    closest, closest_error = None, float("inf")
    for seed in range(ROUNDING_RUNS):
        logits_BLD2 = _logits(case, transformer, schedule, seed)
        errors_RBL.append((_flat(logits_BLD2).detach() - expected).abs().amax(-1))
        error = errors_RBL[-1].max().item()
        if closest is None or error < closest_error:
            closest, closest_error = logits_BLD2, error
        if closest_error <= tolerance:
            break
    best_BL = torch.stack(errors_RBL).amin(0)
    report.close("rounded logits", best_BL, torch.zeros_like(best_BL), tolerance)
    assert closest is not None
    return closest


def _flat(logits_BLD2: Tensor) -> Tensor:
    return rearrange(logits_BLD2, "b l d two -> b l (d two)")


def _check_labels(
    case: Case, schedule: ScaleSchedule, tolerances: Mapping[str, float], report: Report
) -> None:
    check_encoding(
        case.tensors,
        schedule,
        case.tensors["raw_features"].shape[1],
        bool(case.data["config"].get("apply_spatial_patchify", 0)),
        _flip_masks(case),
        tolerances,
        report,
        "self-correction",
    )


def _flip_masks(case: Case) -> list[Tensor | None]:
    noise = case.data.get("noise", {"on": False})
    if not (noise["on"] and noise.get("requant", 1)):
        return []
    return [case.tensors.get(f"flip_mask_{i}") for i in range(noise["layers"])]


def _check_metrics(
    data: Mapping,
    logits_BLD2: Tensor,
    labels_BLD: Tensor,
    result: BitLoss,
    schedule: ScaleSchedule,
    tolerances: Mapping[str, float],
    report: Report,
) -> None:
    """Logged losses and bit accuracies (percent), overall and by scale.

    An undecided bit, its two logits closer than their tolerance allows to tell, may count either
    way. Token accuracy is not compared: upstream's is 0 by mistake.
    """
    logged = data.get("logged", {})
    rounded = data.get("ca_mode", "fp32") == "bf16"
    logits_tolerance = tolerances["ca_bf16_logits" if rounded else "logits"]
    loss_tolerance = tolerances["ca_bf16_logits" if rounded else "loss"]
    logits_BLD2 = logits_BLD2.detach()
    undecided_BLD = logits_BLD2.diff(dim=-1).squeeze(-1).abs() <= 2 * logits_tolerance
    losses_BL = bit_loss(logits_BLD2, labels_BLD, schedule, reweight=False).per_token_BL
    parts = {"Overall/{}_mean": slice(None)} | {
        f"Detail/{{}}_s{i + 1:02}": schedule.span(i) for i in range(len(schedule))
    }
    for name, span in parts.items():
        if (key := name.format("L")) in logged:
            found = float(losses_BL[:, span].mean())
            report.close("logged loss", found, logged[key], loss_tolerance, key)
        if (key := name.format("Acc_bit")) in logged:
            found = 100 * float(result.correct_BLD[:, span].double().mean())
            tolerance = 100 * float(undecided_BLD[:, span].double().mean()) + 1e-3
            report.close("logged accuracy (percent)", found, logged[key], tolerance, key)


def _check_gradients(
    transformer: InfinityTransformer, data: Mapping, tolerance: float, report: Report
) -> None:
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in transformer.named_parameters()
    }
    chunks = data["config"].get("block_chunks", 1)
    norms = {
        name: float(gradient.double().norm())
        for name, gradient in upstream_names(gradients, chunks).items()
    }
    expected = data["grad_norms"]
    report.equal("parameters with a gradient norm", sorted(norms), sorted(expected))
    for name in norms.keys() & expected.keys():
        report.close_relative("gradient norm", norms[name], expected[name], tolerance, name)
