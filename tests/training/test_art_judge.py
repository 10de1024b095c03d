"""The exam of the larger world and its judge, which finds the art itself: on art of colored noise."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from infinity.world.wording import written
from tests.test_architecture import ROOT
from training.evaluation import questions
from training.evaluation.art_judge import ArtJudge
from training.evaluation.damage import DAMAGE, HARMLESS, mirrored_prompt
from training.evaluation.grade import grade
from training.evaluation.prompts import EXAM, ExamPrompt, Wanted, read_prompts
from training.evaluation.renders import render
from training.evaluation.sharpness import sharpness, summary
from training.world.captions import free_caption, world_vocabulary
from training.world.concepts import CONCEPTS
from training.world.places import PLACES
from training.world.sampling import is_held_out_color, is_held_out_pair, sample_scene
from training.world.world import World

NAMES = ("duck", "crown", "guitar")


@pytest.fixture(scope="module")
def world():
    """Three things, each a disc of smooth noise of its own."""
    generator = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    alpha = 255 * (x**2 + y**2 < 1)
    sprites = {}
    for name in NAMES:
        noise = torch.rand(1, 3, 12, 12, generator=generator)
        colors = F.interpolate(noise, (96, 96), mode="nearest")[0] * 255
        art = torch.cat((colors, alpha[None])).permute(1, 2, 0)
        sprites["3d", name] = art.byte().numpy()
    return World(sprites)


def asked(*include, **more):
    return ExamPrompt(tag="t", prompt="p", include=include, **more)


DUCK, CROWN = (
    Wanted(concept="duck", facing="left"),
    Wanted(concept="crown", position=("left of", 0)),
)


def test_art_judge_passes_true_and_harmless_pictures_and_refuses_damaged_ones(world):
    judge, prompt = ArtJudge(world), asked(DUCK, CROWN, scene="beach")
    true = render(prompt, world, 0)
    assert not grade(prompt, judge.look(true, prompt))
    for name, change in HARMLESS.items():
        its = mirrored_prompt(prompt) if name == "mirrored" else prompt
        assert not grade(its, judge.look(change(true), its)), name
    for name, damage in DAMAGE.items():
        assert grade(prompt, judge.look(damage(true), prompt)), name
    assert grade(prompt, judge.look(HARMLESS["mirrored"](true), prompt))


def test_art_judge_counts_and_misses_what_is_not_there(world):
    judge, three = ArtJudge(world), Wanted(concept="duck", count=3)
    picture = render(asked(three), world, 0)
    for count, right in ((2, False), (3, True)):
        prompt = asked(
            Wanted(concept="duck", count=count),
            exclude=(three.model_copy(update={"count": count + 1}),),
        )
        assert (not grade(prompt, judge.look(picture, prompt))) == right
    assert "crown" in grade(
        asked(Wanted(concept="crown")), judge.look(picture, asked(Wanted(concept="crown")))
    )


def test_sharpness_is_full_for_the_same_picture_and_tells_soft_ones(world):
    picture = render(asked(DUCK), world, 0)
    same, soft = sharpness(picture, picture), sharpness(DAMAGE["blurred"](picture), picture)
    assert same.edge_fidelity == same.edge_energy == pytest.approx(1)
    assert soft.edge_fidelity < 0.4 and soft.edge_energy < 0.4
    assert summary([same, soft, None])["pictures"] == 2 and not summary([None])


def test_exam_is_what_its_writer_writes_and_half_of_it_was_never_shown():
    prompts, unknown = read_prompts(EXAM)
    assert not unknown
    lines = sorted(questions.questions(), key=lambda line: line["tag"] == "casual")
    assert [line["prompt"] for line in lines] == [prompt.prompt for prompt in prompts]
    for prompt in prompts:
        names = [item.concept for item in prompt.include]
        if len(names) == 2 and prompt.tag not in ("casual",):
            assert ("pair" in prompt.unseen) == is_held_out_pair(*names)
        if prompt.tag == "colors":
            item = prompt.include[0]
            assert ("colour" in prompt.unseen) == is_held_out_color(str(item.color), item.concept)


def test_exam_shares_no_wording_with_the_captions():
    rng = np.random.default_rng(0)
    scenes = [
        sample_scene(
            rng, concepts=tuple(CONCEPTS), styles=("3d", "cartoon"), stage=stage, split="train"
        )
        for stage in ("single", "full", "composed")
        for _ in range(300)
    ]
    captions = [free_caption(scene, rng) for scene in scenes]
    captions += [written(scene, world_vocabulary()) for scene in scenes]
    for frame in questions.FRAMES:
        words = max(re.split(r"[{}]+", frame), key=len).strip(" ,:")
        assert not any(words.lower() in caption.lower() for caption in captions), words
    phrases = {phrase for place in PLACES.values() for phrase in place.phrases}
    assert not phrases & {*questions.PLACED.values()} and {*questions.PLACED} == {*PLACES}
    assert not {prompt.prompt.lower() for prompt in read_prompts(EXAM)[0]} & {
        c.lower() for c in captions
    }


def test_damage_is_in_no_training_code():
    users = [
        path.name
        for path in (ROOT / "training").glob("**/*.py")
        if "evaluation.damage" in path.read_text(encoding="utf-8")
    ]
    assert users == ["exam.py"]
