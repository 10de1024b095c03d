"""Weights by rule: the rule itself, and their names and shapes both ways."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load_file

from infinity.checkpoints.convert import count_chunks, from_upstream, kind_of
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.weights import state_dict_by_rule
from tests.upstream_names import to_upstream


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    state = state_dict_by_rule(case.path)
    for name, first in case.data.get("check", {}).items():
        found = state[name].flatten()[: len(first)]
        report.equal("first values", found, torch.tensor(first, dtype=found.dtype), name)
    stored = case.path.with_suffix(".safetensors")
    if stored.is_file():
        for name, tensor in load_file(stored).items():
            report.equal("stored weights", state[name], tensor, name)

    kind = kind_of(state)
    if kind is None:
        report.fail("neither a transformer nor a tokenizer")
        return
    back = to_upstream(from_upstream(state, kind), kind, count_chunks(state))
    report.equal("names", sorted(back), sorted(state))
    for name in back.keys() & state.keys():
        report.equal("converted there and back", back[name], state[name], name)
