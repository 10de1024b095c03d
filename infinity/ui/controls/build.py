"""The request controls' components: labels, help, limits and what they show at first."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from infinity.spec import ModelSpec
from infinity.ui.controls.aspect import aspect_choices
from infinity.ui.controls.per_scale import CONSTANT, CUSTOM, PYRAMID
from infinity.ui.controls.request import (
    KEEP,
    NEXT,
    PAGE_GUIDANCE,
    PAGE_TEMPERATURE,
    ROLL,
    RequestControls,
    sampling_values,
)
from infinity.ui.controls.styles import NO_STYLE, style_choices

MAX_PICTURES = 9
PLACEHOLDER = "a red apple on a sandy beach"
MODES = [("Same", CONSTANT), ("Pyramid", PYRAMID), ("Custom", CUSTOM)]


def build_controls(models: Mapping[str, ModelSpec], chosen: str) -> RequestControls:
    """Make the components without placing them: a tab calls ``render`` on each.

    Args:
        models: every model on offer, by name.
        chosen: the one whose defaults the controls show at first.
    """
    spec = models[chosen]
    scales = len(spec.schedule(spec.aspect_ratios[0]))
    shown = sampling_values(spec.sampling, scales)
    controls = RequestControls(
        prompt=gr.Textbox(
            label="Prompt",
            placeholder=PLACEHOLDER,
            lines=1,
            max_lines=6,
            autofocus=True,
            render=False,
        ),
        negative_prompt=gr.Textbox(
            label="Negative prompt",
            info="What the picture is steered away from. Works through guidance, so not at guidance 1.",
            placeholder="nothing",
            lines=1,
            max_lines=4,
            render=False,
        ),
        model=gr.Dropdown(
            [(offered.title, name) for name, offered in models.items()],
            value=chosen,
            label="Model",
            info=describe(spec),
            filterable=False,
            render=False,
        ),
        aspect_ratio=gr.Radio(
            aspect_choices(spec),
            value=spec.aspect_ratios[0],
            label="Aspect ratio",
            info="Only what this model was trained on, in its real pixels.",
            render=False,
        ),
        style=gr.Dropdown(
            style_choices(spec),
            value=NO_STYLE,
            label="Style",
            info=style_info(spec),
            filterable=False,
            render=False,
        ),
        seed=gr.Number(
            value=0,
            label="Seed",
            info="Same seed, same picture; -1 for a random one.",
            render=False,
        ),
        seed_mode=gr.Radio(
            [("🎲 Roll", ROLL), ("📌 Keep", KEEP), ("+1", NEXT)],
            value=ROLL,
            label="Next run",
            info="Roll a new one, keep it, or add 1.",
            render=False,
        ),
        num_images=gr.Slider(
            1,
            MAX_PICTURES,
            value=1,
            step=1,
            label="Pictures",
            info="The next ones use the next seeds; each looks as it would alone.",
            render=False,
        ),
        guidance=gr.Slider(
            *PAGE_GUIDANCE,
            value=shown["guidance"],
            step=0.1,
            label="Guidance",
            info="How strongly the prompt steers. 1 adds no steering and is about twice as fast; "
            "too much looks harsh.",
            render=False,
        ),
        **_per_scale("guidance", "Guidance", PAGE_GUIDANCE, 0.1, shown),
        temperature=gr.Slider(
            *PAGE_TEMPERATURE,
            value=shown["temperature"],
            step=0.05,
            label="Temperature",
            info="How freely bits are drawn: lower is plainer, higher more varied; "
            "0 always takes the likelier value.",
            render=False,
        ),
        **_per_scale("temperature", "Temperature", PAGE_TEMPERATURE, 0.05, shown),
        top_k=gr.Number(
            value=shown["top_k"],
            label="Top-k",
            info="A bit has only two values: 1 always takes the likelier one, "
            "any other number changes nothing.",
            minimum=0,
            step=1,
            render=False,
        ),
        top_p=gr.Slider(
            0.01,
            1.0,
            value=shown["top_p"],
            step=0.01,
            label="Top-p",
            info="Only settles bits that are nearly certain: those whose other value is at most "
            "1 − top-p likely. 1 is off; from 0.5 down every bit takes its likelier value.",
            render=False,
        ),
        guidance_layers=gr.Textbox(
            value=shown["guidance_layers"],
            label="Guidance layers",
            info="Where guidance acts: 0 is the final scores of the bits; -1 the features after the "
            "last block, -2 after the one before. Several with commas, such as 0, -4.",
            max_lines=1,
            render=False,
        ),
        # Text, since an empty number is taken for 0 as the page opens.
        guided_scales=gr.Textbox(
            value=shown["guided_scales"],
            label="Guided scales",
            info="Guide only this many scales, from the first; the rest run nearly twice as fast. "
            "Empty guides all.",
            placeholder="all",
            max_lines=1,
            render=False,
        ),
    )
    for name, component in controls.by_name().items():
        component.elem_id = name.replace("_", "-")
    return controls


def describe(spec: ModelSpec) -> str:
    """One line on a model: what it draws and how finely."""
    schedule = spec.schedule(spec.aspect_ratios[0])
    last = schedule[-1]
    fetched = " Fetched from the hub the first time." if spec.hub else ""
    return (
        f"{len(schedule)} scales up to {last.width} × {last.height} tokens of "
        f"{spec.tokenizer.bits_per_token} bits.{fetched}"
    )


def style_info(spec: ModelSpec) -> str:
    """What the style does, for a model."""
    if spec.vocabulary is None:
        return "A phrase put at the end of the prompt; the picture's record shows it."
    return "The styles this model has learnt, put at the end of the prompt."


def _per_scale(
    name: str, title: str, limits: tuple[float, float], step: float, shown: Mapping[str, Any]
) -> dict[str, Any]:
    """The three components beside a setting's slider that let it differ from scale to scale."""
    mode = shown[f"{name}_mode"]
    return {
        f"{name}_mode": gr.Radio(
            MODES,
            value=mode,
            label=f"{title} over the scales",
            info="The same at every scale; a pyramid in equal steps from the slider's value to "
            "another; or a list of your own.",
            render=False,
        ),
        f"{name}_last": gr.Slider(
            *limits,
            value=shown[f"{name}_last"],
            step=step,
            label=f"{title} at the last scale",
            info="Where the pyramid ends.",
            visible=mode == PYRAMID,
            render=False,
        ),
        f"{name}_list": gr.Textbox(
            value=shown[f"{name}_list"],
            label=f"{title}, one value a scale",
            info="Coarse to fine, with commas between. The last one holds for the scales that follow.",
            placeholder="1, 2, 3",
            max_lines=1,
            visible=mode == CUSTOM,
            render=False,
        ),
    }
