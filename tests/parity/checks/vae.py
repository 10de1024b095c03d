"""The picture tokenizer: features, bits, sums, decoded picture, next inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from infinity.tokenizer.quantizer import ResidualCanvas, encode_scales
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.upstream import bit_tokens, load_tokenizer, schedule_of, tokenizer_config


@torch.inference_mode()
def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    data, tensors = case.data, case.tensors
    config = tokenizer_config(data["config"], bool(data.get("patchify", 0)))
    tokenizer = load_tokenizer(case.sibling(data["weights"]), config)
    schedule = schedule_of(data)
    tolerance = tolerances["vae_features"]
    sum_tolerance = min(1e-5, tolerance)

    image = tensors["image_u8"].float() / 255
    image = image + image - 1
    features = tokenizer.features(image)
    report.close("features", features, tensors["encoder_out"], tolerance)
    wanted = [bit_tokens(tensors[f"bits_{i}"], config.patch) for i in range(len(schedule))]

    sources = {
        "from the picture": encode_scales(features, config, schedule),
        "from stored features": encode_scales(tensors["encoder_out"], config, schedule),
    }
    for where, encoded in sources.items():
        for index, (found, expected) in enumerate(zip(encoded.bits, wanted, strict=True)):
            report.equal("bits", found, expected, f"{where}, scale {index}")
        if "gt_bits_BLd" in tensors:
            report.equal("labels", encoded.labels_BLD, tensors["gt_bits_BLd"].bool(), where)
        if "x_BLC_wo_prefix" in tensors:
            inputs = tensors["x_BLC_wo_prefix"]
            report.close("next inputs", encoded.inputs_BLD, inputs, sum_tolerance, where)
        report.close(
            "sum of codes", encoded.latent_Bdyx, tensors["quantized_sum"], sum_tolerance, where
        )

    canvas = ResidualCanvas(config, schedule, len(image))
    for index, bits in enumerate(wanted):
        canvas.add(bits)
        name = f"var_input_area_{index}"
        if name in tensors:  # upstream's encode also returns the sum, averaged to the next scale
            averaged = -canvas.residual(torch.zeros_like(canvas.latent_Bdyx))
            expected = tensors[name].squeeze(2)
            report.close("averaged sum", averaged, expected, sum_tolerance, f"scale {index}")
    if "quantized_sum_from_bits" in tensors:
        expected = tensors["quantized_sum_from_bits"].squeeze(2)
        report.close("sum of codes", canvas.latent_Bdyx, expected, sum_tolerance, "from bits")

    decoded = tokenizer.decode(tensors["quantized_sum"])
    if "decoded_sub2" in tensors:  # every second row and column
        found = decoded[..., ::2, ::2]
        report.close("decoded picture", found, tensors["decoded_sub2"], tolerance)
    if "decoded" in tensors:
        report.close("decoded picture", decoded, tensors["decoded"], tolerance)
