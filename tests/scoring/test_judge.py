"""The judge reads what prompts ask for, and knows their pictures from others'."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from infinity.errors import RequestError
from infinity.registry import get_spec
from infinity.scoring.asked import Asked, Thing, read
from infinity.scoring.judge import load_judge
from infinity.scoring.likeness import likeness
from infinity.scoring.load import load_scorer
from infinity.shipped import shipped
from training.evaluation.judge import WEIGHTS, WORDS
from training.evaluation.prompts import EXAM, read_prompts


def test_shipped_judge_knows_all_that_the_shipped_model_draws():
    words, drawn = load_judge(WEIGHTS).words, get_spec("default").vocabulary
    assert drawn is not None
    assert {name for names in drawn.objects.values() for name in names} == {*words.concepts}
    assert {*drawn.scenes} < {*words.scenes} and {*drawn.styles} == {*words.styles}
    assert {*words.concepts} < {*WORDS.concepts}  # the world has grown since


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a red car", Asked((Thing("car", None, "red"),))),
        ("Two PUPPIES on the beach, in cartoon style", Asked((Thing("dog", 2),), "beach", "cartoon")),
        (
            "a blue robot to the left of a cactus on a white background",
            Asked((Thing("robot", None, "blue", "left of"), Thing("cactus")), "white"),
        ),
        ("a quiet afternoon", Asked()),
        ("", Asked()),
    ],
)  # fmt: skip
def test_prompt_is_read_as_what_it_asks_for(prompt, asked):
    assert read(prompt, WORDS) == asked


def test_prompts_of_the_judges_own_exam_are_read_as_their_answers():
    prompts, _ = read_prompts(EXAM.with_name("exam.jsonl"))
    wrong = []
    for prompt in prompts[::7]:
        asked = read(prompt.prompt, WORDS)
        things = {(thing.concept, thing.color) for thing in asked.things}
        is_read = things == {(one.concept, one.color or "") for one in prompt.include}
        is_read &= (asked.scene, asked.style) == (prompt.scene or "", prompt.style or "")
        wrong += [] if is_read else [prompt.prompt]
    assert len(wrong) <= 2, wrong


def test_pictures_are_likest_to_their_own_prompts():
    folder = shipped("assets/examples")
    examples = json.loads((folder / "examples.json").read_text())[:6]
    images = [Image.open(folder / one["file"]) for one in examples]
    judge = load_judge(WEIGHTS)
    for number, example in enumerate(examples):
        marks = likeness(judge, read(example["prompt"], judge.words), images)
        assert marks.index(max(marks)) == number, example["prompt"]


def test_prompt_that_the_judge_cannot_read_is_refused():
    with pytest.raises(RequestError, match="knows none of the prompt's words"):
        load_scorer("judge")("a quiet afternoon")
