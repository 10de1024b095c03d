"""The request controls: built once, laid out by any tab, and turned into a request in one place."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.request import MAX_SEED, GenerationRequest
from infinity.spec import ModelSpec

ROLL, KEEP = "Roll", "Keep"
MAX_PICTURES = 9
PAGE_GUIDANCE = (1.0, 10.0)
PAGE_TEMPERATURE = (0.0, 2.0)

EXAMPLES = (
    "a red apple on a sandy beach",
    "a penguin in the snow",
    "a castle at sunset",
    "a panda on a green background",
    "a robot in the city",
    "a hamburger at a party",
)
"""Prompts of the shipped model's world; larger models know them too."""


@dataclass(frozen=True)
class RequestControls:
    """One component a setting. ``seed_mode`` decides whether ``seed`` is kept or rolled anew."""

    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    model: gr.Dropdown
    aspect_ratio: gr.Dropdown
    seed: gr.Number
    seed_mode: gr.Radio
    num_images: gr.Slider
    guidance: gr.Slider
    temperature: gr.Slider
    top_k: gr.Number
    top_p: gr.Slider

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))

    def inputs(self) -> list[Component]:
        """The components in the order of :meth:`names`: the inputs of every handler."""
        return [getattr(self, name) for name in self.names()]

    def defaults_of(self) -> list[Component]:
        """What another model changes, in the order of :func:`model_defaults`."""
        return [self.aspect_ratio, self.guidance, self.temperature, self.top_k, self.top_p]


def build_controls(models: Mapping[str, ModelSpec], chosen: str) -> RequestControls:
    """Make the components without placing them: a tab calls ``render`` on each.

    Args:
        models: every model on offer, by name.
        chosen: the one whose defaults the controls show at first.
    """
    spec = models[chosen]
    sampling = spec.sampling
    return RequestControls(
        prompt=gr.Textbox(
            label="Prompt",
            placeholder="a red apple on a sandy beach",
            lines=1,
            max_lines=6,
            autofocus=True,
            elem_id="prompt",
            render=False,
        ),
        negative_prompt=gr.Textbox(
            label="Negative prompt",
            info="What the picture is steered away from. Works through guidance, so not at guidance 1.",
            placeholder="nothing",
            lines=1,
            max_lines=4,
            elem_id="negative-prompt",
            render=False,
        ),
        model=gr.Dropdown(
            [(offered.title, name) for name, offered in models.items()],
            value=chosen,
            label="Model",
            info=describe(spec),
            filterable=False,
            elem_id="model",
            render=False,
        ),
        aspect_ratio=gr.Dropdown(
            aspect_choices(spec),
            value=spec.aspect_ratios[0],
            label="Aspect ratio",
            info="Only what this model was trained on, in its real pixels.",
            filterable=False,
            elem_id="aspect-ratio",
            render=False,
        ),
        seed=gr.Number(
            value=0,
            label="Seed",
            info="Same seed, same picture.",
            elem_id="seed",
            render=False,
        ),
        seed_mode=gr.Radio(
            [("🎲 Roll", ROLL), ("📌 Keep", KEEP)],
            value=ROLL,
            label="Next run",
            info="Roll a new one, or keep it.",
            elem_id="seed-mode",
            render=False,
        ),
        num_images=gr.Slider(
            1,
            MAX_PICTURES,
            value=1,
            step=1,
            label="Pictures",
            info="The next ones use the next seeds; each looks as it would alone.",
            elem_id="num-images",
            render=False,
        ),
        guidance=gr.Slider(
            *PAGE_GUIDANCE,
            value=_one(sampling.guidance),
            step=0.1,
            label="Guidance",
            info="How closely the prompt is followed. 1 is not at all, and about twice as fast; "
            "too much looks harsh.",
            elem_id="guidance",
            render=False,
        ),
        temperature=gr.Slider(
            *PAGE_TEMPERATURE,
            value=_one(sampling.temperature),
            step=0.05,
            label="Temperature",
            info="How freely bits are drawn: lower is plainer, higher more varied; "
            "0 always takes the likelier value.",
            elem_id="temperature",
            render=False,
        ),
        top_k=gr.Number(
            value=sampling.top_k,
            label="Top-k",
            info="A bit has only two values: 1 always takes the likelier one, "
            "any other number changes nothing.",
            minimum=0,
            step=1,
            elem_id="top-k",
            render=False,
        ),
        top_p=gr.Slider(
            0.5,
            1.0,
            value=max(0.5, sampling.top_p),
            step=0.01,
            label="Top-p",
            info="Only settles bits that are nearly certain: those whose other value is at most "
            "1 − top-p likely. 1 is off.",
            elem_id="top-p",
            render=False,
        ),
    )


def request_from(values: Mapping[str, Any]) -> tuple[str, GenerationRequest]:
    """(model, request) from the controls' values, by control name; rolls the seed if asked to.

    Raises:
        RequestError: a value out of range, with one sentence that says what to do.
    """
    seed = roll() if values["seed_mode"] == ROLL else values["seed"]
    request = GenerationRequest(
        prompt=values["prompt"] or "",
        negative_prompt=values["negative_prompt"] or "",
        aspect_ratio=values["aspect_ratio"],
        seed=seed,
        num_images=values["num_images"],
        guidance=values["guidance"],
        temperature=values["temperature"],
        top_k=values["top_k"],
        top_p=values["top_p"],
    )
    return values["model"], request


def roll() -> int:
    """A fresh seed, from the machine's entropy."""
    return random.SystemRandom().randint(0, MAX_SEED)


def aspect_choices(spec: ModelSpec) -> list[tuple[str, str]]:
    """(label with the real size in pixels, aspect ratio) of what the model was trained on."""
    sizes = {ratio: spec.image_size(ratio) for ratio in spec.aspect_ratios}
    return [(f"{ratio} · {width} × {height} px", ratio) for ratio, (height, width) in sizes.items()]


def describe(spec: ModelSpec) -> str:
    """One line on a model: what it draws and how finely."""
    schedule = spec.schedule(spec.aspect_ratios[0])
    last = schedule[-1]
    fetched = " Fetched from the hub the first time." if spec.hub else ""
    return (
        f"{len(schedule)} scales up to {last.width} × {last.height} tokens of "
        f"{spec.tokenizer.bits_per_token} bits.{fetched}"
    )


def model_defaults(spec: ModelSpec, aspect_ratio: str | None) -> tuple[Any, ...]:
    """Updates for :meth:`RequestControls.defaults_of` when ``spec`` is chosen.

    The aspect ratio stays if the model knows it; the sampling becomes the model's own.
    """
    sampling = spec.sampling
    kept = aspect_ratio if aspect_ratio in spec.schedules else spec.aspect_ratios[0]
    return (
        gr.update(choices=aspect_choices(spec), value=kept),
        _one(sampling.guidance),
        _one(sampling.temperature),
        sampling.top_k,
        max(0.5, sampling.top_p),
    )


def _one(value: float | tuple[float, ...]) -> float:
    """A slider shows one number: the last scale's, where a model's default is a list."""
    return value[-1] if isinstance(value, tuple) else value
