"""``replay`` of records that somebody made up: drawn, or one sentence; never more threads than there are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from infinity.__main__ import main
from infinity.metadata import KEY, save_png
from tests.tiny import tiny_folder

STRANGE: list[tuple[dict[str, Any], bool]] = [
    ({"threads": threads}, True)
    for threads in (100_000, -5, 0, 1e30, True, "4", 9999999999999999999, None, [1], {"a": 1}, 2.0)
]
STRANGE += [({"device": v}, True) for v in ("cuda:99", 7, None, [], "x" * 10**5)]
STRANGE += [({"dtype": v}, True) for v in (7, None, [], {})]
STRANGE += [({"dtype": v}, False) for v in ("float7", "x" * 10**5, "int8")]
STRANGE += [({"versions": v}, True) for v in (7, None, [], {"torch": None}, {"x": ["y"]})]
STRANGE += [({"weights": v}, True) for v in (7, None, "x" * 10**5, "é\n", [])]
STRANGE += [({"template": v}, True) for v in (7, None, "x" * 10**6)]
STRANGE += [({"model": v}, False) for v in (7, None, [])]
STRANGE += [({"unknown": {"deep": [[[[]]]]}}, True)]
STRANGE += [
    ({"request": {"prompt": "a red circle", **change}}, False)
    for change in (
        {"seed": 9999999999999999999}, {"seed": -5}, {"seed": True}, {"seed": "4"}, {"seed": None},
        {"num_images": 2}, {"num_images": 0}, {"num_images": 10**400}, {"guidance": 10**400},
        {"guidance": [1] * 10**5 + ["x"]}, {"temperature": float("nan")}, {"top_p": float("inf")},
        {"prompt": "x" * 10**6}, {"prompt": ["x"]}, {"prompt": "\ud800"}, {"aspect_ratio": "x" * 10**5},
        {"guidance_layers": [-(10**400)]}, {"guided_scales": -1}, {"seeds": 1},
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[Path, Path]:
    """(a model's folder, a picture of it)."""
    folder = tmp_path_factory.mktemp("replay")
    model, picture = tiny_folder(folder / "tiny"), folder / "picture.png"
    words = ["--model", str(model), "--device", "cpu", "-o", str(picture)]
    assert main(["generate", "a red circle", *words]) == 0
    return model, picture


@pytest.mark.parametrize(
    ("change", "is_drawn"), STRANGE, ids=lambda v: repr(v)[:50] if isinstance(v, dict) else ""
)
def test_strange_record_is_drawn_or_one_sentence(change, is_drawn, drawn, tmp_path, capsys):
    model, picture = drawn
    with Image.open(picture) as image:
        image.load()
        record = json.loads(image.info[KEY]) | change
        image.info[KEY] = json.dumps(record)
    strange = save_png(image, tmp_path / "strange.png")
    before = torch.get_num_threads()
    try:
        words = ["--model", str(model), "--device", "cpu", "-o", str(tmp_path / "again.png")]
        code = main(["replay", str(strange), *words])
        assert torch.get_num_threads() <= max(os.cpu_count() or 1, before)
    finally:
        torch.set_num_threads(before)
    said = capsys.readouterr()
    assert (code == 0) == is_drawn, said.err
    assert "Traceback" not in said.err
    assert len(said.err) < 1500
    if is_drawn:
        assert "The pixels are the same as the original's." in said.out
    else:
        assert not (tmp_path / "again.png").exists()
