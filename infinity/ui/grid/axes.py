"""The components of both axes of a grid: what varies, and the list of its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.grid.axes import MODEL, PARAMETERS, STYLE, WORDS, Axis
from infinity.grid.plan import GridPlan
from infinity.spec import ModelSpec
from infinity.ui.controls.styles import style_choices
from infinity.ui.shared.wiring import Updates

NOTHING = ""
CHOICES = [(parameter.title, name) for name, parameter in PARAMETERS.items()]


@dataclass(frozen=True)
class Axes:
    """What varies over the columns (x) and the rows (y), and the list of its values."""

    x: gr.Dropdown
    x_values: gr.Textbox
    y: gr.Dropdown
    y_values: gr.Textbox

    def by_name(self) -> dict[str, Component]:
        return {name: getattr(self, name) for name in ("x", "x_values", "y", "y_values")}

    def inputs(self) -> list[Any]:
        return list(self.by_name().values())

    def values(self, given: Mapping[Component, Any]) -> dict[str, str]:
        """A handler's inputs by name."""
        return {name: given[component] for name, component in self.by_name().items()}

    def updates(self, plan: GridPlan) -> Updates:
        """What shows a plan."""
        return {getattr(self, name): value for name, value in axis_settings(plan).items()}


def axis_settings(plan: GridPlan) -> dict[str, str]:
    """A plan's axes as they are typed, by the names of :class:`Axes`."""
    y = (NOTHING, "") if plan.y is None else (plan.y.parameter, plan.y.text)
    return {"x": plan.x.parameter, "x_values": plan.x.text, "y": y[0], "y_values": y[1]}


def build_axis(title: str, name: str, chosen: str) -> tuple[gr.Dropdown, gr.Textbox]:
    """One axis in the current column; rows may vary nothing."""
    choices = CHOICES if name == "x" else [("Nothing", NOTHING), *CHOICES]
    parameter = gr.Dropdown(
        choices, value=chosen, label=f"{title} vary", filterable=False, elem_id=f"grid-{name}"
    )
    values = gr.Textbox(
        PARAMETERS[chosen].example,
        label=f"Values of the {title.lower()}",
        lines=1,
        max_lines=6,
        elem_id=f"grid-{name}-values",
    )
    return parameter, values


def suggestion(parameter: str, spec: ModelSpec, models: Mapping[str, ModelSpec]) -> Any:
    """The list to begin with when a parameter is chosen: all there is, or an example."""
    if parameter == NOTHING:
        return gr.update(value="", placeholder="One row only")
    example = PARAMETERS[parameter].example
    known: Mapping[str, tuple[str, ...]] = {
        "aspect_ratio": spec.aspect_ratios,
        MODEL: tuple(models),
        STYLE: tuple(phrase for _, phrase in style_choices(spec)[:4]),
    }
    if parameter in known:
        return gr.update(value=Axis(parameter=parameter, values=known[parameter]).text)
    is_typed = parameter in (WORDS, "prompt", "negative_prompt")
    return gr.update(value="" if is_typed else example, placeholder=example)
