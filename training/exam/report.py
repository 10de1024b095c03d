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
:root { color-scheme: light dark; --line: #8884; --right: #2a9d4a; --wrong: #d4483b }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .9rem; text-align: right }
tr { border-bottom: 1px solid var(--line) } td:first-child, th:first-child { text-align: left }
td { font-variant-numeric: tabular-nums } tr:last-child { font-weight: 600; border: 0 }
meter { width: 9rem; vertical-align: middle } h2 { margin: 2.2rem 0 .6rem } h2 small { font-weight: 400 }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 14px }
figure { margin: 0; font-size: 13px; line-height: 1.35 } figcaption { margin-top: .3rem }
img { display: block; width: 100%; border-radius: 8px; outline: 3px solid var(--wrong) }
.right img { outline-color: var(--right) } .why { color: var(--wrong) }
"""


@dataclass(frozen=True)
class Answer:
    """One picture and its mark."""

    prompt: ExamPrompt
    seed: int
    image: Image.Image
    mark: Mark


def write_report(folder: Path, outcome: dict[str, Any], found: Sequence[Answer]) -> None:
    """Write ``exam.html`` with its pictures under ``pictures/``.

    Args:
        outcome: what ``exam.json`` says.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    sections = "".join(
        f"<h2>{escape(tag)} <small>{score:.0%}</small></h2><div class='pictures'>"
        + "".join(
            _figure(folder, answer, f"{number:02d}-{place:02d}.jpg")
            for place, answer in enumerate(_spaced(found, tag))
        )
        + "</div>"
        for number, (tag, score) in enumerate(outcome["scores"].items())
    )
    title = f"Exam of {escape(str(outcome['model']))}"
    folder.joinpath("exam.html").write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f"{_facts(outcome)}{_table(outcome)}{sections}</html>",
        encoding="utf-8",
    )


def _facts(outcome: dict[str, Any]) -> str:
    """What the figures mean, and how far the judge can be trusted."""
    facts = [
        f"{outcome['pictures']:,} pictures, default settings. Score: share of pictures marked right "
        "by a judge that sees pixels only. Ceiling: its marks on true renders of the same prompts. "
        "Unseen: prompts with a pair or a coloured object that training never showed."
    ]
    if spoilt := outcome["judge_lets_pass"]:
        shares = ", ".join(f"{kind} {share:.1%}" for kind, share in spoilt.items())
        facts.append(f"True renders spoilt on purpose that the judge lets pass: {shares}.")
    if (apart := outcome["frechet_distance_judge_features"]) is not None:
        facts.append(
            f"Frechet distance from true renders on the judge's features: {apart:.2f} (no FID: "
            "comparable between versions of this model only)."
        )
    if unknown := outcome.get("not_asked"):
        lines = "".join(f"<li>{escape(line)}</li>" for line in unknown)
        facts.append(
            f"<details><summary>{len(unknown)} prompts were not asked: the judge cannot mark "
            f"them.</summary><ul>{lines}</ul></details>"
        )
    facts.append(
        "Pictures are evenly spaced over each category's answers, not picked; green frames are "
        "right, red ones wrong, with the first reason."
    )
    return "".join(f"<p>{fact}</p>" for fact in facts)


def _table(outcome: dict[str, Any]) -> str:
    keys = ("scores", "ceiling", "of_ceiling", "scores_unseen")
    rows = [(tag, *(outcome[key].get(tag) for key in keys)) for tag in outcome["scores"]]
    rows.append(("overall", outcome["overall"], None, outcome["overall_of_ceiling"], None))
    body = "".join(
        f"<tr><td>{escape(tag)}</td>"
        + "".join(f"<td>{_share(value)}</td>" for value in values)
        + f"<td><meter value='{values[0]:.3f}'></meter></td></tr>"
        for tag, *values in rows
    )
    heads = ("category", "score", "ceiling", "of ceiling", "unseen", "")
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _spaced(found: Sequence[Answer], tag: str) -> list[Answer]:
    mine = [answer for answer in found if answer.prompt.tag == tag]
    count = min(SHOWN, len(mine))
    return [mine[i * len(mine) // count] for i in range(count)]


def _figure(folder: Path, answer: Answer, file: str) -> str:
    name = f"pictures/{file}"
    answer.image.save(folder / name, quality=88)
    css = "right" if answer.mark.passed else "wrong"
    reason = f"<br><span class='why'>{escape(answer.mark.reason)}</span>"
    reason = reason if answer.mark.reason else ""
    return (
        f"<figure class='{css}'><img src='{name}' loading='lazy' alt='{escape(answer.prompt.prompt, quote=True)}'>"
        f"<figcaption>{escape(answer.prompt.prompt)}{reason}</figcaption></figure>"
    )
