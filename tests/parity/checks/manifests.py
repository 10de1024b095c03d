"""Released checkpoints: every name and shape onto our modules and back; the list of their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from infinity.checkpoints.convert import count_chunks, from_upstream, kind_of
from infinity.model.transformer import InfinityTransformer
from infinity.registry import MODEL_SPECS
from infinity.schedule import schedule_for
from infinity.tokenizer.tokenizer import Tokenizer
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.upstream import tokenizer_config, transformer_config
from tests.upstream_names import to_upstream


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    data = case.data
    state = _meta_state(data)
    kind = kind_of(state)
    if kind is None:
        report.fail("neither a transformer nor a tokenizer")
        return
    with torch.device("meta"):
        module = _module(data)
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    converted = from_upstream(state, kind)
    found = {name: tuple(tensor.shape) for name, tensor in converted.items()}
    report.equal("our names and shapes", found, wanted)
    module.load_state_dict(converted, assign=True)
    if kind == "transformer":
        count = sum(parameter.numel() for parameter in module.parameters())
        report.equal("parameters", count, data["n_parameters"])

    back = to_upstream(converted, kind, count_chunks(state))
    report.equal("upstream's names and shapes", _described(back), _described(state))


def _module(data: Mapping[str, Any]) -> nn.Module:
    if "constructor" in data:
        return InfinityTransformer(transformer_config(data["constructor"]))
    return Tokenizer(tokenizer_config(data, patchify=False))


def _meta_state(data: Mapping[str, Any]) -> dict[str, Tensor]:
    """The manifest as tensors without content."""
    dtypes = data.get("dtypes", {})
    return {
        name: torch.empty(shape, dtype=_dtype(dtypes.get(name)), device="meta")
        for name, shape in data["keys"].items()
    }


def _dtype(name: str | None) -> torch.dtype:
    return getattr(torch, name.removeprefix("torch.")) if name else torch.float32


def _described(state: Mapping[str, Tensor]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in sorted(state.items())}


def check_index(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    """Every released file belongs to a registered model, or its tokenizer's network is ours."""
    files = case.data["files"]
    for name, entry in files.items():
        if entry["kind"] != "transformer":
            continue
        specs = [
            spec
            for spec in MODEL_SPECS.values()
            if spec.hub is not None
            and spec.hub.transformer == name
            and entry["vae"] in spec.hub.tokenizer
        ]
        report.equal("registered models", len(specs), 1, name)
        if specs and "pn" in entry:
            for ratio, schedule in specs[0].schedules.items():
                report.equal("schedule", schedule, schedule_for(ratio, entry["pn"]), name)
    for name in files:
        manifest = case.path.parent / f"{files[name]['manifest']}.json"
        report.equal("has a manifest", manifest.is_file(), True, name)
