"""Names that people bring from elsewhere are understood, and docs/words.md says the truth about them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from infinity.cli.options import make_parser
from infinity.errors import RequestError
from infinity.request import OTHER_NAMES, GenerationRequest
from training.config.errors import OTHER_NAMES as TRAINING_NAMES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "words.md").read_text(encoding="utf-8")
VALUES = {"guidance": 4.0, "temperature": 0.5, "guidance_layers": (0, -1), "num_images": 2}


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a title."""
    table = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_name_means_the_setting_in_json(name):
    ours = OTHER_NAMES[name]
    value = VALUES[ours]
    asked = GenerationRequest.from_dict({"prompt": "x", name: value})
    assert asked == GenerationRequest(prompt="x", **{ours: value})


def test_setting_by_both_its_names_is_refused():
    with pytest.raises(RequestError, match="cfg and guidance are one setting"):
        GenerationRequest.from_dict({"prompt": "x", "cfg": 3, "guidance": 4})


def test_command_line_understands_upstreams_options():
    parse = make_parser().parse_args
    theirs = parse(["generate", "x", "--cfg", "1,4", "--tau", "0.5"])
    ours = parse(["generate", "x", "--guidance", "1,4", "--temperature", "0.5"])
    assert theirs == ours
    assert theirs.guidance == (1.0, 4.0)
    converted = parse(["convert", "a.pth", "--vae", "b.pth", "-o", "c"])
    assert converted.tokenizer == Path("b.pth")


def test_marked_names_of_the_table_are_those_that_are_understood():
    marked = {
        name: re.findall(r"`(\w+)`", ours)[0]
        for upstream, elsewhere, ours, _ in rows("Drawing")
        for name in re.findall(r"`(\w+)`\*", f"{upstream} {elsewhere}")
        if name != "vae"
    }
    assert marked == OTHER_NAMES


def test_training_names_of_the_table_are_answered_with_ours():
    told = {
        name: set(re.findall(r"`([\w.]+)`", ours))
        for theirs, ours, _ in rows("Training")
        if ours != "–" and "in training" not in theirs
        for name in re.findall(r"`(\w+)`", theirs)
    }
    assert {"tlr", "tblr", "ac", "wp", "wpe", "sche", "pn"} <= told.keys()
    wrong = [n for n, ours in told.items() if TRAINING_NAMES[n.lower()] not in ours]
    assert not wrong


def test_names_of_this_project_in_the_tables_exist():
    files = subprocess.check_output(["git", "ls-files", "*.py"], cwd=ROOT, text=True).split()
    words = set(re.findall(r"\w+", "".join((ROOT / f).read_text(encoding="utf-8") for f in files)))
    named = {
        word
        for title, column in (("Drawing", 2), ("The model", 1), ("Training", 1))
        for row in rows(title)
        for name in re.findall(r"`([^`]+)`", row[column])
        for word in re.findall(r"\w{3,}", name)
    }
    assert len(named) > 50
    assert not {word for word in named - words if not word[0].isdigit()}
