"""The controls of the Edit tab but the prompt: what to do, and the settings that belong to it."""

from typing import Any

import gradio as gr

from infinity.schedule import heights_over_widths
from infinity.spec import ModelSpec
from infinity.start import MOST_ROUNDS, REPAIR_DOUBT
from infinity.ui.controls.choices import aspect_choices
from infinity.ui.controls.request import MAX_PICTURES
from infinity.ui.edit.ways import CONTROLS, EDIT, EXTEND, MORE, WAYS, way_of
from infinity.ui.shared.context import Context
from infinity.ui.shared.wiring import QUICK, Components, Updates, shown

MOST_SOFTNESS = 8
NOT_KEPT = ("second", "aspect_ratio", "model")
"""Controls whose values belong to a picture or its model."""


def build_ways(context: Context, controls: Components) -> None:
    """What to do with the picture, one of all ways that a model on offer has."""
    has_ratios = any(len(spec.schedules) > 1 for spec in context.models.values())
    controls["way"] = gr.Radio(
        [(way.title, name) for name, way in WAYS.items() if name != EXTEND or has_ratios],
        value=EDIT,
        label="What to do",
        info=WAYS[EDIT].info,
        elem_id="way",
    )


def build_settings(context: Context, controls: Components) -> None:
    """Lay the settings out in the current column, add them to ``controls``, wire what follows from the
    way that is chosen."""
    spec = context.models[context.first_model]
    scales = len(spec.schedule(spec.aspect_ratios[0]))
    build = _Builder(controls)
    controls["model"] = gr.Dropdown(
        [(offered.title, name) for name, offered in context.models.items()],
        value=context.first_model,
        label="Model",
        info="A picture's own model knows its very bits; any other reads its pixels.",
        filterable=False,
        visible=len(context.models) > 1,
        elem_id="edit-model",
    )
    build.add(
        "second",
        gr.File,
        file_types=context.file_types,
        label="Second picture",
        height=150,
    )
    build.add(
        "keep_scales",
        gr.Slider,
        minimum=0,
        maximum=scales,
        value=0,
        step=1,
        label="Scales that stay",
        info="From the coarsest. Coarse scales hold the layout, fine ones the details.",
    )
    build.add(
        "softness",
        gr.Slider,
        minimum=0,
        maximum=MOST_SOFTNESS,
        value=0,
        step=1,
        label="Soft edge",
        info="In tokens: nearer to the edge a bit has to be less likely to change.",
    )
    build.add(
        "doubt",
        gr.Slider,
        minimum=0.01,
        maximum=0.5,
        value=REPAIR_DOUBT,
        step=0.01,
        label="Doubt",
        info="At most this share of the bits of a scale is taken for errors.",
    )
    build.add(
        "rounds",
        gr.Slider,
        minimum=1,
        maximum=MOST_ROUNDS,
        value=1,
        step=1,
        label="Rounds",
        info="Each looks at what came of the one before.",
    )
    build.add(
        "aspect_ratio",
        gr.Dropdown,
        choices=aspect_choices(spec),
        value=next_wider(spec, spec.aspect_ratios[0]),
        label="New aspect ratio",
        filterable=False,
    )
    build.add(
        "branches",
        gr.Slider,
        minimum=1,
        maximum=min(MAX_PICTURES, context.hosting.max_pictures),
        value=1,
        step=1,
        label="Branches",
        info="Several results at once, each of another seed.",
    )
    build.add(
        "seed", gr.Number, value=-1, label="Seed", info="Of the first branch; -1 for a new one."
    )
    with gr.Accordion("More settings", open=False, elem_id="edit-more") as more:
        for name, title, info in (
            ("guidance", "Guidance", "How strongly the prompt steers."),
            ("temperature", "Temperature", "How freely bits are drawn."),
            ("confidence", "Confidence", "From 0.5 to 1; less means more variety."),
            ("negative_prompt", "Negative prompt", "What the picture is steered away from."),
        ):
            build.add(
                name, gr.Textbox, label=title, info=info, placeholder="as the picture", max_lines=2
            )
    way, keep_scales = controls.named("way", "keep_scales")

    def follow(name: str) -> Updates:
        shows = way_of(name).shows
        visible = {other: gr.update(visible=shown(other in shows)) for other in CONTROLS}
        return {
            way: gr.update(info=way_of(name).info),
            more: gr.update(visible=shown(MORE[0] in shows)),
            **controls.updates(visible),
        }

    way.change(follow, way, [way, more, *controls.named(*CONTROLS)], **QUICK)
    # Only where somebody chooses it: what a page has kept stays.
    way.input(lambda name: way_of(name).keep_scales, way, keep_scales, **QUICK)


def next_wider(spec: ModelSpec, aspect_ratio: str) -> str:
    """The model's next wider aspect ratio; of the widest, the next narrower one."""
    heights = heights_over_widths(spec.schedules)
    ordered = sorted(heights, key=heights.__getitem__, reverse=True)
    place = ordered.index(aspect_ratio) + 1
    return ordered[place] if place < len(ordered) else ordered[max(0, place - 2)]


class _Builder:
    """Adds the controls that a way shows, those of the first one visible."""

    def __init__(self, controls: Components) -> None:
        self._controls = controls

    def add(self, name: str, component: Any, **properties: Any) -> None:
        elem_id = f"edit-{name.replace('_', '-')}"
        visible = shown(name in WAYS[EDIT].shows)
        self._controls[name] = component(elem_id=elem_id, visible=visible, **properties)
