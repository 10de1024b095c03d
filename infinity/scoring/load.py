"""Scorers by name: the default model's judge, or any CLIP-like model."""

from functools import lru_cache

from infinity.errors import RequestError
from infinity.request import JUDGE
from infinity.scoring.asked import read
from infinity.scoring.clip import clip_scorer
from infinity.scoring.judge import load_judge
from infinity.scoring.likeness import likeness
from infinity.scoring.scorer import Scorer, Scores
from infinity.shipped import shipped


@lru_cache(maxsize=1)
def load_scorer(name: str) -> Scorer:
    """A scorer by its name; the one used last stays in memory.

    Args:
        name: "judge", or a CLIP-like model's on the hub, or its folder.

    Raises:
        CheckpointError: the judge's files are missing or damaged.
        ResourceError: no such model can be had.
    """
    return judge_scorer() if name == JUDGE else clip_scorer(name)


def judge_scorer() -> Scorer:
    """By what the default model's judge sees of the things, colors, places and style asked for."""
    judge = load_judge(shipped("assets/judge.safetensors"))

    def scorer(prompt: str) -> Scores:
        asked = read(prompt, judge.words)
        if not (asked.things or asked.scene or asked.style):
            raise RequestError(
                "The judge knows none of the prompt's words, so it cannot choose; name another scorer, "
                "or ask for one candidate."
            )
        return lambda images: likeness(judge, asked, images)

    return scorer
