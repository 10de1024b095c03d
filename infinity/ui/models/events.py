"""What happens on the Models tab: a look at a model, loading it, letting go of it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.memory_modes import MEMORY_MODES
from infinity.ui.controls.follow import model_updates
from infinity.ui.models.view import GB, loaded_html, plan_html
from infinity.ui.shared.context import Context
from infinity.ui.shared.status import UNEXPECTED, Phase, Status, loading, problem_html, status_html
from infinity.ui.shared.turns import Loading, load
from infinity.ui.shared.wiring import Components, Updates

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelEvents:
    """The handlers of the tab, and the components they update; ``controls`` are the Generate tab's."""

    context: Context
    controls: Components
    table: gr.HTML
    memory_mode: gr.Radio
    plan: gr.HTML
    status: gr.HTML
    load: gr.Button

    def look(self, name: str, memory_mode: str | None = None) -> Updates:
        """Show what is loaded and what a model would need."""
        manager = self.context.manager
        memory_mode = memory_mode or manager.memory_mode_of(name)
        try:
            plan = manager.plan(name, memory_mode)
            shown, is_possible = plan_html(plan), not plan.obstacle
        except InfinityError as error:
            shown, is_possible = problem_html(str(error)), False
        return {
            self.table: loaded_html(manager.loaded(), self.context.models),
            self.memory_mode: gr.update(value=memory_mode, info=MEMORY_MODES[memory_mode].info),
            self.plan: shown,
            self.load: gr.update(interactive=is_possible),
        }

    def load_model(
        self, request: gr.Request, name: str, memory_mode: str, ratio: str, style: str
    ) -> Iterator[Updates]:
        """Load a model, with its progress, and give it to the Generate tab."""
        manager, spec = self.context.manager, self.context.models[name]
        try:
            plan = manager.plan(name, memory_mode)
            if plan.obstacle:
                yield self._said("failed", plan.obstacle, can_load=False)
                return
            yield self._loading(loading(f"Loading {spec.title} …"))
            with self.context.runs.loading(load_session(request.session_hash)) as cancel:
                for report in load(manager, name, cancel, memory_mode):
                    if isinstance(report, Loading):
                        yield self._loading(loading(report.what, report.fraction))
                if cancel.is_set():
                    yield self._said("stopped", "Stopped.")
                    return
            updates = model_updates(name, spec, ratio, style)
            said = self._said("done", f"{spec.title} is loaded and chosen.")
            yield {**said, **self.controls.updates(updates)}
        except InfinityError as error:
            yield self._said("failed", str(error))
        except Exception:
            logger.exception("A model could not be loaded")
            yield self._said("failed", UNEXPECTED)

    def stop_load(self, request: gr.Request) -> Any:
        """End what :meth:`load_model` began."""
        if self.context.runs.stop(load_session(request.session_hash)):
            return gr.skip()
        return status_html(Status("done", "Nothing is being loaded here."))

    def unload(self, name: str) -> str:
        """Let go of a model."""
        was_loaded = self.context.manager.unload(name)
        said = "is unloaded" if was_loaded else "was not loaded"
        return status_html(Status("done", f"{self.context.models[name].title} {said}."))

    def set_budget(self, gigabytes: float | None) -> None:
        """Of all models together; 0 and an empty field are no limit."""
        self.context.manager.set_budget(round((gigabytes or 0) * GB) or None)

    def _loading(self, status: Status) -> Updates:
        return {self.status: status_html(status), self.load: gr.update(interactive=False)}

    def _said(self, phase: Phase, sentence: str, *, can_load: bool = True) -> Updates:
        said = status_html(Status(phase, sentence))
        return {self.status: said, self.load: gr.update(interactive=can_load)}


def load_session(session: str | None) -> str:
    """Under which name a session's load is kept, beside its runs."""
    return f"{session or ''}/load"
