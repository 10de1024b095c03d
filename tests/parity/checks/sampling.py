"""Probabilities after temperature, top-k and top-p, and bits drawn from them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from infinity.generation.sampling import sample_bits, seeded_generator
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.reference_sampling import bit_probabilities

DRAWS = 4


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    prefixes = [name for name in case.tensors if name.startswith("logits_")]
    for entry in case.data["cases"]:
        index, temperature = entry["index"], entry["tau"]
        for name in prefixes:
            logits = case.tensors[name]
            where = f"{name} {index}"
            found = bit_probabilities(logits, temperature, entry["top_k"], entry["top_p"])
            expected = case.tensors[f"{name.replace('logits', 'probs')}_{index}"]
            report.close("probabilities", found, expected, 1e-6, where)
            report.equal("filtered entries", found == 0, expected == 0, where)
            if logits.shape[-1] == 2:
                _check_draws(logits, expected, entry, report, where)


def _check_draws(
    logits: torch.Tensor,
    probabilities: torch.Tensor,
    entry: Mapping,
    report: Report,
    where: str,
) -> None:
    """The closed form for two values draws what torch.multinomial draws."""
    for seed in range(DRAWS):
        bits = sample_bits(
            logits.reshape(1, 1, -1, 2),
            entry["tau"],
            entry["top_k"],
            entry["top_p"],
            [seeded_generator(seed)],
        )
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(probabilities.flatten(0, -2), 1, generator=generator)
        report.equal("drawn bits", bits.flatten(), drawn.flatten().bool(), f"{where} seed {seed}")
