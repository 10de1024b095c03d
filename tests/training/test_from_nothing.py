"""docs/from-nothing.md, followed word for word, with fewer pictures and steps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

import infinity.__main__
from infinity.checkpoints.load import load_model
from training import export, prepare, train
from training.engine.journal import read_metrics

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "from-nothing.md").read_text()
FEWER = (
    "--optimization.steps 2 --optimization.batch_size 4 --optimization.warmup 0 --data.workers 0"
)
COMMANDS = {
    "training.prepare": lambda words: prepare.main(words),
    "training.train": lambda words: train.main([*words, *FEWER.split()]),
    "training.export": lambda words: export.main(words),
    "infinity": lambda words: infinity.__main__.main(words),
}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_page_leads_from_pictures_to_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "training").symlink_to(ROOT / "training")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code.replace("range(600)", "range(24)"), {})
    blocks = "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    commands = [shlex.split(line) for line in blocks.splitlines() if line.startswith("python")]
    assert [words[2] for words in commands[:-1]] == [
        "training.prepare", "training.train", "training.export", "training.train",
        "training.export", "infinity",
    ]  # fmt: skip
    for words in commands[:-1]:
        assert not COMMANDS[words[2]](words[3:]), words
    assert Image.open("red.png").size == (64, 64)
    assert commands[-1] == ["python", "app.py", "--model", "models/small"]
    assert load_model(commands[-1][-1]).spec.schedules
    for run, metric in (
        ("small-tokenizer", "validation_psnr"),
        ("small", "validation_bit_accuracy"),
    ):
        assert metric in read_metrics(Path("runs") / run)[-1]
