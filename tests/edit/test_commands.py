"""The commands that go on from a picture do what the tasks do."""

import json

import numpy as np
import pytest
from PIL import Image

from infinity.edit import tasks
from infinity.inside.flip import Place, flip_requests
from infinity.inside.sheet import CELL_PIXELS
from infinity.metadata import read_record, save_png
from infinity.request import GenerationRequest
from tests.edit.test_sources import photo
from tests.test_cli import PIPELINE, run  # noqa: F401

BOX = (0.5, 0.0, 1.0, 1.0)


@pytest.fixture
def picture(run):  # noqa: F811
    image = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=1)).images[0]
    save_png(image, "apple.png")
    mask = Image.new("L", (40, 40), 0)
    mask.paste(255, (20, 0, 40, 40))
    mask.save("mask.png")
    photo().save("photo.png")
    return image


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["vary", "apple.png", "--keep-scales", "2", "--seed", "5"],
         lambda p: tasks.vary(PIPELINE, p, 2, seed=5)),
        (["edit", "apple.png", "a blue boat", "--box", "0.5,0,1,1", "--keep-scales", "1", "--softness", "2"],
         lambda p: tasks.edit(PIPELINE, p, BOX, prompt="a blue boat", keep_scales=1, softness=2)),
        (["edit", "apple.png", "a blue boat", "--mask", "mask.png"],
         lambda p: tasks.edit(PIPELINE, p, BOX, prompt="a blue boat")),
        (["edit", "apple.png", "a red boat"],
         lambda p: tasks.edit(PIPELINE, p, None, prompt="a red boat")),
        (["mix", "apple.png", "photo.png", "--keep-scales", "1"],
         lambda p: tasks.mix(PIPELINE, p, photo(), 1)),
        (["repair", "apple.png", "--doubt", "0.1", "--rounds", "2", "--box", "0.5,0,1,1"],
         lambda p: tasks.repair(PIPELINE, p, BOX, doubt=0.1, rounds=2)),
        (["extend", "apple.png", "--aspect-ratio", "3:2", "--prompt", "snow"],
         lambda p: tasks.extend(PIPELINE, p, "3:2", prompt="snow")),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else "",
)  # fmt: skip
def test_command_draws_what_the_task_asks_for(run, picture, arguments, expected):  # noqa: F811
    status, _, err = run(*arguments, "-o", "out.png")
    assert (status, err) == (0, ""), err
    request = PIPELINE.check(expected(picture))
    assert read_record("out.png").request == request
    with Image.open("out.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(PIPELINE.generate(request).images[0]))


def test_several_variations_have_seeds_one_after_another(run, picture):  # noqa: F811
    assert run("vary", "apple.png", "--seed", "7", "--num-images", "2")[0] == 0
    assert [read_record(f"variation-{seed}.png").request.seed for seed in (7, 8)] == [7, 8]


def test_inspect_writes_arrays_and_says_how_sure_the_model_was(run, picture):  # noqa: F811
    status, out, _ = run("inspect", "apple.png", "--maps")
    with Image.open("inside.png") as sheet:  # four maps and three words of five scales
        assert sheet.width > 5 * CELL_PIXELS and sheet.height > 7 * CELL_PIXELS
    assert status == 0 and "inside.npz: 5 scales" in out and "LIKELIHOOD" in out
    with np.load("inside.npz") as file:
        about = json.loads(str(file["about"]))
        assert about["request"]["prompt"] == "a red apple"
        assert about["words"] == [["a", "red", "apple", ""]] * 5
        assert file["scale_5_probability"].shape == (64, 8)
        assert file["scale_5_attention"].shape == (4, 64)


def test_flip_draws_the_flipped_bits_and_the_answer_and_counts_what_changed(run, picture):  # noqa: F811
    status, out, _ = run("flip", "apple.png", "3,2,1,8", "--maps")
    kept = tasks.kept(PIPELINE, picture)
    requests = flip_requests(PIPELINE.spec, kept, [Place(2, 1, 0, 7)])
    for name, request in (("flipped", requests.alone), ("flipped-answered", requests.answered)):
        assert read_record(f"{name}.png").request == PIPELINE.check(request)
    with Image.open("flipped-changes.png") as sheet:
        assert sheet.width > 3 * picture.width
    assert status == 0
    assert [line.split()[-1] for line in out.splitlines()[4:7]] == ["0", "0", "1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vary", "photo.png"], "say what it shows"),
        (["edit", "apple.png", "x", "--box", "1,2"], "is not four shares"),
        (["edit", "apple.png", "x", "--box", "0.5,0,0.5,1"], "A box is left, top"),
        (["edit", "apple.png", "x", "--box", "0,0,1,1", "--mask", "mask.png"], "not allowed with"),
        (["edit", "apple.png", "a red apple"], "as the picture's own"),
        (["edit", "apple.png", ""], "Say what the picture is to show"),
        (["repair", "apple.png", "--rounds", "99"], "rounds must be"),
        (["repair", "apple.png", "--doubt", "7"], "doubt must be"),
        (["extend", "apple.png", "--aspect-ratio", "1:1"], "fills 1:1 already"),
        (["flip", "apple.png"], "required: SCALE,ROW,COLUMN,BIT"),
        (["flip", "apple.png", "1,2"], "'1,2' is not a bit such as 5,3,4,12"),
        (["flip", "apple.png", "1,2,1,1"], "no row 2 here; choose one from 1 to 1"),
        (["inspect", "apple.png", "-o", "x.png"], "must end in .npz"),
        (["mix", "apple.png", "none.png"], "none.png"),
    ],
)  # fmt: skip
def test_wrong_command_is_one_line(run, picture, arguments, said):  # noqa: F811
    status, _, err = run(*arguments)
    assert status == 2 and said in err and err.count("\n") == 1
