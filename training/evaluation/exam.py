"""The exam: prompts with known answers are put to a model, and a judge marks its pictures."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from tqdm import tqdm

from infinity.pipeline import InfinityPipeline
from infinity.scoring.judge import Judge, Seen, load_judge
from training.drawing import draw
from training.evaluation.art_judge import ArtJudge, Sight
from training.evaluation.damage import DAMAGE, HARMLESS, mirrored_prompt
from training.evaluation.grade import Answer, grade
from training.evaluation.judge import WEIGHTS, LearnedJudge
from training.evaluation.prompts import EXAM, ExamPrompt, read_prompts
from training.evaluation.renders import render
from training.evaluation.report import write_json, write_outcome
from training.evaluation.sharpness import sharpness, summary
from training.evaluation.spread import spread
from training.world.concepts import STYLES
from training.world.sprites import ensure_sprites
from training.world.world import World

logger = logging.getLogger(__name__)

BATCH = 32
ART = "art"
"""The judge that finds the art itself."""
TRIED = 8
"""Prompts a category whose renders are damaged, to try the judge, and sent through the tokenizer."""


class Marker(Protocol):
    """A judge: what it sees in a picture of what a prompt is about, and whether it has words for that."""

    def look(self, image: Image.Image, prompt: ExamPrompt, /) -> Seen | Sight: ...
    def knows(self, prompt: ExamPrompt, /) -> bool: ...


class Examiner:
    """A judge that marks, and the eye whose features pictures are compared by."""

    def __init__(self, marker: Marker, eye: Judge) -> None:
        self.marker, self.eye = marker, eye

    def answer(self, prompt: ExamPrompt, image: Image.Image) -> Answer:
        seen = self.marker.look(image, prompt)
        wrong = grade(prompt, seen)
        sharp = sharpness(image, seen.nearest) if isinstance(seen, Sight) and not wrong else None
        return Answer(prompt, image, wrong, self.eye.see([image])[0].features, sharp)


def examine(
    model: str | None,
    output: Path,
    *,
    prompts: Path = EXAM,
    seeds: int = 4,
    limit: int | None = None,
    preset: str = "balanced",
    candidates: int = 1,
    prune_at_scale: int = 0,
    judge: str = ART,
    world: Path,
) -> dict[str, Any]:
    """Put prompts to a model (a name or folder); write exam.json and exam.md, return the former.

    Args:
        model: None: the judge alone is tried, on true renders and damaged ones, and judge.json written.
        output: the folder of both.
        seeds: pictures a prompt.
        limit: prompts a category, for a quick look; None: all.
        preset: whose settings the pictures are drawn with.
        candidates, prune_at_scale: of a request. The page's judge chooses, whoever marks.
        judge: "art", or a learned judge's weights.
        world: folder of its art; built if missing.

    Raises:
        InfinityError: unreadable prompts, no judge or no model.
        FetchError: the art cannot be fetched.
    """
    asked, unknown = read_prompts(prompts)
    ensure_sprites(world)
    art = World.load(world, styles=STYLES)
    marker = ArtJudge(art) if judge == ART else LearnedJudge(Path(judge))
    examiner = Examiner(marker, load_judge(WEIGHTS))
    unknown += [f"{one.prompt}: not in the judge's words" for one in asked if not marker.knows(one)]
    asked = [one for one in asked if marker.knows(one)]
    if model is None:
        true = ceiling(examiner, sample(asked, limit), art)
        tried = trust(examiner, true)
        return write_json(output / "judge.json", {"judge": judge, "ceiling": shares(true)} | tried)
    pipeline = InfinityPipeline.from_pretrained(model)
    ratios = pipeline.spec.aspect_ratios
    unknown += [
        f"{one.prompt}: {one.ratio} is not drawn" for one in asked if one.ratio not in ratios
    ]
    asked = sample([one for one in asked if one.ratio in ratios], limit)
    true = ceiling(examiner, asked, art)
    best_of = {"candidates": candidates, "prune_at_scale": prune_at_scale} if candidates > 1 else {}
    found = answers(pipeline, examiner, asked, seeds, preset, **best_of)
    distance = None
    if min(len(found), len(true)) > 1:
        drawn, rendered = (np.stack([one.features for one in group]) for group in (found, true))
        distance = frechet_distance(drawn, rendered)
    outcome: dict[str, Any] = {
        "model": model,
        "judge": judge,
        "preset": preset,
        "seeds": seeds,
        **best_of,
    }
    outcome |= result(found, true, distance) | trust(examiner, true)
    rebuilt = [
        examiner.answer(one.prompt, pipeline.reconstruct(one.image, one.prompt.ratio).image)
        for one in tqdm(some(true), desc="the tokenizer alone")
    ]
    groups = {"drawn": found, "tokenizer_only": rebuilt, "true": true}
    outcome["tokenizer_only"] = shares(rebuilt)
    outcome["sharpness"] = {
        name: summary(one.sharpness for one in group) for name, group in groups.items()
    }
    outcome["spread_of_true"] = spread(pipeline, examiner.eye, art, preset)
    outcome |= {"prompts": prompts.name, "limit": limit, "not_asked": unknown}
    write_outcome(output, outcome, found)
    return outcome


def answers(
    pipeline: InfinityPipeline,
    examiner: Examiner,
    prompts: Sequence[ExamPrompt],
    seeds: int,
    preset: str = "balanced",
    **best_of: Any,
) -> list[Answer]:
    """Draw every prompt with seeds 0 to ``seeds`` - 1 and a preset's settings, and mark the pictures.

    Args:
        best_of: as ``training.drawing.draw`` takes it.
    """
    found: list[Answer] = []
    for ratio in dict.fromkeys(prompt.ratio for prompt in prompts):
        asked = [(one, seed) for one in prompts if one.ratio == ratio for seed in range(seeds)]
        wanted = [(prompt.prompt, seed) for prompt, seed in asked]
        pictures = draw(pipeline, wanted, BATCH, preset, aspect_ratio=ratio, **best_of)
        for (prompt, _), image in zip(asked, pictures, strict=True):
            found.append(examiner.answer(prompt, image))
    return found


def ceiling(examiner: Examiner, prompts: Sequence[ExamPrompt], world: World) -> list[Answer]:
    """Marks of true renders, one a prompt."""
    true = []
    for index, prompt in enumerate(tqdm(prompts, desc="the judge's ceiling")):
        try:
            image = render(prompt, world, index)
        except ValueError as error:
            logger.warning("No true render: %s", error)
            continue
        true.append(examiner.answer(prompt, image))
    return true


def some(true: Sequence[Answer]) -> list[Answer]:
    """A few of every category."""
    kept = sample([one.prompt for one in true], TRIED)
    return [one for one in true if any(one.prompt is prompt for prompt in kept)]


def trust(examiner: Examiner, true: Sequence[Answer]) -> dict[str, Any]:
    """How far a judge can be trusted, on a few renders that it marks right: the share that it lets pass
    when they are damaged, and when they are changed in a way that does no harm."""
    right = [one for one in some(true) if not one.wrong]
    marks: dict[str, list[bool]] = {name: [] for name in (*DAMAGE, *HARMLESS)}
    for one in tqdm(right, desc="the judge, tried"):
        for name, change in (DAMAGE | HARMLESS).items():
            prompt = mirrored_prompt(one.prompt) if name == "mirrored" else one.prompt
            marks[name].append(not grade(prompt, examiner.marker.look(change(one.image), prompt)))
    passed = {name: float(np.mean(kept)) for name, kept in marks.items() if kept}
    return {
        "judge_lets_pass": {name: share for name, share in passed.items() if name in DAMAGE},
        "judge_accepts": {name: share for name, share in passed.items() if name in HARMLESS},
    }


def sample(prompts: Sequence[ExamPrompt], limit: int | None) -> list[ExamPrompt]:
    """At most ``limit`` prompts a category, always the same ones, in the file's order; None: all."""
    order = np.random.default_rng(0).permutation(len(prompts)).tolist()
    by_tag: dict[str, list[int]] = {}
    for index in order:
        by_tag.setdefault(prompts[index].tag, []).append(index)
    return [prompts[i] for i in sorted(i for chosen in by_tag.values() for i in chosen[:limit])]


def shares(found: Iterable[Answer]) -> dict[str, float]:
    """Share of right pictures a category, in the order the categories first appear."""
    marks: dict[str, list[bool]] = {}
    for answer in found:
        marks.setdefault(answer.prompt.tag, []).append(not answer.wrong)
    return {group: float(np.mean(right)) for group, right in marks.items()}


def result(
    found: Sequence[Answer], true: Sequence[Answer], distance: float | None
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
        "frechet_distance_judge_features": distance,
        "pictures": len(found),
    }


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
