"""The settings beside the picture: the controls but the prompt, and what follows from each."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.errors import InfinityError
from infinity.hosting import Hosting
from infinity.presets import presets
from infinity.request import JUDGE
from infinity.spec import ModelSpec
from infinity.ui.controls.choices import (
    CUSTOM_PRESET,
    NO_STYLE,
    OF_MODEL,
    SHOWN_IN,
    model_choices,
    model_updates,
    preset_of,
    preset_updates,
    shapes_html,
    shown_updates,
)
from infinity.ui.controls.plot import plots_of
from infinity.ui.controls.request import (
    CONSTANT,
    CUSTOM,
    KEEP,
    MAX_PICTURES,
    NEXT,
    PER_SCALE,
    PYRAMID,
    ROLL,
    SAMPLING,
    sampling_values,
)
from infinity.ui.generate.help import WORDS_SCRIPT, world_html
from infinity.ui.shared.context import Context
from infinity.ui.shared.wiring import QUICK, Components, Updates, settled

MOST_CANDIDATES = 16
RADIO_KEYS = Path(__file__).with_name("radio_keys.js")
STEPS = {"guidance": 0.1, "temperature": 0.05, "confidence": 0.01}


def build_settings(context: Context, controls: Components) -> None:
    """Lay the controls out in the current column, add them to ``controls``, wire their events."""
    first = context.first_model
    spec = context.models[first]
    ratio = spec.aspect_ratios[0]
    choices = model_choices(first, spec, ratio, NO_STYLE)
    values = sampling_values(spec.sampling, len(spec.schedule(ratio)))
    gr.HTML(
        shapes_html(context.models.values()),
        js_on_load=RADIO_KEYS.read_text(encoding="utf-8"),
        elem_id="aspect-shapes",
        padding=False,
    )
    controls["model"] = gr.Dropdown(
        [(offered.title, name) for name, offered in context.models.items()],
        label="Model",
        filterable=False,
        **choices["model"],
    )
    controls["aspect_ratio"] = gr.Radio(
        label="Aspect ratio",
        info="Only what this model was trained on, in its real pixels.",
        **choices["aspect_ratio"],
    )
    controls["style"] = gr.Dropdown(label="Style", filterable=False, **choices["style"])
    controls["complete_prompt"] = gr.Checkbox(
        value=True,
        label="Complete the prompt",
        info="The seed chooses what the prompt leaves open, such as the background. What was "
        "drawn stands under each picture.",
        **choices["complete_prompt"],
    )
    with gr.Row(elem_id="seed-row", equal_height=False):
        controls["seed"] = gr.Number(
            value=0, label="Seed", info="Same seed, same picture; -1 for a random one."
        )
        controls["seed_mode"] = gr.Radio(
            [("🎲 Roll", ROLL), ("📌 Keep", KEEP), ("+1", NEXT)],
            value=ROLL,
            label="Next run",
            info="Roll a new one, keep it, or add 1.",
        )
    controls["num_images"] = gr.Slider(
        1,
        MAX_PICTURES,
        value=1,
        step=1,
        label="Pictures",
        info="The next ones use the next seeds; each looks as it would alone.",
    )
    known = presets(spec, ratio)
    preset = gr.Radio(
        [(kind.title, name) for name, kind in known.items()] + [("Custom", CUSTOM_PRESET[0])],
        value="balanced",
        label="Preset",
        info=known["balanced"].info,
        interactive=True,
        elem_id="preset",
    )
    controls["guidance"] = gr.Slider(
        *PER_SCALE["guidance"],
        value=values["guidance"],
        step=STEPS["guidance"],
        label="Guidance",
        info="How strongly the prompt steers. 1 adds no steering and is about twice as fast; "
        "too much looks harsh.",
    )
    controls["temperature"] = gr.Slider(
        *PER_SCALE["temperature"],
        value=values["temperature"],
        step=STEPS["temperature"],
        label="Temperature",
        info="How freely bits are drawn: lower is plainer, higher more varied; "
        "0 always takes the likelier value.",
    )
    with gr.Accordion("Values by scale", open=False, elem_id="scale-settings"):
        plots = gr.HTML(
            plots_of({**values, "aspect_ratio": ratio}, spec), elem_id="plots", padding=False
        )
        for name in PER_SCALE:
            _build_by_scale(name, values, controls)
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        _build_more(values, controls)
    with gr.Accordion("Best of several", open=False, elem_id="best-of"):
        _build_best_of(context.hosting, controls)
    with gr.Accordion("What this model knows", open=False, elem_id="known"):
        world = gr.HTML(
            world_html(spec),
            js_on_load=WORDS_SCRIPT.read_text(encoding="utf-8"),
            elem_id="world",
            padding=False,
        )
    for name, component in controls.items():
        component.elem_id = name.replace("_", "-")
    _wire(context, controls, preset, plots, world)


def _build_by_scale(name: str, values: dict[str, Any], controls: Components) -> None:
    """What lets a setting differ from scale to scale."""
    title, mode = name.capitalize(), values[f"{name}_mode"]
    controls[f"{name}_mode"] = gr.Radio(
        [("Same", CONSTANT), ("Pyramid", PYRAMID), ("Custom", CUSTOM)],
        value=mode,
        label=f"{title} over the scales",
        info="The same at every scale; a pyramid in equal steps from the slider's value to "
        "another; or a list of your own.",
    )
    controls[f"{name}_last"] = gr.Slider(
        *PER_SCALE[name],
        value=values[f"{name}_last"],
        step=STEPS[name],
        label=f"{title} at the last scale",
        info="Where the pyramid ends.",
        visible=mode == PYRAMID,
    )
    controls[f"{name}_list"] = gr.Textbox(
        value=values[f"{name}_list"],
        label=f"{title}, one value a scale",
        info="Coarse to fine, with commas between. The last one holds for the scales that follow.",
        placeholder="1, 2, 3",
        max_lines=1,
        visible=mode == CUSTOM,
    )


def _build_more(values: dict[str, Any], controls: Components) -> None:
    controls["confidence"] = gr.Slider(
        *PER_SCALE["confidence"],
        value=values["confidence"],
        step=STEPS["confidence"],
        label="Confidence",
        info="How sure of a bit the model may be, on average over a scale; where it is surer, the "
        "temperature is raised. 1 is off; lower gives more different pictures of one prompt, and "
        "more that miss it.",
    )
    controls["negative_prompt"] = gr.Textbox(
        label="Negative prompt",
        info="What the picture is steered away from. Works through guidance, so not at guidance 1.",
        placeholder="nothing",
        lines=1,
        max_lines=4,
    )
    controls["top_p"] = gr.Slider(
        0.01,
        1.0,
        value=values["top_p"],
        step=0.01,
        label="Top-p",
        info="Only settles bits that are nearly certain: those whose other value is at most "
        "1 − top-p likely. 1 is off; from 0.5 down every bit takes its likelier value.",
    )
    controls["top_k"] = gr.Number(
        value=values["top_k"],
        label="Top-k",
        info="A bit has only two values: 1 always takes the likelier one, "
        "any other number changes nothing.",
        minimum=0,
        step=1,
    )
    controls["guidance_layers"] = gr.Textbox(
        value=values["guidance_layers"],
        label="Guidance layers",
        info="Where guidance acts: 0 is the final scores of the bits; -1 the features after the "
        "last block, -2 after the one before. Several with commas, such as 0, -4.",
        max_lines=1,
    )
    # Text, since an empty number is taken for 0 as the page opens.
    controls["guided_scales"] = gr.Textbox(
        value=values["guided_scales"],
        label="Guided scales",
        info="Guide only this many scales, from the first; the rest run nearly twice as fast. "
        "Empty guides all.",
        placeholder="all",
        max_lines=1,
    )
    controls["pruning"] = gr.Slider(
        0,
        0.9,
        value=values["pruning"],
        step=0.05,
        label="Token pruning",
        info="The share of the tokens that skips the model at the last two scales and takes what the "
        "scale before had there. 0 is exact.",
    )
    controls["fp8_scales"] = gr.Number(
        value=values["fp8_scales"],
        label="Scales in fp8",
        info="At so many scales, the last ones, a card that can multiplies in fp8: about twice as fast, and "
        "some bits change. Elsewhere it has no effect. 0 is none.",
        minimum=0,
        step=1,
    )


def _build_best_of(hosting: Hosting, controls: Components) -> None:
    controls["candidates"] = gr.Slider(
        1,
        max(2, min(MOST_CANDIDATES, hosting.max_pictures)),
        value=1,
        step=1,
        label="Candidates",
        info="Draw so many for each picture and keep the best; it takes as many times as long. The preset "
        "Varied gives more to choose from.",
    )
    controls["prune_at_scale"] = gr.Number(
        value=0,
        label="Drop the worse half after scale",
        info="Judged by the picture so far; the rest is drawn on. 0 finishes all of them.",
        minimum=0,
        step=1,
    )
    known = ", ".join((JUDGE, *hosting.scorers))
    offered = (
        f"One of {known}."
        if hosting.public
        else (
            "Empty: the default model’s judge, which knows its world only. For other models name a CLIP-like "
            "one, such as openai/clip-vit-base-patch32; it is fetched from the hub the first time."
        )
    )
    controls["scorer"] = gr.Textbox(
        value="",
        label="Who chooses",
        info=offered,
        placeholder=JUDGE,
        max_lines=1,
        max_length=200,
    )


def _wire(
    context: Context, controls: Components, preset: gr.Radio, plots: gr.HTML, world: gr.HTML
) -> None:
    def spec_of(model: str) -> ModelSpec:
        try:
            return context.spec(model)
        except InfinityError as error:
            raise gr.Error(escape(str(error)), print_exception=False) from error

    def choose_model(name: str, ratio: str | None, style: str) -> Updates:
        return controls.updates(model_updates(name, spec_of(name), ratio, style))

    def choose_preset(event: gr.SelectData, given: dict[Component, Any]) -> Updates:
        """By what was clicked: the radio itself may show an earlier choice again by now. "Custom" is
        nothing to choose: it goes back to what the settings are."""
        values = controls.read(given)
        spec = spec_of(values["model"])
        if event.value == CUSTOM_PRESET[0]:
            return {preset: preset_of(values, spec)[0]}
        return controls.updates(preset_updates(event.value, spec, values["aspect_ratio"]))

    def follow(given: dict[Component, Any]) -> Updates:
        values = controls.read(given)
        spec = spec_of(values["model"])
        chosen, info = preset_of(values, spec)
        return {
            preset: gr.update(value=chosen, info=info),
            plots: plots_of(values, spec),
            **controls.updates(shown_updates(values)),
        }

    of_model = controls.named(*OF_MODEL)
    model, aspect_ratio, style = controls.named("model", "aspect_ratio", "style")
    sampling = controls.named(*SAMPLING)
    asked = [model, aspect_ratio, style]
    model.input(choose_model, asked, [*of_model, *sampling], **settled("model"))
    model.change(lambda name: world_html(spec_of(name)), model, world, **QUICK)
    causes = [model, aspect_ratio, *sampling]
    preset.select(choose_preset, set(causes), [*sampling, preset], trigger_mode="multiple", **QUICK)
    # On every change, whoever made it: a person, a preset, or another tab's "use these settings".
    gr.on(
        [component.change for component in causes],
        follow,
        set(causes),
        [preset, plots, *controls.named(*SHOWN_IN)],
        **settled("settings"),
    )
    # In the browser, so that a seed typed just before Enter is kept for that very run.
    controls["seed"].input(None, None, controls["seed_mode"], js=f"() => {KEEP!r}", **QUICK)
