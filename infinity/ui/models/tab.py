"""The Models tab: what is in memory and where, what another model would need, load, unload, switch."""

import logging
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.manager import Loaded, LoadPlan
from infinity.memory_modes import memory_choices
from infinity.spec import ModelSpec
from infinity.ui.controls.choices import OF_MODEL, model_updates
from infinity.ui.controls.request import SAMPLING
from infinity.ui.shared.context import Context
from infinity.ui.shared.status import UNEXPECTED, Status, loading, problem_html, status_html
from infinity.ui.shared.turns import load
from infinity.ui.shared.wiring import PRIVATE, QUICK, Components, Updates

logger = logging.getLogger(__name__)

GB = 1e9


class ModelsTab:
    """Laid out inside the current Blocks, its handlers wired. On a public page visitors only look:
    nothing can be loaded, unloaded or budgeted.

    Args:
        tab: the tab itself, whose opening refreshes what is shown.
        controls: of the Generate tab, switched to a model that was loaded here.
    """

    def __init__(self, context: Context, tab: gr.Tab, controls: Components) -> None:
        self.context = context
        self.controls = controls
        is_public = context.hosting.public
        with gr.Row(elem_id="models-panel", equal_height=False):
            with gr.Column(scale=3, min_width=300):
                self.table = gr.HTML(loaded_html((), context.models), elem_id="models-table")
                budget = gr.Number(
                    value=round((context.manager.memory_budget or 0) / GB, 1),
                    label="Memory for all models together, GB",
                    info="Models used longest ago are let go to keep to it; 0 is no limit.",
                    minimum=0,
                    step=1,
                    visible=not is_public,
                    elem_id="models-budget",
                )
            with gr.Column(scale=2, min_width=300):
                choice = gr.Dropdown(
                    [(spec.title, name) for name, spec in context.models.items()],
                    value=context.first_model,
                    label="Model to look at",
                    filterable=False,
                    elem_id="models-choice",
                )
                mode = context.manager.memory_mode_of(context.first_model)
                modes = {name: title for title, name in memory_choices()}
                modes.setdefault(mode, mode)
                self.memory_mode = gr.Radio(
                    [(title, name) for name, title in modes.items()],
                    value=mode,
                    label="Memory",
                    info="A size is the memory of a card: what fits it at least cost is chosen.",
                    elem_id="models-memory-mode",
                )
                self.plan = gr.HTML("", elem_id="models-plan")
                self.status = gr.HTML("", elem_id="models-status")
                with gr.Row(visible=not is_public, elem_id="models-buttons"):
                    self.load = gr.Button(
                        "Load and use", variant="primary", min_width=140, elem_id="models-load"
                    )
                    stop = gr.Button("Stop", min_width=80, elem_id="models-stop")
                    unload = gr.Button("Unload", min_width=80, elem_id="models-unload")
        shown = [self.table, self.memory_mode, self.plan, self.load]
        asked = [choice, self.memory_mode]
        gr.on([tab.select, choice.input], self.look, choice, shown, **QUICK)
        self.memory_mode.input(self.look, asked, shown, **QUICK)
        if is_public:
            return
        # A loaded model is the one to draw with: the Generate tab takes its settings.
        chosen = controls.named(*OF_MODEL, *SAMPLING)
        acts = [
            self.load.click(
                self.load_model,
                [*asked, *controls.named("aspect_ratio", "style")],
                [self.status, self.load, *chosen],
                concurrency_limit=None,
                **PRIVATE,
            ),
            unload.click(self.unload, choice, self.status, **QUICK),
            budget.change(self.set_budget, budget, None, **QUICK),
        ]
        for act in acts:
            act.then(self.look, asked, shown, **QUICK)
        stop.click(self.stop_load, None, self.status, **QUICK)

    def look(self, name: str, memory_mode: str | None = None) -> Updates:
        """Show what is loaded and what a model would need."""
        manager = self.context.manager
        memory_mode = memory_mode or manager.memory_mode_of(name)
        try:
            plan = manager.plan(name, memory_mode)
            shown, is_possible = plan_html(plan), not plan.obstacle
            info = plan.mode.info or plan.mode.costs
        except InfinityError as error:
            shown, is_possible, info = problem_html(str(error)), False, ""
        return {
            self.table: loaded_html(manager.loaded(), self.context.models),
            self.memory_mode: gr.update(value=memory_mode, info=info),
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
                yield self._said(Status("failed", plan.obstacle), can_load=False)
                return
            yield self._said(loading(f"Loading {spec.title} …"), can_load=False)
            with self.context.runs.loading(load_session(request.session_hash)) as cancel:
                for report in load(manager, name, cancel, memory_mode):
                    if isinstance(report, Status):
                        yield self._said(report, can_load=False)
                if cancel.is_set():
                    yield self._said(Status("stopped", "Stopped."))
                    return
            said = self._said(Status("done", f"{spec.title} is loaded and chosen."))
            updates = model_updates(name, spec, ratio, style)
            yield {**said, **self.controls.updates(updates)}
        except InfinityError as error:
            yield self._said(Status("failed", str(error)))
        except Exception:
            logger.exception("A model could not be loaded")
            yield self._said(Status("failed", UNEXPECTED))

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

    def _said(self, status: Status, *, can_load: bool = True) -> Updates:
        return {self.status: status_html(status), self.load: gr.update(interactive=can_load)}


def load_session(session: str | None) -> str:
    """Under which name a session's load is kept, beside its runs."""
    return f"{session or ''}/load"


def loaded_html(loaded: tuple[Loaded, ...], models: Mapping[str, ModelSpec]) -> str:
    """The models in memory as a table, the one used last first."""
    if not loaded:
        return '<p class="about">No model is in memory. The first picture loads one.</p>'
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("In memory", "Size", "Precision", "Where", "Text encoder")
    )
    titles = {name: spec.title for name, spec in models.items()}
    rows = "".join(
        f'<tr><th scope="row">{escape(titles.get(model.name, model.name))}</th>'
        f"<td>{size(model.nbytes)}</td><td>{model.dtype}</td><td>{escape(model.device)}</td>"
        f"<td>{escape(model.text_place) or 'not loaded'}</td></tr>"
        for model in reversed(loaded)
    )
    total = size(sum(model.nbytes for model in loaded))
    return (
        f'<div class="facts"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="about">{total} altogether.</p>'
    )


def plan_html(plan: LoadPlan) -> str:
    """What a model would need, part by part, and whether this machine has it."""
    need = plan.need
    facts = [
        ("Most memory while drawing", f"{size(need.device)} on {plan.device}, {plan.dtype}"),
        ("Transformer, picture decoder", f"{size(need.transformer)}, {size(need.tokenizer)}"),
        ("Text encoder", size(need.text_encoder) if need.text_encoder else "unknown"),
        ("Keys and values, working memory", f"{size(need.cache)}, {size(need.working)}"),
    ]
    if need.graphs:
        facts.append(("Captured graphs", size(need.graphs)))
    if need.host:
        facts.append(("Ordinary memory besides", size(need.host)))
    if plan.free is not None and plan.total is not None:
        facts.append(("Memory there", f"{size(plan.free)} free of {size(plan.total)}"))
    fetched = (
        "unknown" if plan.download is None else size(plan.download) if plan.download else "nothing"
    )
    facts.append(("To download", fetched))
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    verdict = ""
    if plan.obstacle:
        verdict = problem_html(plan.obstacle)
    elif not plan.fits:
        verdict = problem_html(
            "This is more than the free memory; choose a smaller memory mode or another model."
        )
    return f'<dl class="facts">{rows}</dl>{verdict}'


def size(nbytes: int) -> str:
    """``38_000_000`` -> "38 MB", ``12_300_000_000`` -> "12.3 GB"."""
    if nbytes >= 0.9995 * GB:
        return f"{nbytes / GB:.1f} GB"
    return f"{max(nbytes / 1e6, 0.1):.0f} MB" if nbytes >= 1e6 else f"{nbytes / 1e3:.0f} kB"
