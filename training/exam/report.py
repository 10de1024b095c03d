"""The exam's page: scores beside the judge's ceiling, and pictures nobody picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from training.exam.grade import Mark
from training.exam.prompts import ExamPrompt

SHOWN = 24
"""Pictures a category: evenly spaced over its answers, so that none is picked."""
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 12px }
figure { margin: 0; font-size: 13px } img { width: 100%; border: 4px solid #c33; border-radius: 6px }
.right img { border-color: #2a2 }
"""


@dataclass(frozen=True)
class Answer:
    """One picture and its mark."""

    prompt: ExamPrompt
    seed: int
    image: Image.Image
    mark: Mark


def write_report(folder: Path, outcome: dict[str, Any], found: Sequence[Answer]) -> None:
    """Write ``exam.html`` with its pictures under ``pictures/``."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    rows = "".join(
        f"<tr><td>{escape(tag)}</td><td>{score:.1%}</td><td>{outcome['ceiling'].get(tag, 0):.1%}</td>"
        f"<td>{outcome['of_ceiling'].get(tag, 0):.1%}</td></tr>"
        for tag, score in outcome["scores"].items()
    )
    sections = "".join(
        f"<h2>{escape(tag)}</h2><div class='pictures'>"
        + "".join(
            _figure(folder, answer, f"{number:02d}-{place:02d}.jpg")
            for place, answer in enumerate(_spaced(found, tag))
        )
        + "</div>"
        for number, tag in enumerate(outcome["scores"])
    )
    folder.joinpath("exam.html").write_text(
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Exam</title><style>{STYLE}"
        f"</style><h1>Exam of {escape(str(outcome['model']))}</h1>"
        "<p>Score: share of pictures marked right. Ceiling: the judge's marks on true renders of the "
        "same prompts. Green frames are right, red ones wrong; pictures are evenly spaced, not "
        "picked.</p><table><tr><th>category</th><th>score</th><th>ceiling</th><th>of ceiling</th>"
        f"</tr>{rows}</table>{sections}</html>"
    )


def _spaced(found: Sequence[Answer], tag: str) -> list[Answer]:
    mine = [answer for answer in found if answer.prompt.tag == tag]
    count = min(SHOWN, len(mine))
    return [mine[i * len(mine) // count] for i in range(count)]


def _figure(folder: Path, answer: Answer, file: str) -> str:
    name = f"pictures/{file}"
    answer.image.save(folder / name, quality=88)
    css = "right" if answer.mark.passed else "wrong"
    reason = f"<br>{escape(answer.mark.reason)}" if answer.mark.reason else ""
    return (
        f"<figure class='{css}'><img src='{name}' alt='{escape(answer.prompt.prompt, quote=True)}'>"
        f"<figcaption>{escape(answer.prompt.prompt)}{reason}</figcaption></figure>"
    )
