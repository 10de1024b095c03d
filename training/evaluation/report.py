"""The exam's page: scores beside the judge's ceiling, and pictures nobody picked."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from training.drawing import sheet
from training.evaluation.grade import Answer

SHOWN = 24
"""Pictures a category: evenly spaced over its answers, so that none is picked."""
SIDE, LABEL_LINES = 144, 6
TRIED = {"judge_lets_pass": "damaged", "judge_accepts": "changed without harm"}
RIGHT, WRONG = "#2a9d4a", "#d4483b"


def write_outcome(folder: Path, outcome: dict[str, Any], found: Sequence[Answer]) -> None:
    """Write ``exam.json``, with what is wrong with each picture ("": nothing) of the prompts that have
    any wrong, and the page, ``exam.md``, with one sheet of pictures a category beside it."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for answer in found:
        key = answer.prompt.tag, answer.prompt.prompt
        wrong.setdefault(key, []).append(answer.wrong)
    marks = [
        {"tag": tag, "prompt": prompt, "wrong": reasons}
        for (tag, prompt), reasons in wrong.items()
        if any(reasons)
    ]
    write_json(folder / "exam.json", outcome | {"wrong_answers": marks})
    parts = [f"# Exam of {escape(str(outcome['model']))}", *_facts(outcome), _table(outcome)]
    for number, (tag, score) in enumerate(outcome["scores"].items()):
        mine = [answer for answer in found if answer.prompt.tag == tag]
        count = min(SHOWN, len(mine))
        shown = [mine[i * len(mine) // count] for i in range(count)]
        labels = [one.prompt.prompt + f" ({one.wrong})" * bool(one.wrong) for one in shown]
        file = f"{number:02d}.webp"
        pictures = sheet(
            [one.image for one in shown],
            labels,
            size=(SIDE, SIDE),
            lines=LABEL_LINES,
            frames=[WRONG if one.wrong else RIGHT for one in shown],
        )
        pictures.save(folder / file, quality=88)
        parts.append(f"## {escape(tag)}: {score:.0%}\n\n![pictures and their prompts]({file})")
    (folder / "exam.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_json(path: Path, outcome: dict[str, Any]) -> dict[str, Any]:
    """Write and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    return outcome


def _facts(outcome: dict[str, Any]) -> list[str]:
    """What the figures mean, and how far the judge can be trusted."""
    facts = [
        f"{outcome['pictures']:,} pictures, preset {outcome['preset']}. Score: share of pictures marked right "
        f"by a judge ({escape(str(outcome.get('judge')))}) that sees pixels only. Ceiling: its marks on true "
        "renders of the same prompts. "
        "Unseen: prompts with a pair or a colored object that training never showed."
    ]
    for key, what in TRIED.items():
        if passed := outcome.get(key):
            shares = ", ".join(f"{kind} {share:.1%}" for kind, share in passed.items())
            facts.append(f"True renders that the judge still passes, {what}: {shares}.")
    for kind, figures in outcome.get("sharpness", {}).items():
        listed = ", ".join(
            f"{name.replace('_', ' ')} {value:.2f}" for name, value in figures.items()
        )
        facts.append(
            f"Sharpness, {kind.replace('_', ' ')}: {listed or 'not measured by this judge'}."
        )
    if spread := outcome.get("spread_of_true"):
        listed = ", ".join(f"{name} {value:.2f}" for name, value in spread.items())
        facts.append(f"Spread between 16 seeds, of that of true renders: {listed}.")
    if (distance := outcome["frechet_distance_judge_features"]) is not None:
        facts.append(
            f"Frechet distance from true renders on the judge's features: {distance:.2f} (no FID: "
            "comparable between versions of this model only)."
        )
    if unknown := outcome.get("not_asked"):
        lines = "\n".join(f"- {escape(line)}" for line in unknown)
        facts.append(
            f"{len(unknown)} prompts were not asked: the judge cannot mark them.\n\n{lines}"
        )
    facts.append(
        "Pictures are evenly spaced over each category's answers, not picked; green frames are "
        "right, red ones wrong, with the first reason."
    )
    return facts


def _table(outcome: dict[str, Any]) -> str:
    keys = ("scores", "ceiling", "of_ceiling", "scores_unseen")
    rows = [(tag, *(outcome[key].get(tag) for key in keys)) for tag in outcome["scores"]]
    rows.append(("**overall**", outcome["overall"], None, outcome["overall_of_ceiling"], None))
    lines = ["| category | score | ceiling | of ceiling | unseen |", "| --- |" + " ---: |" * 4]
    for tag, *values in rows:
        cells = ["–" if value is None else f"{value:.1%}" for value in values]
        lines.append(f"| {escape(tag)} | {' | '.join(cells)} |")
    return "\n".join(lines)
