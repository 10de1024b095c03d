"""An exam that many models sit: the same prompts and seeds, held against the same true renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from infinity.pipeline import InfinityPipeline
from training.evaluate import answers, distance, shares
from training.exam.judge import Judge
from training.exam.prompts import ExamPrompt
from training.exam.renders import true_render
from training.world.world import World


@dataclass(frozen=True)
class Examination:
    """Args:
    seeds: pictures a prompt.
    world: of the true renders.
    """

    judge: Judge
    prompts: Sequence[ExamPrompt]
    seeds: int
    world: World

    def sit(self, pipeline: InfinityPipeline, **settings: Any) -> dict[str, Any]:
        """Shares of right pictures, their mean ``exam``, and the Frechet ``distance``."""
        found = answers(pipeline, self.judge, self.prompts, self.seeds, **settings)
        marks = shares(found)
        return {
            **marks,
            "exam": float(np.mean(list(marks.values()))),
            "distance": distance(self.judge, [one.image for one in found], self.true_pictures),
            "pictures": len(found),
        }

    @cached_property
    def true_pictures(self) -> list[Image.Image]:
        """True renders of the prompts, as many as a model draws."""
        return [
            true_render(prompt, self.world, seed * len(self.prompts) + index)
            for index, prompt in enumerate(self.prompts)
            for seed in range(self.seeds)
        ]
