"""The judge as the exam has it: the words of this world, and its weights in this repository."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from infinity.int8 import quantized
from infinity.scoring.judge import Judge, JudgeWords
from training.evaluation.prompts import CLASSES, COLORS, SCENE_PHRASES, STYLE_PHRASES
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
