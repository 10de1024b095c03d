"""The settings beside the picture: where each request control stands, and what follows from it."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.errors import InfinityError
from infinity.presets import presets
from infinity.spec import ModelSpec
from infinity.ui.controls import KEEP, RequestControls
from infinity.ui.controls.aspect import shapes_html
from infinity.ui.controls.follow import (
    CUSTOM_PRESET,
    FOLLOWED,
    model_updates,
    plots_of,
    preset_of,
    preset_updates,
    shown_updates,
)
from infinity.ui.controls.request import SAMPLING, sampling_values
from infinity.ui.generate.world import world_html
from infinity.ui.shared.context import Context
from infinity.ui.shared.wiring import QUICK, Updates

RADIO_KEYS = Path(__file__).parents[1] / "controls" / "radio_keys.js"
CUSTOM_INFO = "Settings of your own, which are none of the presets."


def build_settings(context: Context, controls: RequestControls) -> None:
    """Place every control but the prompt in the current column, and wire what follows from each."""
    spec = context.models[context.first_model]
    ratio = spec.aspect_ratios[0]
    values = sampling_values(spec.sampling, len(spec.schedule(ratio))) | {"aspect_ratio": ratio}
    gr.HTML(
        shapes_html(context.models.values()),
        js_on_load=RADIO_KEYS.read_text(encoding="utf-8"),
        elem_id="aspect-shapes",
        padding=False,
    )
    _render(controls, "model", "aspect_ratio", "style")
    with gr.Row(elem_id="seed-row", equal_height=False):
        _render(controls, "seed", "seed_mode")
    controls.num_images.render()
    first = next(iter(presets(spec, ratio)))
    preset = gr.Radio(
        preset_choices(spec, ratio),
        value=first,
        label="Preset",
        info=preset_info(first, spec, ratio),
        elem_id="preset",
    )
    _render(controls, "guidance", "temperature")
    with gr.Accordion("Values by scale", open=False, elem_id="scale-settings"):
        plots = gr.HTML(plots_of(values, spec), elem_id="plots", padding=False)
        for name in ("guidance", "temperature"):
            _render(controls, f"{name}_mode", f"{name}_last", f"{name}_list")
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        _render(controls, "negative_prompt", "top_p", "top_k", "guidance_layers", "guided_scales")
    with gr.Accordion("What this model knows", open=False, elem_id="known"):
        world = gr.HTML(world_html(spec), elem_id="world", padding=False)
    _wire(context, controls, preset, plots, world)


def _render(controls: RequestControls, *names: str) -> None:
    for component in controls.named(*names):
        component.render()


def _wire(
    context: Context, controls: RequestControls, preset: gr.Radio, plots: gr.HTML, world: gr.HTML
) -> None:
    def spec_of(model: str) -> ModelSpec:
        try:
            return context.spec(model)
        except InfinityError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error

    def choose_model(name: str, ratio: str | None, style: str) -> Updates:
        return controls.updates(model_updates(spec_of(name), ratio, style))

    def choose_preset(name: str, model: str, ratio: str) -> Updates:
        return controls.updates(preset_updates(name, spec_of(model), ratio))

    def follow(given: dict[Component, Any]) -> Updates:
        values = controls.values(given)
        spec = spec_of(values["model"])
        chosen = preset_of(values, spec)
        info = preset_info(chosen, spec, values["aspect_ratio"])
        return {
            preset: gr.update(value=chosen, info=info),
            plots: plots_of(values, spec),
            **controls.updates(shown_updates(values)),
        }

    of_model = controls.named("model", "aspect_ratio", "style")
    sampling = controls.named(*SAMPLING)
    controls.model.input(choose_model, of_model, [*of_model, *sampling], **QUICK)
    controls.model.change(lambda name: world_html(spec_of(name)), controls.model, world, **QUICK)
    preset.input(choose_preset, [preset, controls.model, controls.aspect_ratio], sampling, **QUICK)
    causes: list[Any] = [controls.model, controls.aspect_ratio, *sampling]
    # On every change, whoever made it: a person, a preset, or another tab's "use these settings".
    gr.on(
        [component.change for component in causes],
        follow,
        set(causes),
        [preset, plots, *controls.named(*FOLLOWED)],
        trigger_mode="always_last",
        **QUICK,
    )
    # In the browser, so that a seed typed just before Enter is kept for that very run.
    controls.seed.input(None, None, controls.seed_mode, js=f"() => {KEEP!r}", **QUICK)


def preset_choices(spec: ModelSpec, aspect_ratio: str) -> list[tuple[str, str]]:
    """(title, name) of every preset, and what is none of them."""
    known = presets(spec, aspect_ratio)
    return [(preset.title, name) for name, preset in known.items()] + [("Custom", CUSTOM_PRESET)]


def preset_info(name: str, spec: ModelSpec, aspect_ratio: str) -> str:
    """What a preset does, in a sentence."""
    return CUSTOM_INFO if name == CUSTOM_PRESET else presets(spec, aspect_ratio)[name].info
