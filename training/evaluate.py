"""The exam: put prompts with known answers to a model and mark its pictures.

``python -m training.evaluate --model default --prompts training/prompts/exam.jsonl --seeds 4
--output DIR`` writes ``exam.json`` (scores a category, each beside the judge's own ceiling on true
renders of the same prompts) and ``exam.html`` (a page of pictures, right and wrong ones).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.wildcards import escape
from training.exam.frechet import frechet_distance
from training.exam.grade import grade
from training.exam.judge import WEIGHTS, Judge, load_judge
from training.exam.prompts import ExamPrompt, sort_prompts
from training.exam.questions import EXAM
from training.exam.renders import spoilt_renders, true_render
from training.exam.report import Answer, write_report
from training.world.fetch import FetchError
from training.world.sprites import STYLES, ensure_sprites
from training.world.world import World

logger = logging.getLogger(__name__)

BATCH = 32
T = TypeVar("T")


def draw(
    pipeline: InfinityPipeline, wanted: Sequence[tuple[str, int]], **settings: Any
) -> Iterator[Image.Image]:
    """Pictures of (prompt, seed), many in one pass: equal to single ones but for rounding.

    Args:
        settings: of the request; the model's defaults otherwise.
    """
    for batch in tqdm(list(in_batches(wanted)), desc=f"{BATCH} pictures each"):
        requests = [
            GenerationRequest(prompt=escape(prompt), seed=seed, **settings)
            for prompt, seed in batch
        ]
        for done in pipeline.generate_batch(requests):
            yield from done.images


def answers(
    pipeline: InfinityPipeline,
    judge: Judge,
    prompts: Sequence[ExamPrompt],
    seeds: int,
    **settings: Any,
) -> list[Answer]:
    """Draw every prompt with seeds 0 to ``seeds`` - 1 and default settings, and mark the pictures."""
    asked = [(prompt, seed) for prompt in prompts for seed in range(seeds)]
    images = draw(pipeline, [(prompt.prompt, seed) for prompt, seed in asked], **settings)
    found: list[Answer] = []
    for batch in in_batches(zip(asked, images, strict=True)):
        seen = judge.see([image for _, image in batch])
        found += [
            Answer(prompt, seed, image, grade(prompt, what))
            for ((prompt, seed), image), what in zip(batch, seen, strict=True)
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
        spoilt = spoilt_renders(prompt, world, index)
        mine, *others = judge.see([image, *spoilt.values()])
        right.append(Answer(prompt, index, image, grade(prompt, mine)))
        for kind, seen in zip(spoilt, others, strict=True):
            let_pass.setdefault(kind, []).append(grade(prompt, seen).passed)
    return right, {kind: float(np.mean(passed)) for kind, passed in let_pass.items()}


def in_batches(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch


def sample(prompts: Sequence[ExamPrompt], limit: int | None) -> list[ExamPrompt]:
    """At most ``limit`` prompts a category, always the same ones, in the file's order."""
    if limit is None:
        return list(prompts)
    order = np.random.default_rng(0).permutation(len(prompts))
    left = dict.fromkeys((prompt.tag for prompt in prompts), limit)
    chosen = []
    for index in order.tolist():
        if left[prompts[index].tag] > 0:
            left[prompts[index].tag] -= 1
            chosen.append(index)
    return [prompts[index] for index in sorted(chosen)]


def shares(found: Iterable[Answer]) -> dict[str, float]:
    """Share of right pictures a category, in the order the categories first appear."""
    marks: dict[str, list[bool]] = {}
    for answer in found:
        marks.setdefault(answer.prompt.tag, []).append(answer.mark.passed)
    return {tag: float(np.mean(passed)) for tag, passed in marks.items()}


def result(
    found: Sequence[Answer], true: Sequence[Answer], let_pass: dict[str, float], apart: float | None
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
        "frechet_distance_judge_features": apart,
        "pictures": len(found),
    }


def distance(judge: Judge, drawn: Sequence[Image.Image], true: Sequence[Image.Image]) -> float:
    """Frechet distance of pictures from true renders, on the judge's features."""
    features = [
        np.concatenate([judge.features(batch) for batch in in_batches(group)])
        for group in (drawn, true)
    ]
    return frechet_distance(*features)


def examine(
    model: str, prompts: Sequence[ExamPrompt], seeds: int, judge: Judge, world: World
) -> tuple[dict[str, Any], list[Answer]]:
    """Put prompts to a model (a name or folder): what goes into exam.json, and the answers."""
    true, let_pass = ceiling(judge, prompts, world)
    found = answers(InfinityPipeline.from_pretrained(model), judge, prompts, seeds)
    apart = None
    if min(len(found), len(true)) > 1:
        apart = distance(judge, [one.image for one in found], [one.image for one in true])
    outcome = {"model": model, "seeds": seeds, **result(found, true, let_pass, apart)}
    return outcome, found


def write_outcome(folder: Path, outcome: dict[str, Any], found: Sequence[Answer]) -> None:
    """``exam.json``, with what is wrong with each prompt's pictures ("": nothing), and the page."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for answer in found:
        key = answer.prompt.tag, answer.prompt.prompt
        wrong.setdefault(key, []).append(answer.mark.reason)
    marks = [
        {"tag": tag, "prompt": prompt, "wrong": reasons} for (tag, prompt), reasons in wrong.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(outcome | {"answers": marks}, indent=1)
    (folder / "exam.json").write_text(text + "\n", encoding="utf-8")
    write_report(folder, outcome, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=expand_home, default="default", help="registry name or folder"
    )
    parser.add_argument("--prompts", type=home_path, default=EXAM)
    parser.add_argument("--seeds", type=int, default=4, help="pictures a prompt")
    parser.add_argument("--limit", type=int, help="prompts a category, for a quick look")
    parser.add_argument("--output", type=home_path, required=True)
    parser.add_argument("--judge", type=home_path, default=WEIGHTS)
    parser.add_argument(
        "--world", type=home_path, default=Path("data/world"), help="its art; built if missing"
    )
    arguments = parser.parse_args()
    log_to_terminal()
    if arguments.seeds < 1 or (arguments.limit is not None and arguments.limit < 1):
        parser.error("--seeds and --limit must be at least 1")
    torch.set_flush_denormal(True)
    try:
        prompts, unknown = sort_prompts(arguments.prompts)
        judge = load_judge(arguments.judge)
        ensure_sprites(arguments.world)
        world = World.load(arguments.world, styles=STYLES)
        outcome, found = examine(
            arguments.model, sample(prompts, arguments.limit), arguments.seeds, judge, world
        )
    except (InfinityError, FileNotFoundError, FetchError) as error:
        parser.exit(1, f"{error}\n")
    outcome |= {"prompts": arguments.prompts.name, "limit": arguments.limit, "not_asked": unknown}
    write_outcome(arguments.output, outcome, found)
    logger.info("%s", json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
