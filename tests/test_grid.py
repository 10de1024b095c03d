"""Grids: lists become axes, axes become requests, and every cell is the picture drawn alone."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infinity.errors import RequestError
from infinity.events import Cancelled, Done
from infinity.grid import sheet as sheet_module
from infinity.grid.axes import MAX_CELLS, PARAMETERS, Axis, show
from infinity.grid.plan import KEY, Cell, GridPlan, by_model, draw_cells, read_plan
from infinity.grid.sheet import sheet
from infinity.metadata import read_record, save_png
from infinity.request import GenerationRequest
from tests.tiny import SPEC, tiny_pipeline

REQUEST = GenerationRequest(prompt="a red apple, {big|small}", seed=3, guidance=3.0, num_images=4)


def plan(x: tuple[str, str], y: tuple[str, str] | None = None, **changes) -> GridPlan:
    return GridPlan(
        model="default",
        request=replace(REQUEST, **changes),
        x=Axis.parse(*x),
        y=Axis.parse(*y) if y else None,
    )


@pytest.mark.parametrize(
    ("parameter", "text", "values"),
    [
        ("seed", "1, 2,7", (1, 2, 7)),
        ("seed", "1-4", (1, 2, 3, 4)),
        ("seed", "1-9 (+4)", (1, 5, 9)),
        ("seed", "0-10 [3], 99", (0, 5, 10, 99)),
        ("guidance", "1-2 (0.5)", (1.0, 1.5, 2.0)),
        ("guidance", '1, "1,2,3"', (1.0, (1.0, 2.0, 3.0))),
        ("temperature", "0.1-0.3 (+0.1)", (0.1, 0.2, 0.3)),
        ("top_p", "0.5-1 [3]", (0.5, 0.75, 1.0)),
        ("guidance_layers", '0, -1, "0,-2"', ((0,), (-1,), (0, -2))),
        ("words", 'red, "dark, blue"\nold ""green""', ("red", "dark, blue", 'old ""green""')),
        ("words", "red,", ("red", "")),
        ("aspect_ratio", "1:1, 3:2", ("1:1", "3:2")),
    ],
)
def test_list_is_read_as_a_person_means_it(parameter, text, values):
    axis = Axis.parse(parameter, text)
    assert axis.values == values
    assert Axis.parse(parameter, axis.text) == axis


@pytest.mark.parametrize("name", PARAMETERS)
def test_example_of_every_parameter_is_a_good_list(name):
    axis = Axis.parse(name, PARAMETERS[name].example)
    assert len(axis.values) >= 2
    assert all(axis.label(i) for i in range(len(axis.values)))


@given(st.lists(st.text(max_size=12).map(str.strip), min_size=1, max_size=6, unique=True))
@settings(max_examples=150, deadline=None)
def test_text_of_an_axis_reads_back_as_the_axis(words):
    if any("\x00" in word or "\r" in word for word in words):
        return
    axis = Axis(parameter="negative_prompt", values=tuple(words))
    assert Axis.parse("negative_prompt", axis.text) == axis


@pytest.mark.parametrize(
    ("parameter", "text", "sentence"),
    [
        ("seed", "", "the list is empty"),
        ("seed", " \n ", "the list is empty"),
        ("seed", "one", "'one' is not a value it can take"),
        ("seed", "1.5", "not a value"),
        ("seed", "9" * 6000, "not a value"),
        ("seed", "1,,2", "an empty place"),
        ("seed", "4-1", "runs backwards"),
        ("seed", "0-4294967295", "4,294,967,296 values are too many"),
        ("seed", "1-5 (+0)", "has no step"),
        ("seed", "1-5 [1]", "ask for 2 or more"),
        ("guidance", "1-5 [99999999999999999999]", "too many"),
        ("guidance", "3, 3.0", "3 is in the list twice"),
        ("words", 'red, "blue', "the quotes in the list do not match"),
        ("words", ", blue", "the first word"),
        ("words", "x" * 30_000, "shorten it"),
        ("colour", "red", "cannot vary 'colour'"),
    ],
)
def test_bad_list_gets_a_sentence(parameter, text, sentence):
    with pytest.raises(RequestError) as caught:
        Axis.parse(parameter, text)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (("seed", "1-9"), ("guidance", "1-8"), "72 pictures; a grid has at most 64"),
        (("seed", "1-2"), ("seed", "3-4"), "Both axes vary seed"),
        (("seed", "1, 99999999999"), None, "seed must be a whole number"),
        (("guidance", "nan"), None, "guidance must be a number"),
        (("words", "pear, plum"), None, "“pear” is not in the prompt"),
        (("words", "red, blue"), ("words", "re, x"), "Both axes replace “re”"),
        (("words", "{big|small}, {big"), None, "{ without its }"),
        (("prompt", '"a cat", ""'), None, "The prompt is empty"),
        (("top_p", "0.5, 2"), None, "top_p must be"),
    ],
)
def test_impossible_grid_gets_a_sentence(x, y, sentence):
    with pytest.raises(RequestError) as caught:
        plan(x, y)
    assert sentence in str(caught.value)


def test_words_are_replaced_in_both_prompts_and_all_at_once():
    grid = plan(("words", "red, apple"), ("words", "apple, red"), negative_prompt="red snow")
    prompts = {(c.row, c.column): c.request.prompt for c in grid.cells()}
    assert prompts[0, 0] == REQUEST.prompt
    assert prompts[1, 1] == "a apple red, {big|small}", "a replacement is not replaced again"
    assert grid.cells()[1].request.negative_prompt == "apple snow"


def test_cells_of_one_model_come_together_row_by_row():
    grid = plan(("model", "default, other"), ("seed", "1-2"))
    places = [(cell.model, cell.row, cell.column) for cell in grid.cells()]
    assert places == [("default", 0, 0), ("default", 1, 0), ("other", 0, 1), ("other", 1, 1)]
    assert [model for model, _ in by_model(grid)] == ["default", "other"]


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        (("aspect_ratio", "1:1, 9:16"), "aspect ratio '9:16'"),
        (("guidance_layers", "0, -9"), "guidance layer -9 does not exist"),
        (("model", "default, nobody"), "Unknown model"),
    ],
)
def test_what_a_model_cannot_draw_is_told_before_anything_is_drawn(axis, sentence):
    def spec_of(name: str):
        if name != "default":
            raise RequestError(f"Unknown model {name!r}.")
        return SPEC

    with pytest.raises(RequestError, match=sentence):
        plan(axis).check(spec_of)
    plan(("aspect_ratio", "1:1, 3:2")).check(spec_of)


AXES = {
    "words": "red, blue",
    "prompt": "a cat, a {fast|slow} dog",
    "negative_prompt": '"", snow',
    "seed": "3, 4",
    "guidance": '1, "1,2,3"',
    "temperature": "0.5, 2",
    "confidence": '0.6, "0.5,1"',
    "top_p": "0.7, 1",
    "top_k": "0, 1",
    "guided_scales": "1, 3",
    "pruning": "0, 0.5",
    "fp8_scales": "0, 2",
    "guidance_layers": "0, -1",
    "style": '"", "oil painting, {dark|light}"',
    "aspect_ratio": "1:1, 3:2",
    "model": "default, tiny",
}
PAIRS = [("words", "seed"), ("prompt", "guidance"), ("negative_prompt", "temperature"),
         ("top_p", "top_k"), ("guided_scales", "guidance_layers"), ("fp8_scales", "pruning"), ("aspect_ratio", "model"), ("style", "confidence")]  # fmt: skip


def test_pairs_cover_every_parameter():
    assert {name for pair in PAIRS for name in pair} == set(PARAMETERS) == set(AXES)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_cell_is_the_picture_drawn_alone(pair):
    pipeline = tiny_pipeline()
    x, y = pair
    grid = plan((x, AXES[x]), (y, AXES[y]))
    drawn = drawn_cells(grid)
    assert len(drawn) == 4
    for cell, image in drawn.items():
        alone = GenerationRequest.from_dict(
            REQUEST.to_dict() | {"num_images": 1} | expected_settings(grid, cell)
        )
        assert cell.request == alone
        assert image.tobytes() == pipeline.generate(alone).images[0].tobytes()


def expected_settings(grid: GridPlan, cell: Cell) -> dict:
    """Written out by hand, apart from the code under test."""
    changed = {}
    for axis, position in ((grid.x, cell.column), (grid.y, cell.row)):
        assert axis is not None
        value = axis.values[position]
        if axis.parameter == "words":
            changed["prompt"] = REQUEST.prompt.replace("red", str(value))
        elif axis.parameter == "style":
            changed["prompt"] = f"{REQUEST.prompt}, {value}" if value else REQUEST.prompt
        elif axis.parameter != "model":
            changed[axis.parameter] = value
    return changed


def drawn_cells(grid: GridPlan) -> dict[Cell, Image.Image]:
    events = draw_cells(tiny_pipeline(), grid.cells(), threading.Event())
    return {cell: event.images[0] for cell, event in events if isinstance(event, Done)}


def test_stop_ends_within_a_scale_and_draws_no_further_cell():
    cancel, seen = threading.Event(), []
    for cell, event in draw_cells(tiny_pipeline(), plan(("seed", "1-3")).cells(), cancel):
        seen.append((cell.column, type(event)))
        if len(seen) == 8:
            cancel.set()
    assert seen[-1] == (1, Cancelled)
    assert len(seen) == 9


def test_sheet_holds_every_cell_to_the_pixel():
    grid = plan(("seed", "1-2"), ("guidance", "1, 4"))
    drawn = drawn_cells(grid)
    result = sheet(grid, {(c.row, c.column): image for c, image in drawn.items()})
    pixels = result.tobytes()
    for image in drawn.values():
        first_row = image.crop((0, 0, image.width, 1)).tobytes()
        assert first_row in pixels
    assert result.height > 2 * 16


def test_sheet_of_mixed_sizes_and_missing_cells_has_room_for_all():
    grid = plan(("aspect_ratio", "1:1, 3:2"), ("seed", "1-2"))
    drawn = drawn_cells(grid)
    pictures = {(c.row, c.column): image for c, image in drawn.items()}
    whole = sheet(grid, pictures)
    del pictures[1, 1]
    assert sheet(grid, pictures).size == whole.size


def test_large_sheet_is_scaled_down(monkeypatch):
    monkeypatch.setattr(sheet_module, "MAX_PIXELS", 20_000)
    grid = plan(("seed", "1-4"))
    result = sheet(grid, {(0, i): Image.new("RGB", (200, 200), "red") for i in range(4)})
    assert result.width < 4 * 90


@pytest.mark.parametrize("word", ["x" * 3000, "日本語 🍎", "", "two\nlines"])
def test_any_words_fit_on_the_sheet(word):
    grid = plan(("prompt", f'a c, "b {word}"'), ("words", f'a, "{word}"'), prompt="a c")
    result = sheet(grid, {(0, 0): Image.new("RGB", (64, 64))})
    assert result.width < 1500
    assert result.height < 1500


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_recipe_in_the_png_gives_the_same_grid(pair, tmp_path):
    x, y = pair
    grid = plan((x, AXES[x]), (y, AXES[y]))
    path = save_png(sheet(grid, {(0, 0): Image.new("RGB", (64, 64))}), tmp_path / "grid.png")
    with Image.open(path) as image:
        assert read_plan(image) == grid
    with pytest.raises(RequestError, match="no Infinity record"):
        read_record(path)


def test_recipe_without_a_second_axis_reads_back():
    assert GridPlan.from_json(plan(("seed", "1-2")).to_json()) == plan(("seed", "1-2"))


def test_other_pictures_have_no_recipe():
    assert read_plan(Image.new("RGB", (4, 4))) is None


GOOD = json.loads(plan(("seed", "1-2"), ("guidance", "1, 4")).to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        json.dumps(GOOD | {"request": 1}),
        json.dumps(GOOD | {"request": {"prompt": 5}}),
        json.dumps(GOOD | {"request": {"prompt": "a", "evil": 5}}),
        json.dumps(GOOD | {"model": None}),
        json.dumps(GOOD | {"x": None}),
        json.dumps(GOOD | {"x": {"parameter": "seed", "values": 3}}),
        json.dumps(GOOD | {"x": {"parameter": "seed", "values": [{}]}}),
        json.dumps(GOOD | {"x": {"parameter": "seed", "values": [[1], "a"]}}),
        json.dumps(GOOD | {"x": {"parameter": "seed", "values": list(range(10_000))}}),
        json.dumps(GOOD | {"x": {"parameter": "words", "values": [1, 2]}}),
        json.dumps(GOOD | {"x": {"parameter": "__class__", "values": [1, 2]}}),
        json.dumps(GOOD | {"x": {"parameter": "num_images", "values": [1, 2]}}),
        json.dumps(GOOD | {"y": {"parameter": "guidance", "values": [[[1]], 2]}}),
        json.dumps(GOOD | {"y": []}),
    ],
)
def test_bad_recipe_gets_a_sentence(text):
    image = Image.new("RGB", (4, 4))
    image.info[KEY] = text
    with pytest.raises(RequestError) as caught:
        read_plan(image)
    assert 10 < len(str(caught.value)) < 300


def test_numbers_are_shown_short_and_exact():
    assert [show(v) for v in (3.0, 0.35, 7, (1.0, 2.5), 1 / 3)] == [
        "3", "0.35", "7", "1,2.5", "0.3333333333333333",
    ]  # fmt: skip


def test_largest_grid_is_allowed():
    assert len(plan(("seed", f"1-{MAX_CELLS}")).cells()) == MAX_CELLS
