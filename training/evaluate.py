"""The exam: put prompts with known answers to a model and mark its pictures.

``python -m training.evaluate --model default --prompts training/prompts/exam.jsonl --seeds 4
--output DIR`` writes ``exam.json`` (scores a category, each beside the judge's own ceiling on true
renders of the same prompts) and ``exam.html`` (a page of pictures, right and wrong ones).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from training.exam.frechet import frechet_distance
from training.exam.grade import grade
from training.exam.judge import WEIGHTS, Judge, load_judge
from training.exam.prompts import ExamPrompt, read_prompts
from training.exam.questions import EXAM
from training.exam.renders import spoilt_renders, true_render
from training.exam.report import Answer, write_report
from training.world.sprites import STYLES
from training.world.world import World

logger = logging.getLogger(__name__)

BATCH = 32


def answers(
    pipeline: InfinityPipeline, judge: Judge, prompts: Sequence[ExamPrompt], seeds: int
) -> list[Answer]:
    """Draw every prompt with seeds 0 to ``seeds`` - 1 and default settings, and mark the pictures."""
    found = []
    for prompt in tqdm(prompts, desc="exam"):
        request = GenerationRequest(prompt=prompt.prompt, num_images=seeds)
        images = pipeline.generate(request).images
        marks = [grade(prompt, seen) for seen in judge.see(images)]
        found += [
            Answer(prompt, seed, image, mark)
            for seed, (image, mark) in enumerate(zip(images, marks, strict=True))
        ]
    return found


def ceiling(
    judge: Judge, prompts: Sequence[ExamPrompt], world: World
) -> tuple[list[Answer], dict[str, float]]:
    """Marks of true renders, one a prompt, and the share of spoilt copies the judge lets pass."""
    right: list[Answer] = []
    let_pass: dict[str, list[bool]] = {}
    for index, prompt in enumerate(tqdm(prompts, desc="the judge's ceiling")):
        try:
            image = true_render(prompt, world, index)
        except ValueError as error:
            logger.warning("No true render: %s", error)
            continue
        right.append(Answer(prompt, index, image, grade(prompt, judge.see([image])[0])))
        spoilt = spoilt_renders(prompt, world, index)
        for kind, seen in zip(spoilt, judge.see(list(spoilt.values())), strict=True):
            let_pass.setdefault(kind, []).append(grade(prompt, seen).passed)
    return right, {kind: float(np.mean(passed)) for kind, passed in let_pass.items()}


def shares(found: Iterable[Answer]) -> dict[str, float]:
    """Share of right pictures a category, in the order the categories first appear."""
    marks: dict[str, list[bool]] = {}
    for answer in found:
        marks.setdefault(answer.prompt.tag, []).append(answer.mark.passed)
    return {tag: float(np.mean(passed)) for tag, passed in marks.items()}


def result(
    found: Sequence[Answer], true: Sequence[Answer], let_pass: dict[str, float], distance: float
) -> dict[str, Any]:
    """What goes into exam.json; ``of_ceiling`` is score / ceiling, at most 1."""
    scores, ceilings = shares(found), shares(true)
    unseen = [answer for answer in found if answer.prompt.unseen]
    of_ceiling = {
        tag: min(1.0, score / ceilings[tag]) for tag, score in scores.items() if ceilings.get(tag)
    }
    return {
        "scores": scores,
        "ceiling": ceilings,
        "of_ceiling": of_ceiling,
        "overall": float(np.mean(list(scores.values()))),
        "overall_of_ceiling": float(np.mean(list(of_ceiling.values()))) if of_ceiling else None,
        "scores_unseen": shares(unseen),
        "judge_lets_pass": let_pass,
        "frechet_distance_judge_features": distance,
        "pictures": len(found),
    }


def _distance(judge: Judge, found: Sequence[Answer], true: Sequence[Answer]) -> float:
    features = [
        np.concatenate(
            [
                judge.features([one.image for one in group[i : i + BATCH]])
                for i in range(0, len(group), BATCH)
            ]
        )
        for group in (found, true)
    ]
    return frechet_distance(*features)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default", help="registry name or folder")
    parser.add_argument("--prompts", type=Path, default=EXAM)
    parser.add_argument("--seeds", type=int, default=4, help="pictures a prompt")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--judge", type=Path, default=WEIGHTS)
    parser.add_argument("--world", type=Path, default=Path("data/world"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    torch.set_flush_denormal(True)
    prompts = read_prompts(arguments.prompts)
    judge = load_judge(arguments.judge)
    true, let_pass = ceiling(judge, prompts, World.load(arguments.world, styles=STYLES))
    pipeline = InfinityPipeline.from_pretrained(arguments.model)
    found = answers(pipeline, judge, prompts, arguments.seeds)
    outcome = result(found, true, let_pass, _distance(judge, found, true))
    outcome |= {
        "model": arguments.model,
        "prompts": str(arguments.prompts),
        "seeds": arguments.seeds,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "exam.json").write_text(json.dumps(outcome, indent=2) + "\n")
    write_report(arguments.output, outcome, found)
    logger.info("%s", json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
