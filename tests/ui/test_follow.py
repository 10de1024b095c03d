"""What follows from the controls: presets, plots, another model, and the way back from a request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinity.presets import PRESET_NAMES, presets, ramp
from infinity.request import GenerationRequest, SamplingParams
from infinity.ui.controls import choices as module
from infinity.ui.controls.choices import GENERAL_STYLES, control_updates, style_choices
from infinity.ui.controls.plot import plot_html, plots_of
from infinity.ui.controls.request import KEEP, SAMPLING, request_from, sampling_values
from infinity.world.vocabulary import Vocabulary
from tests.ui.fakes import SCALES, make_spec
from tests.ui.test_controls import VALUES

SPEC = make_spec("default", "Default")
WORLD = Vocabulary(
    objects={"animal": ("dog",)},
    synonyms={},
    scenes={},
    styles={"3d": ("3d style", "glossy 3d"), "cartoon": ("cartoon style",)},
    colors=("red",),
    other_words=(),
)
NUMBERS = st.floats(0, 12)
LISTS = st.lists(NUMBERS, min_size=2, max_size=9).map(tuple)
RAMPS = st.builds(ramp, NUMBERS, NUMBERS, st.just(len(SCALES)))
PER_SCALE = NUMBERS | LISTS | RAMPS
SHARES = st.floats(0.5, 1)
CONFIDENCES = SHARES | st.lists(SHARES, min_size=2, max_size=9).map(tuple)


def shown(updates: dict[str, Any]) -> dict[str, Any]:
    """The values that updates of the controls leave them with."""
    return {
        name: update["value"] if isinstance(update, dict) else update
        for name, update in updates.items()
    }


def values_for(sampling: SamplingParams) -> dict[str, Any]:
    return {"aspect_ratio": "1:1", **sampling_values(sampling, len(SCALES))}


@given(
    st.builds(
        GenerationRequest,
        prompt=st.sampled_from(["a dog", "a {red|blue} dog", "a dog, cartoon style"]),
        negative_prompt=st.sampled_from(["", "snow"]),
        aspect_ratio=st.sampled_from(["1:1", "2:1"]),
        seed=st.integers(0, 2**32 - 1),
        num_images=st.integers(1, 9),
        candidates=st.integers(1, 7),
        prune_at_scale=st.integers(0, 6),
        scorer=st.sampled_from(["", "judge"]),
        complete_prompt=st.booleans(),
        guidance=PER_SCALE,
        temperature=PER_SCALE,
        confidence=CONFIDENCES,
        top_k=st.integers(0, 1000),
        top_p=st.floats(0.01, 1),
        guidance_layers=st.sampled_from([(0,), (-1,), (0, -1)]),
        guided_scales=st.none() | st.integers(0, 7),
        pruning=st.floats(0, 0.9),
        fp8_scales=st.integers(0, 7),
    )
)
def test_controls_set_to_a_request_ask_for_exactly_it(request_):
    values = shown(control_updates("default", request_, SPEC))
    assert tuple(sorted(values)) == tuple(sorted(VALUES))
    assert values["seed_mode"] == KEEP
    assert request_from(values, lambda _: SPEC) == ("default", request_)


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_preset_sets_the_controls_and_is_recognised(name):
    wanted = presets(SPEC, "1:1")[name].sampling
    values = module.preset_updates(name, SPEC, "1:1")
    values = VALUES | values | {"aspect_ratio": "1:1"}
    assert request_from(values, lambda _: SPEC)[1].sampling(SPEC.sampling) == wanted
    assert module.preset_of(values, SPEC) == (name, presets(SPEC, "1:1")[name].info)


@pytest.mark.parametrize(
    "change",
    [
        {"guidance": 7.3},
        {"temperature": 0.33},
        {"confidence": 0.7},
        {"top_k": 1},
        {"top_p": 0.9},
        {"guidance_layers": "-1"},
        {"guided_scales": "2"},
        {"guidance_mode": "custom", "guidance_list": "nonsense"},
        {"guidance_mode": "pyramid", "guidance_last": 2.0},
    ],
)
def test_any_other_setting_is_custom(change):
    values = values_for(SPEC.sampling)
    assert module.preset_of(values, SPEC)[0] == "balanced"
    assert module.preset_of(values | change, SPEC) == module.CUSTOM_PRESET


def test_presets_are_the_papers_and_fit_the_model():
    known = presets(SPEC, "1:1")
    assert tuple(known) == PRESET_NAMES
    assert known["balanced"].sampling == SPEC.sampling
    assert known["fast"].sampling == replace(SPEC.sampling, guided_scales=len(SCALES) - 1)
    assert known["turbo"].sampling == replace(SPEC.sampling, fp8_scales=3)
    paper = known["paper"].sampling
    assert (paper.guidance, paper.temperature, paper.guided_scales) == (4.0, 1.0, None)
    varied = known["varied"].sampling
    assert varied == replace(SPEC.sampling, confidence=(0.6, 0.6, 0.65, 0.7, 0.75, 0.8, 1.0))
    pyramid = known["pyramid"].sampling.guidance
    assert isinstance(pyramid, tuple)
    assert (pyramid[0], pyramid[-1], len(pyramid)) == (1.0, 5.0, len(SCALES))


def test_ramp_has_equal_steps_and_one_scale_takes_the_first():
    assert ramp(1, 3, 5) == (1.0, 1.5, 2.0, 2.5, 3.0)
    assert ramp(3, 1, 3) == (3.0, 2.0, 1.0)
    assert ramp(2, 9, 1) == (2,)


def test_only_what_the_mode_needs_is_shown():
    values = VALUES | {"guidance_mode": "pyramid", "temperature_mode": "custom"}
    assert module.preset_of(values, SPEC) == module.CUSTOM_PRESET
    visible = module.shown_updates(values).values()
    assert [update["visible"] for update in visible] == [True, False, False, True, False, False]
    visible = module.shown_updates(VALUES).values()
    assert not any(update["visible"] for update in visible)


def test_plot_shows_every_scale_and_says_its_values():
    values = VALUES | {"guidance_mode": "pyramid", "guidance": 1.0, "guidance_last": 7.0}
    html = plots_of(values, SPEC)
    assert html.count("<svg") == 2
    assert html.count("<rect") == 2 * len(SCALES)
    assert "Guidance from the first to the last scale: 1, 2, 3, 4, 5, 6, 7" in html
    assert "Temperature from the first to the last scale: 0.9, 0.9" in html


def test_plot_shows_confidence_where_it_is_used():
    html = plots_of(VALUES | {"confidence": 0.7}, SPEC)
    assert "Confidence from the first to the last scale: 0.7, 0.7" in html


def test_plot_shows_where_guidance_ends():
    html = plots_of(VALUES | {"guided_scales": "2"}, SPEC)
    assert "first to the last scale: 3, 3, 1, 1, 1, 1, 1" in html


def test_plot_bars_grow_with_the_value_and_stay_inside():
    scales = SPEC.schedule("1:1").scales[:3]
    html = plot_html("<Guidance>", (0.0, 5.0, 50.0), scales, 5.0)
    heights = [float(part.split('"')[0]) for part in html.split('height="')[1:]]
    assert heights[0] == 1
    assert heights[0] < heights[1] < heights[2]
    assert "<Guidance>" not in html


@pytest.mark.parametrize("text", ["", "a, b", "1, 200"])
def test_list_that_cannot_be_used_is_said_in_place_of_the_plot(text):
    html = plots_of(VALUES | {"guidance_mode": "custom", "guidance_list": text}, SPEC)
    assert "guidance must be" in html.replace("list of guidance must be", "guidance must be")
    assert "<svg" not in html


def test_styles_are_the_models_own_or_general():
    small = replace(SPEC, vocabulary=WORLD)
    assert style_choices(small)[1:] == [("3d", "3d style"), ("Cartoon", "cartoon style")]
    assert style_choices(SPEC)[0] == ("None", "")
    assert dict(style_choices(SPEC)[1:]) == GENERAL_STYLES


def test_another_model_brings_its_defaults_and_keeps_what_it_knows():
    spec = replace(make_spec("x", "X", ratios=("1:1", "1:2")), vocabulary=WORLD)
    updates = module.model_updates("x", spec, "1:2", "cartoon style")
    assert updates["aspect_ratio"]["value"] == "1:2"
    assert updates["style"]["value"] == "cartoon style"
    sampling = {name: updates[name] for name in SAMPLING}
    assert sampling == sampling_values(SPEC.sampling, len(SCALES))
    updates = module.model_updates("x", spec, "2:1", "oil painting")
    assert (updates["aspect_ratio"]["value"], updates["style"]["value"]) == ("1:1", "")
