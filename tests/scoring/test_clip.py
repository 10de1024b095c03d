"""A CLIP-like model is a scorer; anything else is refused in a sentence."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, T5Config, T5EncoderModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from infinity.errors import ResourceError
from infinity.scoring.clip import clip_scorer

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny CLIP with random weights, as transformers saves it."""
    path = tmp_path_factory.mktemp("clip")
    letters = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    vocabulary = {piece: number for number, piece in enumerate((*letters, *SPECIAL))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[])
    text = {
        **SIZES,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 12,
        "eos_token_id": 53,
    }
    config = CLIPConfig(
        text_config=text,
        vision_config={**SIZES, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    side = {"height": 16, "width": 16}
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=side).save_pretrained(path)
    return path


def test_score_is_the_cosine_of_picture_and_prompt(folder):
    scorer = clip_scorer(str(folder))
    images = [Image.new("RGB", (40, 24), color) for color in ("red", "blue", "red")]
    marks = scorer("a red dog")(images)
    assert marks[0] == pytest.approx(marks[2], abs=1e-6) and marks[0] != marks[1]
    assert all(-1 <= mark <= 1 for mark in marks)
    assert scorer("a blue cat")(images) != marks
    assert len(scorer("a very long prompt " * 30)(images[:1])) == 1


def test_model_without_pictures_is_refused(tmp_path):
    sizes = {"vocab_size": 8, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    T5EncoderModel(T5Config(**sizes)).save_pretrained(tmp_path)
    for name in (str(tmp_path), str(tmp_path / "nothing")):
        with pytest.raises(ResourceError, match="CLIP-like model such as openai/clip"):
            clip_scorer(name)
