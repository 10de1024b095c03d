"""Every control reaches the request: in the function that reads them, and in the page's wiring."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from infinity.errors import RequestError
from infinity.request import MAX_SEED, GenerationRequest
from infinity.ui import controls as module
from infinity.ui.app import build_app
from infinity.ui.controls import KEEP, ROLL, RequestControls, request_from
from tests.ui.fakes import FakeManager, make_spec

VALUES: dict[str, Any] = {
    "prompt": "a red apple",
    "negative_prompt": "",
    "model": "default",
    "aspect_ratio": "1:1",
    "seed": 1,
    "seed_mode": KEEP,
    "num_images": 1,
    "guidance": 3.0,
    "temperature": 0.9,
    "top_k": 0,
    "top_p": 1.0,
}
CHANGES: dict[str, Any] = {
    "prompt": "a blue car",
    "negative_prompt": "snow",
    "model": "other",
    "aspect_ratio": "2:1",
    "seed": 2,
    "num_images": 4,
    "guidance": 5.5,
    "temperature": 0.4,
    "top_k": 1,
    "top_p": 0.8,
}


def test_table_covers_every_control():
    assert set(CHANGES) | {"seed_mode"} == set(RequestControls.names()) == set(VALUES)


@pytest.mark.parametrize("name", CHANGES)
def test_control_reaches_the_request(name):
    base_model, base = request_from(VALUES)
    model, request = request_from(VALUES | {name: CHANGES[name]})
    if name == "model":
        assert (base_model, model) == ("default", "other")
        assert request == base
        return
    expected = base.to_dict() | {name: CHANGES[name]}
    assert request == GenerationRequest.from_dict(expected)
    assert request != base


def test_roll_draws_a_new_seed_and_keep_keeps_it(monkeypatch):
    monkeypatch.setattr(module, "roll", lambda: 77)
    assert request_from(VALUES | {"seed_mode": ROLL})[1].seed == 77
    assert request_from(VALUES | {"seed_mode": KEEP})[1].seed == 1


def test_rolled_seeds_are_valid_and_differ():
    seeds = {module.roll() for _ in range(50)}
    assert len(seeds) > 45
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


@pytest.mark.parametrize("mode", [ROLL, KEEP])
@pytest.mark.parametrize("prompt", ["", "   \n", None])
def test_empty_prompt_is_refused_with_a_sentence(prompt, mode):
    with pytest.raises(RequestError, match="The prompt is empty"):
        request_from(VALUES | {"prompt": prompt, "seed_mode": mode})


@pytest.mark.parametrize("seed", [None, -1, 2**32, 1.5, float("nan"), "seven"])
def test_kept_seed_that_is_none_is_refused(seed):
    with pytest.raises(RequestError, match="seed must be a whole number"):
        request_from(VALUES | {"seed": seed})


def test_aspect_ratios_are_the_models_own_with_their_pixels():
    choices = module.aspect_choices(make_spec("x", "X"))
    assert choices == [("1:1 · 192 × 192 px", "1:1"), ("2:1 · 192 × 96 px", "2:1")]


def test_another_model_brings_its_defaults_and_keeps_a_known_ratio():
    spec = make_spec("x", "X", ratios=("1:1", "1:2"))
    kept, guidance, temperature, top_k, top_p = module.model_defaults(spec, "1:2")
    assert kept["value"] == "1:2"
    assert (guidance, temperature, top_k, top_p) == (3.0, 0.9, 0, 1.0)
    assert module.model_defaults(spec, "2:1")[0]["value"] == "1:1"


@pytest.fixture(scope="module")
def app() -> gr.Blocks:
    return build_app(FakeManager())  # type: ignore[arg-type]


def by_id(app: gr.Blocks, elem_id: str) -> Any:
    (found,) = [
        block for block in app.blocks.values() if getattr(block, "elem_id", None) == elem_id
    ]
    return found


@pytest.mark.parametrize("trigger", [("prompt", "submit"), ("generate", "click")])
def test_page_hands_every_control_to_the_run_in_order(app, trigger):
    block, event = by_id(app, trigger[0]), trigger[1]
    (start,) = [fn for fn in app.fns.values() if (block._id, event) in fn.targets]
    handed = [component.elem_id.replace("-", "_") for component in start.inputs]
    assert tuple(handed) == RequestControls.names()
    assert not start.queue


def test_examples_run_with_every_control_too(app):
    starts = [fn for fn in app.fns.values() if len(fn.inputs) == len(RequestControls.names())]
    assert len(starts) == 2


@pytest.mark.parametrize("name", RequestControls.names())
def test_control_has_a_label_and_help(app, name):
    component = by_id(app, name.replace("_", "-"))
    assert component.label
    assert name == "prompt" or component.info


def test_handlers_that_run_a_model_share_one_place(app):
    painting = [fn for fn in app.fns.values() if fn.concurrency_id == "gpu"]
    assert len(painting) == 3
    assert {fn.concurrency_limit for fn in painting} == {1}


def test_only_generate_is_public(app):
    public = {fn.api_name for fn in app.fns.values() if fn.api_visibility != "private"}
    assert public - {"leave"} == {"generate"}
