"""The settings beside the picture: where each request control stands, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.presets import presets
from infinity.spec import ModelSpec
from infinity.ui.controls import KEEP, RequestControls
from infinity.ui.controls.aspect import shapes_html
from infinity.ui.controls.follow import (
    CUSTOM_PRESET,
    FOLLOWED,
    followed,
    model_updates,
    plots_of,
    preset_updates,
)
from infinity.ui.controls.request import SAMPLING, sampling_values
from infinity.ui.generate.world import world_html
from infinity.ui.shared.wiring import PRIVATE

RADIO_KEYS = Path(__file__).parents[1] / "controls" / "radio_keys.js"
CUSTOM_INFO = "Settings of your own, which are none of the presets."
AT_ONCE: dict[str, Any] = {"queue": False, **PRIVATE}


@dataclass(frozen=True)
class SettingsPanel:
    """What stands beside the controls and follows them."""

    preset: gr.Radio
    plots: gr.HTML
    world: gr.HTML


def lay_out_settings(
    controls: RequestControls, models: Mapping[str, ModelSpec], chosen: str
) -> SettingsPanel:
    """Place every control but the prompt in the current column."""
    spec = models[chosen]
    ratio = spec.aspect_ratios[0]
    values = sampling_values(spec.sampling, len(spec.schedule(ratio))) | {"aspect_ratio": ratio}
    gr.HTML(
        shapes_html(models.values()),
        js_on_load=RADIO_KEYS.read_text(encoding="utf-8"),
        elem_id="aspect-shapes",
        padding=False,
    )
    controls.model.render()
    controls.aspect_ratio.render()
    controls.style.render()
    with gr.Row(elem_id="seed-row", equal_height=False):
        controls.seed.render()
        controls.seed_mode.render()
    controls.num_images.render()
    first = next(iter(presets(spec, ratio)))
    preset = gr.Radio(
        preset_choices(spec, ratio),
        value=first,
        label="Preset",
        info=preset_info(first, spec, ratio),
        elem_id="preset",
    )
    controls.guidance.render()
    controls.temperature.render()
    with gr.Accordion("Values by scale", open=False, elem_id="scale-settings"):
        plots = gr.HTML(plots_of(values, spec), elem_id="plots", padding=False)
        for name in ("guidance", "temperature"):
            for part in ("mode", "last", "list"):
                getattr(controls, f"{name}_{part}").render()
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        for name in ("negative_prompt", "top_p", "top_k", "guidance_layers", "guided_scales"):
            getattr(controls, name).render()
    with gr.Accordion("What this model knows", open=False, elem_id="known"):
        world = gr.HTML(world_html(spec), elem_id="world", padding=False)
    return SettingsPanel(preset, plots, world)


def wire_settings(
    controls: RequestControls, panel: SettingsPanel, spec_of: Callable[[str], ModelSpec]
) -> None:
    """Events among the controls.

    Args:
        spec_of: what a model is, by its name.
    """

    def known(name: str) -> ModelSpec:
        try:
            return spec_of(name)
        except InfinityError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error

    def choose_model(name: str, ratio: str | None, style: str) -> list[Any]:
        return model_updates(known(name), ratio, style)

    def choose_preset(name: str, model: str, ratio: str) -> list[Any]:
        return preset_updates(name, known(model), ratio)

    def follow(model: str, ratio: str, *sampling: Any) -> list[Any]:
        values = dict(zip(SAMPLING, sampling, strict=True)) | {"aspect_ratio": ratio}
        spec = known(model)
        preset, *others = followed(values, spec)
        return [gr.update(value=preset, info=preset_info(preset, spec, ratio)), *others]

    controls.model.input(
        choose_model,
        [controls.model, controls.aspect_ratio, controls.style],
        [controls.model, controls.aspect_ratio, controls.style, *controls.sampling()],
        **AT_ONCE,
    )
    controls.model.change(
        lambda name: world_html(known(name)), controls.model, panel.world, **AT_ONCE
    )
    panel.preset.input(
        choose_preset,
        [panel.preset, controls.model, controls.aspect_ratio],
        controls.sampling(),
        **AT_ONCE,
    )
    causes = [controls.model, controls.aspect_ratio, *controls.sampling()]
    # On every change, whoever made it: a person, a preset, or another tab's "use these settings".
    gr.on(
        [component.change for component in causes],
        follow,
        causes,
        [panel.preset, panel.plots, *(getattr(controls, name) for name in FOLLOWED)],
        trigger_mode="always_last",
        **AT_ONCE,
    )
    # In the browser, so that a seed typed just before Enter is kept for that very run.
    controls.seed.input(None, None, controls.seed_mode, js=f"() => {KEEP!r}", **AT_ONCE)


def preset_choices(spec: ModelSpec, aspect_ratio: str) -> list[tuple[str, str]]:
    """(title, name) of every preset, and what is none of them."""
    known = presets(spec, aspect_ratio)
    return [(preset.title, name) for name, preset in known.items()] + [("Custom", CUSTOM_PRESET)]


def preset_info(name: str, spec: ModelSpec, aspect_ratio: str) -> str:
    """What a preset does, in a sentence."""
    return CUSTOM_INFO if name == CUSTOM_PRESET else presets(spec, aspect_ratio)[name].info
