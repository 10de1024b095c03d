"""How events are wired, the same for every tab: which of them wait for each other, and who sees them."""

from collections.abc import Mapping
from typing import Any, Literal

from gradio.components import Component

Updates = dict[Any, Any]
"""What a handler returns: updates by component; those that it does not name stay as they are."""


class Components(dict[str, Any]):
    """Components by name, as a tab lays them out."""

    def named(self, *names: str) -> list[Any]:
        return [self[name] for name in names]

    def read(self, given: Mapping[Component, Any]) -> dict[str, Any]:
        """A handler's inputs by name; other components are left out."""
        return {name: given[component] for name, component in self.items() if component in given}

    def updates(self, by_name: Mapping[str, Any]) -> Updates:
        """Values or updates by name, as a handler returns them."""
        return {self[name]: update for name, update in by_name.items()}


PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For the page's own handlers: no endpoint, no overlay."""
QUICK: dict[str, Any] = {"queue": False, **PRIVATE}
"""For those that wait for nobody."""

SETTLED_MS = 20


def quick_on(component: Component) -> dict[str, Any]:
    """``QUICK`` for an event among whose outputs are containers, or the Edit tab's canvas.

    What shows the progress of an event, which by default all its outputs do, is asked for its value and
    for those of all inside it at every step of any run from then on; and a canvas answers by sending files.

    Args:
        component: shows it instead, though it is hidden.
    """
    return QUICK | {"show_progress_on": component}


def settled(name: str) -> dict[str, Any]:
    """``QUICK`` for a handler of the changes of several controls, which a preset or a recall of settings
    changes at once: asked once, with what all of them say in the end. Gradio alone would ask at every
    change, and the answer that comes last, of whatever stage, would stand.

    Args:
        name: of the handler, one of its own.
    """
    wait = f"""async (...values) => {{
      const turns = window.settling ??= {{}}, turn = turns.{name} = {{}};
      await new Promise((resolve) => setTimeout(resolve, {SETTLED_MS}));
      return turns.{name} === turn ? values : new Promise(() => {{}});
    }}"""
    return {"js": wait, "trigger_mode": "always_last", **QUICK}


HELP_TWO: dict[str, Any] = {"concurrency_id": "prompt-help", "concurrency_limit": 2}
"""For every handler that asks the prompt's helper."""
DRAW: dict[str, Any] = {"concurrency_id": "draw", "concurrency_limit": None}
"""For every handler that runs a model: each loads its model first and then takes its turn; the runs
count who waits (``infinity.ui.shared.runs``)."""
DRAWING: dict[str, Any] = {**DRAW, **PRIVATE}
"""The same for the page's own."""


def shown(is_shown: bool) -> Literal[True, "hidden"]:
    """``visible`` of a component that comes and goes during a run. False would take it out of the page,
    and a browser that gets several such updates at once may end with an earlier one."""
    return True if is_shown else "hidden"
