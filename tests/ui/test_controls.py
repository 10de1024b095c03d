"""Every control reaches the request: in the function that reads them, and in the page's wiring."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from infinity.errors import RequestError
from infinity.presets import ramp
from infinity.request import MAX_SEED, GenerationRequest
from infinity.ui.app import build_app
from infinity.ui.controls import request as module
from infinity.ui.controls.choices import aspect_choices, shapes_html
from infinity.ui.controls.request import KEEP, NEXT, ROLL, request_from
from tests.ui.fakes import SCALES, FakeManager, make_context, make_spec, tabs_of

SPEC_OF = FakeManager().spec

VALUES: dict[str, Any] = {
    "prompt": "a red apple",
    "negative_prompt": "",
    "model": "default",
    "aspect_ratio": "1:1",
    "style": "",
    "seed": 1,
    "seed_mode": KEEP,
    "num_images": 1,
    "candidates": 1,
    "prune_at_scale": 0,
    "scorer": "",
    "complete_prompt": True,
    "guidance": 3.0,
    "guidance_mode": "constant",
    "guidance_last": 5.0,
    "guidance_list": "1, 2, 3",
    "temperature": 0.9,
    "temperature_mode": "constant",
    "temperature_last": 0.5,
    "temperature_list": "0.5",
    "confidence": 1.0,
    "confidence_mode": "constant",
    "confidence_last": 0.9,
    "confidence_list": "0.6, 0.8",
    "top_k": 0,
    "top_p": 1.0,
    "guidance_layers": "0",
    "guided_scales": "",
    "pruning": 0.0,
    "fp8_scales": 0,
}

# Control -> (what a person sets, what the request has then); pairs whose control needs another one
# to count give that one too.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "prompt": ({"prompt": "a blue car"}, {"prompt": "a blue car"}),
    "negative_prompt": ({"negative_prompt": "snow"}, {"negative_prompt": "snow"}),
    "aspect_ratio": ({"aspect_ratio": "2:1"}, {"aspect_ratio": "2:1"}),
    "style": ({"style": "oil painting"}, {"prompt": "a red apple, oil painting"}),
    "seed": ({"seed": 2}, {"seed": 2}),
    "seed_mode": ({"seed_mode": NEXT}, {"seed": 2}),
    "num_images": ({"num_images": 4}, {"num_images": 4}),
    "candidates": ({"candidates": 4}, {"candidates": 4}),
    "prune_at_scale": (
        {"candidates": 4, "prune_at_scale": 2},
        {"candidates": 4, "prune_at_scale": 2},
    ),
    "complete_prompt": ({"complete_prompt": False}, {"complete_prompt": False}),
    "scorer": ({"candidates": 4, "scorer": "clip"}, {"candidates": 4, "scorer": "clip"}),
    "guidance": ({"guidance": 5.5}, {"guidance": 5.5}),
    "guidance_mode": ({"guidance_mode": "custom"}, {"guidance": (1.0, 2.0, 3.0)}),
    "guidance_last": (
        {"guidance_mode": "pyramid", "guidance_last": 9.0},
        {"guidance": ramp(3.0, 9.0, len(SCALES))},
    ),
    "guidance_list": (
        {"guidance_mode": "custom", "guidance_list": "4, 2.5,"},
        {"guidance": (4.0, 2.5)},
    ),
    "temperature": ({"temperature": 0.4}, {"temperature": 0.4}),
    "temperature_mode": ({"temperature_mode": "custom"}, {"temperature": 0.5}),
    "temperature_last": (
        {"temperature_mode": "pyramid", "temperature_last": 0.3},
        {"temperature": ramp(0.9, 0.3, len(SCALES))},
    ),
    "temperature_list": (
        {"temperature_mode": "custom", "temperature_list": "1, 0"},
        {"temperature": (1.0, 0.0)},
    ),
    "confidence": ({"confidence": 0.7}, {"confidence": 0.7}),
    "confidence_mode": ({"confidence_mode": "custom"}, {"confidence": (0.6, 0.8)}),
    "confidence_last": (
        {"confidence_mode": "pyramid", "confidence": 0.6, "confidence_last": 0.9},
        {"confidence": ramp(0.6, 0.9, len(SCALES))},
    ),
    "confidence_list": (
        {"confidence_mode": "custom", "confidence_list": "0.5, 1"},
        {"confidence": (0.5, 1.0)},
    ),
    "top_k": ({"top_k": 1}, {"top_k": 1}),
    "top_p": ({"top_p": 0.8}, {"top_p": 0.8}),
    "guidance_layers": ({"guidance_layers": "0, -1"}, {"guidance_layers": (0, -1)}),
    "guided_scales": ({"guided_scales": " 3"}, {"guided_scales": 3}),
    "pruning": ({"pruning": 0.4}, {"pruning": 0.4}),
    "fp8_scales": ({"fp8_scales": 2}, {"fp8_scales": 2}),
}


def ask(**changes: Any) -> tuple[str, GenerationRequest]:
    return request_from(VALUES | changes, SPEC_OF)


def test_table_covers_every_control():
    controls = tabs_of(make_context(FakeManager()))[0].controls
    assert set(CHANGES) | {"model"} == set(controls) == set(VALUES)


@pytest.mark.parametrize("name", CHANGES)
def test_control_reaches_the_request(name):
    changes, expected = CHANGES[name]
    assert name in changes
    base, changed = ask()[1].to_dict(), ask(**changes)[1]
    assert changed == GenerationRequest.from_dict(base | expected)
    assert changed.to_dict() != base


def test_model_reaches_the_run():
    assert ask()[0] == "default"
    assert ask(model="other")[0] == "other"
    with pytest.raises(RequestError, match="Unknown model"):
        ask(model="nobody")


def test_next_seed_adds_one_and_wraps_around():
    assert ask(seed=MAX_SEED, seed_mode=NEXT)[1].seed == 0
    assert ask(seed=41.0, seed_mode=NEXT)[1].seed == 42
    with pytest.raises(RequestError, match="seed must be a whole number"):
        ask(seed=None, seed_mode=NEXT)


def test_roll_draws_a_new_seed_and_keep_keeps_it(monkeypatch):
    monkeypatch.setattr(module, "random_seed", lambda: 77)
    assert ask(seed_mode=ROLL)[1].seed == 77
    assert ask(seed_mode=KEEP)[1].seed == 1


def test_minus_one_is_rolled_too(monkeypatch):
    monkeypatch.setattr("infinity.request.random_seed", lambda: 78)
    assert ask(seed=-1, seed_mode=KEEP)[1].seed == 78


def test_rolled_seeds_are_valid_and_differ():
    seeds = {module.random_seed() for _ in range(50)}
    assert len(seeds) > 45
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


@pytest.mark.parametrize("mode", [ROLL, KEEP, NEXT])
@pytest.mark.parametrize("prompt", ["", "   \n", None])
def test_empty_prompt_is_refused_with_a_sentence(prompt, mode):
    with pytest.raises(RequestError, match="The prompt is empty"):
        ask(prompt=prompt, seed_mode=mode, style="oil painting")


@pytest.mark.parametrize("seed", [None, -2, 2**32, 1.5, float("nan"), "seven"])
def test_kept_seed_that_is_none_is_refused(seed):
    with pytest.raises(RequestError, match="seed must be a whole number"):
        ask(seed=seed)


@pytest.mark.parametrize("text", ["", "  ", "one", "1;2", "1,,2", None])
@pytest.mark.parametrize("name", ["guidance", "temperature"])
def test_list_that_is_none_is_refused_by_name(name, text):
    with pytest.raises(RequestError, match=f"custom list of {name} must be numbers"):
        ask(**{f"{name}_mode": "custom", f"{name}_list": text})


@pytest.mark.parametrize("text", ["few", "1.5"])
def test_guided_scales_that_are_no_number_are_refused(text):
    with pytest.raises(RequestError, match="Guided scales must be a whole number"):
        ask(guided_scales=text)


@pytest.mark.parametrize("text", ["", "first", "0.5", None])
def test_guidance_layers_that_are_none_are_refused(text):
    with pytest.raises(RequestError, match="Guidance layers must be whole numbers"):
        ask(guidance_layers=text)


def test_aspect_ratios_are_the_models_own_with_their_pixels():
    spec = make_spec("x", "X")
    assert aspect_choices(spec) == [("1:1\n192×192", "1:1"), ("2:1\n192×96", "2:1")]
    assert 'value="2:1"])::before{width:24.0px;height:12.0px}' in shapes_html([spec])


@pytest.fixture(scope="module")
def app() -> gr.Blocks:
    return build_app(FakeManager())  # type: ignore[arg-type]


def by_id(app: gr.Blocks, elem_id: str) -> Any:
    (found,) = [
        block for block in app.blocks.values() if getattr(block, "elem_id", None) == elem_id
    ]
    return found


@pytest.mark.parametrize("trigger", [("prompt", "submit"), ("generate", "click")])
def test_page_hands_every_control_to_the_run(app, trigger):
    block, event = by_id(app, trigger[0]), trigger[1]
    (start,) = [fn for fn in app.fns.values() if (block._id, event) in fn.targets]
    assert start.inputs_as_dict
    handed = {component.elem_id.replace("-", "_") for component in start.inputs}
    assert handed == set(VALUES)
    assert not start.queue


def test_examples_run_with_every_control_too(app):
    dataset = by_id(app, "examples")
    (start,) = [fn for fn in app.fns.values() if (dataset._id, "click") in fn.targets]
    handed = {component.elem_id.replace("-", "_") for component in start.inputs}
    assert handed == {"examples", *VALUES}


def test_sampling_controls_are_the_last_ones_and_follow_each_other(app):
    (follow,) = [
        fn
        for fn in app.fns.values()
        if fn.fn is not None and (by_id(app, "guidance-list")._id, "change") in fn.targets
    ]
    handed = {component.elem_id.replace("-", "_") for component in follow.inputs}
    assert handed == {"model", "aspect_ratio", *module.SAMPLING}
    changing = {target for target, event in follow.targets if event == "change"}
    assert changing == {component._id for component in follow.inputs}


@pytest.mark.parametrize("name", VALUES)
def test_control_has_a_label_and_help(app, name):
    component = by_id(app, name.replace("_", "-"))
    assert component.label
    assert name == "prompt" or component.info


def test_handlers_that_run_a_model_wait_for_their_turn_and_not_in_gradios_line(app):
    painting = [fn for fn in app.fns.values() if fn.concurrency_id == "draw"]
    assert len(painting) >= 3
    assert {fn.concurrency_limit for fn in painting} == {None}


def test_events_among_the_controls_are_no_endpoints(app):
    ours = {component._id for component in by_id(app, "settings").children}
    ours |= {by_id(app, name.replace("_", "-"))._id for name in VALUES}
    for fn in app.fns.values():
        if ours & {target for target, _ in fn.targets}:
            assert fn.api_visibility == "private"
