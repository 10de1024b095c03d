"""The learned judge as the exam has it: its words, its weights in this repository, and what it can mark."""

import json
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from infinity.int8 import quantized
from infinity.scoring.judge import Judge, JudgeWords, Seen, load_judge
from training.evaluation.prompts import CLASSES, COLORS, SCENE_PHRASES, STYLE_PHRASES, ExamPrompt
from training.world.color import BACKGROUNDS
from training.world.concepts import CONCEPTS, STYLES
from training.world.places import PLACES

WORDS = JudgeWords(
    concepts=tuple(CONCEPTS),
    colors=COLORS,
    styles=STYLES,
    scenes=(*PLACES, *BACKGROUNDS, "gradient"),
    nouns=CLASSES,
    scene_phrases={
        phrase: scene for phrase, scene in SCENE_PHRASES.items() if phrase not in BACKGROUNDS
    },
    style_phrases=STYLE_PHRASES,
)
WEIGHTS = Path(__file__).parent.parent.parent / "assets" / "judge.safetensors"


def save_judge(judge: Judge, path: Path) -> None:
    """Large weights as int8, the rest in half precision; batch counters stay whole numbers. The words
    go beside them."""
    state = {
        k: (v.half() if v.dtype == torch.float32 else v).contiguous()
        for k, v in quantized(judge.state_dict()).items()
    }
    save_file(state, path)
    save_words(judge.words, path)


def save_words(words: JudgeWords, path: Path) -> None:
    """The words of the judge whose weights are ``path``."""
    text = json.dumps(words.to_dict(), ensure_ascii=False, separators=(",", ":"))
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


class LearnedJudge:
    """A judge that was trained to see, and marks by what it has learnt to name.

    Args:
        weights: its own, with its words beside them.
    """

    def __init__(self, weights: Path) -> None:
        self.judge = load_judge(weights)

    def look(self, image: Image.Image, prompt: ExamPrompt) -> Seen:
        """All that is in the picture, whatever the prompt is about."""
        return self.judge.see([image])[0]

    def knows(self, prompt: ExamPrompt) -> bool:
        """Whether it has the words for all that the prompt is about, and eyes for it."""
        words, items = self.judge.words, (*prompt.include, *prompt.exclude)
        relations = {item.position[0] for item in items if item.position}
        return (
            {item.concept for item in items} <= {*words.concepts}
            and {item.color for item in items} <= {None, *words.colors}
            and prompt.style in (None, *words.styles)
            and prompt.scene in (None, *words.scenes)
            and not relations & {"in front of", "behind"}
            and not any(item.facing for item in items)
        )
