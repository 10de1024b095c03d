"""The exam: prompts with known answers are put to a model, and a judge marks its pictures."""

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from infinity.pipeline import InfinityPipeline
from infinity.scoring.judge import Judge, load_judge
from training.drawing import draw
from training.evaluation.grade import Answer, grade
from training.evaluation.judge import WEIGHTS
from training.evaluation.prompts import EXAM, ExamPrompt, read_prompts
from training.evaluation.renders import renders
from training.evaluation.report import write_outcome
from training.world.concepts import STYLES
from training.world.sprites import ensure_sprites
from training.world.world import World

logger = logging.getLogger(__name__)

BATCH = 32


def examine(
    model: str,
    output: Path,
    *,
    prompts: Path = EXAM,
    seeds: int = 4,
    limit: int | None = None,
    preset: str = "balanced",
    candidates: int = 1,
    prune_at_scale: int = 0,
    judge: Path = WEIGHTS,
    world: Path,
) -> dict[str, Any]:
    """Put prompts to a model (a name or folder); write exam.json and exam.md, return the former.

    Args:
        output: the folder of both.
        seeds: pictures a prompt.
        limit: prompts a category, for a quick look; None: all.
        preset: whose settings the pictures are drawn with.
        candidates, prune_at_scale: of a request. The judge chooses what the judge then marks.
        judge: its weights.
        world: folder of its art; built if missing.

    Raises:
        InfinityError: unreadable prompts, no judge or no model.
        FetchError: the art cannot be fetched.
    """
    asked, unknown = read_prompts(prompts)
    asked, marker = sample(asked, limit), load_judge(judge)
    ensure_sprites(world)
    true, passed_spoiled = ceiling(marker, asked, World.load(world, styles=STYLES))
    best_of = {"candidates": candidates, "prune_at_scale": prune_at_scale} if candidates > 1 else {}
    pipeline = InfinityPipeline.from_pretrained(model)
    found = answers(pipeline, marker, asked, seeds, preset, **best_of)
    distance = None
    if min(len(found), len(true)) > 1:
        drawn, rendered = (np.stack([one.features for one in group]) for group in (found, true))
        distance = frechet_distance(drawn, rendered)
    outcome: dict[str, Any] = {"model": model, "preset": preset, "seeds": seeds, **best_of}
    outcome["variety"] = variety(found, seeds)
    outcome |= result(found, true, passed_spoiled, distance)
    outcome |= {"prompts": prompts.name, "limit": limit, "not_asked": unknown}
    write_outcome(output, outcome, found)
    return outcome


def answers(
    pipeline: InfinityPipeline,
    judge: Judge,
    prompts: Sequence[ExamPrompt],
    seeds: int,
    preset: str = "balanced",
    **best_of: Any,
) -> list[Answer]:
    """Draw every prompt with seeds 0 to ``seeds`` - 1 and a preset's settings, and mark the pictures.

    Args:
        best_of: as ``training.drawing.draw`` takes it.
    """
    asked = [(prompt, seed) for prompt in prompts for seed in range(seeds)]
    pictures = draw(
        pipeline, [(prompt.prompt, seed) for prompt, seed in asked], BATCH, preset, **best_of
    )
    found: list[Answer] = []
    while images := list(islice(pictures, BATCH)):
        for image, seen in zip(images, judge.see(images), strict=True):
            prompt, _ = asked[len(found)]
            found.append(Answer(prompt, image, grade(prompt, seen), seen.features))
    return found


def ceiling(
    judge: Judge, prompts: Sequence[ExamPrompt], world: World
) -> tuple[list[Answer], dict[str, float]]:
    """Marks of true renders, one a prompt, and the share of spoiled copies that the judge passes."""
    marked: list[tuple[str, Answer]] = []
    for index, prompt in enumerate(tqdm(prompts, desc="the judge's ceiling")):
        try:
            drawn = renders(prompt, world, index)
        except ValueError as error:
            logger.warning("No true render: %s", error)
            continue
        for (kind, image), seen in zip(drawn.items(), judge.see([*drawn.values()]), strict=True):
            marked.append((kind, Answer(prompt, image, grade(prompt, seen), seen.features)))
    right = [answer for kind, answer in marked if kind == "true"]
    return right, _shares((kind, answer) for kind, answer in marked if kind != "true")


def sample(prompts: Sequence[ExamPrompt], limit: int | None) -> list[ExamPrompt]:
    """At most ``limit`` prompts a category, always the same ones, in the file's order; None: all."""
    order = np.random.default_rng(0).permutation(len(prompts)).tolist()
    by_tag: dict[str, list[int]] = {}
    for index in order:
        by_tag.setdefault(prompts[index].tag, []).append(index)
    return [prompts[i] for i in sorted(i for chosen in by_tag.values() for i in chosen[:limit])]


def shares(found: Iterable[Answer]) -> dict[str, float]:
    """Share of right pictures a category, in the order the categories first appear."""
    return _shares((answer.prompt.tag, answer) for answer in found)


def _shares(found: Iterable[tuple[str, Answer]]) -> dict[str, float]:
    marks: dict[str, list[bool]] = {}
    for group, answer in found:
        marks.setdefault(group, []).append(not answer.wrong)
    return {group: float(np.mean(right)) for group, right in marks.items()}


def result(
    found: Sequence[Answer],
    true: Sequence[Answer],
    passed_spoiled: dict[str, float],
    distance: float | None,
) -> dict[str, Any]:
    """What goes into exam.json; ``of_ceiling`` is score / ceiling, at most 1."""
    scores, ceilings = shares(found), shares(true)
    of_ceiling = {
        tag: min(1.0, score / ceilings[tag]) for tag, score in scores.items() if ceilings.get(tag)
    }
    return {
        "scores": scores,
        "ceiling": ceilings,
        "of_ceiling": of_ceiling,
        "overall": float(np.mean(list(scores.values()))),
        "overall_of_ceiling": float(np.mean(list(of_ceiling.values()))) if of_ceiling else None,
        "scores_unseen": shares(answer for answer in found if answer.prompt.unseen),
        "judge_lets_pass": passed_spoiled,
        "frechet_distance_judge_features": distance,
        "pictures": len(found),
    }


def variety(found: Sequence[Answer], seeds: int) -> float:
    """How far apart the pictures of one prompt lie, in the judge's features: the mean distance from
    their mean."""
    features = np.stack([one.features for one in found]).reshape(-1, seeds, len(found[0].features))
    away = np.linalg.norm(features - features.mean(1, keepdims=True), axis=-1)
    return float(away.mean())


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between Gaussians fitted to features (N, F) and (M, F), N and M at least 2; 0 for the same
    distribution (Heusel et al., 2017).

    On the judge's features, the figures compare versions of the default model with each other and
    with nothing else: they are no FID, which is defined on Inception features.
    """
    mean = one.mean(0) - other.mean(0)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # The trace of (first second)^(1/2) is the sum of the roots of the product's eigenvalues.
    eigenvalues = np.linalg.eigvals(first @ second).real.clip(min=0)
    return float(mean @ mean + np.trace(first) + np.trace(second) - 2 * np.sqrt(eigenvalues).sum())
