"""The exam: prompts, marks, the judge's lessons and its own plumbing, without trained weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from infinity.errors import CheckpointError, RequestError
from infinity.scoring.judge import Detection, Judge, Seen, load_judge
from tests.tiny import tiny_pipeline
from training.drawing import draw
from training.evaluation.exam import (
    Examiner,
    answers,
    frechet_distance,
    result,
    sample,
    shares,
)
from training.evaluation.grade import Answer, grade
from training.evaluation.judge import WORDS, save_judge
from training.evaluation.judge_training import judge_example, judge_loss, train_judge
from training.evaluation.prompts import COLORS, EXAM, FIRST_EXAM, ExamPrompt, Wanted, read_prompts
from training.evaluation.renders import scene_of
from training.evaluation.report import write_outcome
from training.world.concepts import CONCEPTS
from training.world.sampling import is_held_out_color, is_held_out_pair
from training.world.world import World

TAGS = {
    *("single_object", "two_object", "counting", "colors", "position", "color_attr"),
    *("style", "scene"),
}


@pytest.fixture(scope="module")
def world():
    """All concepts and both styles, as plain discs and squares of various colours."""
    rng = np.random.default_rng(0)
    sprites = {}
    for style in ("3d", "cartoon"):
        for name in CONCEPTS:
            sprite = np.full((40, 40, 4), 255, np.uint8)
            sprite[..., :3] = rng.integers(0, 256, 3)
            sprites[style, name] = sprite
    return World(sprites, ("3d", "cartoon"))


def seen(*objects, scene="white"):
    """Detections from (concept, x, y) or (concept, x, y, colour, style)."""
    made = []
    for concept, x, y, *rest in objects:
        color, style = (*rest, "red", "3d")[:2] if len(rest) < 2 else rest
        made.append(Detection(concept, color, style, x, y, 0.3, 0.3))
    return Seen(tuple(made), scene, np.zeros(1))


def test_shipped_exam_is_complete_and_marks_what_was_never_shown():
    prompts, unknown = read_prompts(FIRST_EXAM)
    assert {prompt.tag for prompt in prompts} == TAGS and not unknown
    for tag in TAGS:
        mine = [prompt for prompt in prompts if prompt.tag == tag]
        assert len(mine) == len({prompt.prompt for prompt in mine}) == 105
    for prompt in prompts:
        names = [item.concept for item in prompt.include]
        if len(names) == 2:
            assert ("pair" in prompt.unseen) == is_held_out_pair(*names)
        if prompt.tag == "colors":
            (item,) = prompt.include
            assert item.color is not None
            unseen = item.color != CONCEPTS[item.concept].natural and is_held_out_color(
                item.color, item.concept
            )
            assert ("colour" in prompt.unseen) == unseen


def test_language_file_asks_for_the_same_things_in_nine_wordings():
    prompts, _ = read_prompts(EXAM.with_name("language.jsonl"))
    by_tag = {prompt.tag: [] for prompt in prompts}
    for prompt in prompts:
        by_tag[prompt.tag].append(prompt)
    plain = by_tag.pop("plain")
    assert len(by_tag) == 8 and len({prompt.prompt for prompt in plain}) > 30
    for others in by_tag.values():
        assert len(others) == 40
        for one, other in zip(plain, others, strict=True):
            assert (one.include, one.scene) == (other.include, other.scene)
            assert one.prompt != other.prompt


def test_every_part_of_a_prompt_is_read(tmp_path):
    prompt = ExamPrompt(
        tag="position",
        prompt="a dog left of a red car",
        include=(
            Wanted(concept="car", color="red"),
            Wanted(concept="dog", position=("left of", 0)),
        ),
        exclude=(Wanted(concept="cat"),),
        style="3d",
        scene="meadow",
        unseen=("pair",),
    )
    line = {
        "tag": "position",
        "prompt": "a dog left of a red car",
        "include": [{"class": "car", "color": "red"}, {"class": "dog", "position": ["left of", 0]}],
        "exclude": [{"class": "cat"}],
        "style": "3d",
        "scene": "meadow",
        "unseen": ["pair"],
    }
    (tmp_path / "p.jsonl").write_text(json.dumps(line) + "\n")
    assert read_prompts(tmp_path / "p.jsonl") == ([prompt], [])


def test_prompts_take_synonyms_and_capitals():
    prompt = ExamPrompt.model_validate(
        {"tag": "x", "prompt": "p", "include": [{"class": "Puppy"}], "scene": "red background"}
    )
    assert prompt.include[0].concept == "dog" and prompt.scene == "red"


GENEVAL = """
{"tag": "single_object", "include": [{"class": "cow", "count": 1}], "prompt": "a photo of a cow"}
{"tag": "counting", "include": [{"class": "bus", "count": 4}], "exclude": [{"class": "bus", \
"count": 5}], "prompt": "a photo of four buses"}
{"tag": "position", "include": [{"class": "car", "count": 1}, {"class": "Toaster", "count": 1, \
"position": ["left of", 0]}], "prompt": "a photo of a toaster left of a car"}
{"id": 7, "tag": "color_attr", "include": [{"class": "cars", "color": "red"}, {"class": "umbrella", \
"color": "blue"}], "exclude": null, "scene": "in the snow", "style": "3d render", "prompt": "x"}
"""


def test_geneval_files_are_read_and_what_the_judge_cannot_tell_is_set_aside(tmp_path):
    path = tmp_path / "geneval.jsonl"
    path.write_text(GENEVAL.replace("\\\n", ""))
    prompts, unknown = read_prompts(path)
    assert [prompt.tag for prompt in prompts] == ["single_object", "counting", "color_attr"]
    assert prompts[1].exclude == (Wanted(concept="bus", count=5),)
    assert prompts[2].include[0] == Wanted(concept="car", color="red")
    assert (prompts[2].scene, prompts[2].style) == ("snow", "3d")
    (line,) = unknown
    assert line.startswith("line 4") and "'Toaster'" in line


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"include": [{"class": "tutle"}]}, "did you mean 'turtle'"),
        ({"include": [{"class": "dog", "count": 0}]}, "count: "),
        ({"include": [{"class": "dog", "color": "ultraviolet"}]}, "no color"),
        ({"include": [{"class": "dog", "position": ["left of", 3]}]}, "object 3"),
        ({"include": [{"class": "dog", "place": 3}]}, "place: "),
        ({"scene": "the inside of a black hole"}, "no scene"),
        ({"prompt": 3}, "prompt: "),
        ({"prompt": " "}, "prompt: "),
        ({"includes": [{"class": "dog"}]}, "did you mean 'include'"),
        ({"include": []}, "needs an answer"),
    ],
)
def test_bad_prompts_are_refused_with_the_line(tmp_path, change, sentence):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"tag": "x", "prompt": "a dog", **change}) + "\n")
    with pytest.raises(RequestError, match="line 1") as caught:
        read_prompts(path)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_files_without_prompts_are_refused(tmp_path, content):
    (tmp_path / "p.jsonl").write_text(content)
    with pytest.raises(RequestError):
        read_prompts(tmp_path / "p.jsonl")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RequestError, match="Cannot read"):
        read_prompts(tmp_path / "none.jsonl")


DOG, CAT = Wanted(concept="dog"), Wanted(concept="cat")


@pytest.mark.parametrize(
    ("prompt", "what", "passed"),
    [
        ({"include": (DOG,)}, seen(("dog", 0.5, 0.5)), True),
        ({"include": (DOG,)}, seen(("cat", 0.5, 0.5)), False),
        ({"include": (DOG,)}, seen(), False),
        ({"include": (DOG, CAT)}, seen(("dog", 0.2, 0.5), ("cat", 0.8, 0.5)), True),
        ({"include": (DOG, CAT)}, seen(("dog", 0.2, 0.5), ("dog", 0.8, 0.5)), False),
        ({"include": (Wanted(concept="dog", count=2),)}, seen(("dog", 0.2, 0.5)), False),
        (
            {"include": (DOG,), "exclude": (Wanted(concept="dog", count=2),)},
            seen(("dog", 0.2, 0.5), ("dog", 0.8, 0.5)),
            False,
        ),
        (
            {"include": (Wanted(concept="dog", color="blue"),)},
            seen(("dog", 0.5, 0.5, "blue")),
            True,
        ),
        (
            {"include": (Wanted(concept="dog", color="blue"),)},
            seen(("dog", 0.5, 0.5, "red")),
            False,
        ),
        (
            {"include": (CAT, Wanted(concept="dog", position=("left of", 0)))},
            seen(("dog", 0.2, 0.5), ("cat", 0.8, 0.5)),
            True,
        ),
        (
            {"include": (CAT, Wanted(concept="dog", position=("left of", 0)))},
            seen(("dog", 0.8, 0.5), ("cat", 0.2, 0.5)),
            False,
        ),
        (
            {"include": (CAT, Wanted(concept="dog", position=("above", 0)))},
            seen(("dog", 0.5, 0.2), ("cat", 0.5, 0.8)),
            True,
        ),
        ({"include": (DOG,), "scene": "beach"}, seen(("dog", 0.5, 0.5), scene="beach"), True),
        ({"include": (DOG,), "scene": "beach"}, seen(("dog", 0.5, 0.5), scene="snow"), False),
        ({"include": (DOG,), "style": "cartoon"}, seen(("dog", 0.5, 0.5, "red", "3d")), False),
        ({"include": (DOG,), "style": "3d"}, seen(("dog", 0.5, 0.5, "red", "3d")), True),
    ],
)
def test_grade_follows_the_rules(prompt, what, passed):
    wrong = grade(ExamPrompt(tag="t", prompt="p", **prompt), what)
    assert (not wrong) == passed


def test_every_shipped_prompt_has_a_true_scene(world):
    for prompt in read_prompts(EXAM)[0]:
        scene = scene_of(prompt, world)
        assert {thing.name for thing in scene.things} == {item.concept for item in prompt.include}
        assert scene.style == (prompt.style or world.styles[0])
        assert (scene.background is None) == (prompt.scene is None)
        for item in prompt.include:
            if item.position is not None:
                assert scene.things[0].name == item.concept
                assert scene.things[0].relation == item.position[0]


def test_judge_examples_mark_what_can_be_seen_and_leave_out_what_is_spoiled(world):
    spoiled = 0
    for index in range(60):
        one = judge_example(world, 5, index)
        assert one.picture.shape == (3, 192, 192) and one.picture.dtype == torch.uint8
        centers = int((one.style >= 0).sum())
        assert ((one.heat == 1).sum() > 0) == (centers > 0)
        assert ((one.shape > 0).any(0) == (one.style >= 0)).all()
        assert 0 <= int(one.scene) < len(WORDS.scenes)
        spoiled += centers == 0
    again = judge_example(world, 5, 7)
    assert torch.equal(again.picture, judge_example(world, 5, 7).picture)
    assert 0 < spoiled < 40


def test_judge_learns_and_resumes_exactly(world, tmp_path):
    settings = {"batch_size": 4, "save_every": 2, "warmup": 1}
    whole = train_judge(world, tmp_path / "whole", steps=4, **settings)
    train_judge(world, tmp_path / "parts", steps=2, cooldown=0.0, **settings)
    # The same flat learning rate up to step 2 in both.
    resumed = train_judge(world, tmp_path / "parts", steps=4, **settings)
    other = resumed.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in whole.state_dict().items())
    batch = default_collate([judge_example(world, 5, i) for i in range(4)])
    with torch.no_grad():
        losses = judge_loss(whole(batch.picture.float() / 127.5 - 1), batch)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_judge_reads_peaks_of_its_heat_map():
    judge = Judge(WORDS).eval()
    weights = judge.state_dict()
    for head in ("heat", "look", "scene"):
        weights[f"{head}.weight"].zero_()
        weights[f"{head}.bias"].fill_(-5.0)
    weights["heat.bias"][WORDS.concepts.index("cat")] = 5.0
    weights["look.bias"][COLORS.index("blue")] = 5.0
    weights["scene.bias"][WORDS.scenes.index("beach")] = 5.0
    what = judge.see([Image.new("RGB", (64, 64))])[0]
    assert what.scene == "beach"
    assert {one.concept for one in what.objects} == {"cat"}
    assert {one.color for one in what.objects} == {"blue"}


def test_judge_weights_survive_and_damage_is_named(tmp_path):
    torch.manual_seed(0)
    judge = Judge(WORDS).eval()
    save_judge(judge, tmp_path / "judge.safetensors")
    image = Image.effect_noise((192, 192), 80).convert("RGB")
    loaded = load_judge(tmp_path / "judge.safetensors")
    (one,), (other,) = loaded.see([image]), judge.see([image])
    assert one.features.shape == (256,)
    assert np.allclose(one.features, other.features, atol=0.02)
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    for name in ("bad.safetensors", "missing.safetensors"):
        with pytest.raises(CheckpointError, match="default_model judge"):
            load_judge(tmp_path / name)


def test_frechet_distance_is_zero_for_the_same_and_exact_for_gaussians():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(4000, 3))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    moved = one * 2 + np.array([1.0, 0, 0])
    # |mean|^2 + sum of (sigma1 - sigma2)^2, up to sampling.
    assert frechet_distance(one, moved) == pytest.approx(1 + 3, rel=0.1)


def test_result_counts_by_category_and_report_shows_every_category(tmp_path):
    prompts = [
        ExamPrompt(tag="single_object", prompt="a <b>dog</b>", include=(DOG,)),
        ExamPrompt(tag="scene", prompt="a cat", include=(CAT,), unseen=("pair",)),
    ]
    image = Image.new("RGB", (16, 16))
    true = [Answer(prompt, image, "", np.zeros(1)) for prompt in prompts]
    found = [true[0], Answer(prompts[0], image, "no", np.zeros(1)), true[1]]
    assert shares(found) == {"single_object": 0.5, "scene": 1.0}
    outcome = result(found, true, 3.0) | {"judge": "art"} | {"model": "m", "preset": "p"}
    assert outcome["overall"] == 0.75 and outcome["scores_unseen"] == {"scene": 1.0}
    write_outcome(tmp_path, outcome, found)
    page = (tmp_path / "exam.md").read_text()
    assert "| single_object | 50.0% | 100.0% | 50.0% | – |" in page
    assert "## scene: 100%" in page and "(01.webp)" in page
    wrong = json.loads((tmp_path / "exam.json").read_text())["wrong_answers"]
    assert wrong == [{"tag": "single_object", "prompt": "a <b>dog</b>", "wrong": ["", "no"]}]
    with Image.open(tmp_path / "00.webp") as pictures:  # the second is framed in red
        red, _, blue = pictures.convert("RGB").getpixel((144 + 70, 1))
        assert red > 2 * blue


def test_pictures_are_drawn_in_batches_of_the_prompts_own_seeds():
    pipeline = tiny_pipeline()
    wanted = [(f"a {{dog}} number {i}", i % 2) for i in range(35)]
    images = list(draw(pipeline, wanted, 32))
    assert len(images) == 35
    assert images[0].tobytes() != images[1].tobytes()
    assert pipeline.text_encoder.prompts[0] == "a {dog} number 0"  # no wildcard


class Sees:
    """A judge that sees nothing."""

    def look(self, image, prompt):
        return seen()

    def knows(self, prompt):
        return True


def test_answers_come_in_order_with_every_seed():
    prompts = [ExamPrompt(tag="t", prompt=f"a dog {i}", include=(DOG,)) for i in range(3)]
    examiner = Examiner(Sees(), Judge(WORDS).eval())
    found = answers(tiny_pipeline(), examiner, prompts, seeds=2)
    assert [one.prompt for one in found] == [prompt for prompt in prompts for _ in (0, 1)]
    assert found[0].image.tobytes() != found[1].image.tobytes()
    assert all(one.wrong for one in found)  # an untrained judge sees nothing


def test_preset_reaches_the_pictures():
    pipeline = tiny_pipeline()
    (own,), (paper,) = (
        list(draw(pipeline, [("a dog", 1)], 1, name)) for name in ("balanced", "paper")
    )
    assert own.tobytes() != paper.tobytes()


def test_sample_takes_some_of_every_category_and_always_the_same():
    prompts, _ = read_prompts(FIRST_EXAM)
    few = sample(prompts, 3)
    assert len(few) == 3 * len(TAGS) and few == sample(prompts, 3)
    assert [prompts.index(one) for one in few] == sorted(prompts.index(one) for one in few)
    assert {one.include[0].concept for one in few} != {one.include[0].concept for one in prompts}
    assert sample(prompts, None) == prompts
