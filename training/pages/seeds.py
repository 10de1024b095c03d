"""What the seed does: sixteen seeds of short prompts, as they are and completed by the seed."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from infinity.pipeline import InfinityPipeline
from infinity.scoring.judge import load_judge
from training.drawing import draw, sheet
from training.evaluation.judge import WEIGHTS

logger = logging.getLogger(__name__)

PROMPTS = ("a cat", "a red car", "a robot", "three apples", "a dog and a balloon", "a castle",
           "a butterfly", "a rose")  # fmt: skip
SEEDS, BATCH, TILE = 16, 8, 48


def write_seeds(pipeline: InfinityPipeline, output: Path) -> None:
    """One sheet, a row a prompt, as it is above and completed below; the figures of both go to the log.

    Raises:
        RequestError: no judge.
    """
    judge, pictures = load_judge(WEIGHTS), []
    for completed in (False, True):
        asked = [(prompt, seed) for prompt in PROMPTS for seed in range(SEEDS)]
        drawn = list(draw(pipeline, asked, BATCH, complete_prompt=completed))
        features = np.stack([seen.features for seen in judge.see(drawn)])
        away = features.reshape(len(PROMPTS), SEEDS, -1)
        away = np.linalg.norm(away - away.mean(1, keepdims=True), axis=-1)
        logger.info(
            "completed %s: pixel RMS between seeds %.1f of 255, distance from the mean in the judge's "
            "features %.1f",
            completed, spread(drawn), away.mean(),
        )  # fmt: skip
        pictures += drawn
    sheet(pictures, columns=SEEDS, size=(TILE, TILE)).save(output, quality=45, method=6)


def spread(pictures: list[Image.Image]) -> float:
    """Mean over the prompts of the mean pixel RMS between two of their pictures."""
    values = np.stack([np.asarray(picture, np.float32) for picture in pictures])
    values = values.reshape(len(PROMPTS), SEEDS, -1)
    one, other = np.triu_indices(SEEDS, 1)
    return float(np.mean([np.sqrt(np.square(v[one] - v[other]).mean(1)) for v in values]))
