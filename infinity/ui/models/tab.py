"""The Models tab: what is in memory and where, what another model would need, load, unload, switch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.manager import Loaded, LoadPlan, ModelManager
from infinity.memory_modes import MEMORY_MODES
from infinity.spec import ModelSpec
from infinity.ui.controls import RequestControls
from infinity.ui.controls.follow import model_updates
from infinity.ui.generate import view as present
from infinity.ui.generate.view import View, status_html
from infinity.ui.shared.loading import Loading, load
from infinity.ui.shared.problems import UNEXPECTED, problem_html
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.wiring import PRIVATE

GB = 1e9

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Parts:
    table: gr.HTML
    choice: gr.Dropdown
    memory_mode: gr.Radio
    plan: gr.HTML
    status: gr.HTML
    load: gr.Button
    stop: gr.Button
    unload: gr.Button
    budget: gr.Number


def build_models_tab(
    tab: gr.Tab,
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    chosen: str,
    controls: RequestControls,
) -> None:
    """Lay out the tab inside the current Blocks and wire its events.

    Args:
        tab: the tab itself, whose opening refreshes what is shown.
        models: every model on offer, by name.
        controls: of the Generate tab, switched to a model that was loaded here.
        runs: on a public page visitors only look: nothing can be loaded, unloaded or budgeted.
    """
    public = runs.allowance.hosting.public
    with gr.Row(elem_id="models-panel", equal_height=False):
        with gr.Column(scale=3, min_width=300):
            table = gr.HTML(loaded_html((), models), elem_id="models-table")
            budget = gr.Number(
                value=_gigabytes(getattr(manager, "memory_budget", None)),
                label="Memory for all models together, GB",
                info="Models used longest ago are let go to keep to it; 0 is no limit.",
                minimum=0,
                step=1,
                visible=not public,
                elem_id="models-budget",
            )
        with gr.Column(scale=2, min_width=300):
            choice = gr.Dropdown(
                [(spec.title, name) for name, spec in models.items()],
                value=chosen,
                label="Model to look at",
                filterable=False,
                elem_id="models-choice",
            )
            memory_mode = gr.Radio(
                [(kind.title, name) for name, kind in MEMORY_MODES.items()],
                value="none",
                label="Memory",
                info=MEMORY_MODES["none"].info,
                elem_id="models-memory-mode",
            )
            plan = gr.HTML("", elem_id="models-plan")
            status = gr.HTML("", elem_id="models-status")
            with gr.Row(visible=not public, elem_id="models-buttons"):
                loads = gr.Button("Load and use", variant="primary", elem_id="models-load")
                stop = gr.Button("Stop", elem_id="models-stop")
                unload = gr.Button("Unload", elem_id="models-unload")
    parts = _Parts(table, choice, memory_mode, plan, status, loads, stop, unload, budget)
    _wire(tab, parts, manager, None if public else runs, models, controls)


def _wire(
    tab: gr.Tab,
    parts: _Parts,
    manager: ModelManager,
    runs: Runs | None,
    models: Mapping[str, ModelSpec],
    controls: RequestControls,
) -> None:
    shown = [parts.table, parts.memory_mode, parts.plan, parts.load]
    look = make_look(manager, models)
    opening: list[Callable[..., Any]] = [tab.select, parts.choice.input]
    gr.on(opening, look, parts.choice, shown, queue=False, **PRIVATE)
    parts.memory_mode.input(look, [parts.choice, parts.memory_mode], shown, queue=False, **PRIVATE)
    if runs is None:
        return
    # A loaded model is the one to draw with: the Generate tab takes its settings.
    chosen = [controls.model, controls.aspect_ratio, controls.style, *controls.sampling()]
    parts.load.click(
        make_load(manager, runs, models, len(chosen)),
        [parts.choice, parts.memory_mode, controls.aspect_ratio, controls.style],
        [parts.status, parts.load, *chosen],
        concurrency_limit=None,
        **PRIVATE,
    ).then(look, [parts.choice, parts.memory_mode], shown, queue=False, **PRIVATE)
    parts.stop.click(make_stop_load(runs), None, parts.status, queue=False, **PRIVATE)
    parts.unload.click(
        make_unload(manager, models), parts.choice, parts.status, queue=False, **PRIVATE
    ).then(look, [parts.choice, parts.memory_mode], shown, queue=False, **PRIVATE)
    parts.budget.change(
        lambda gigabytes: manager.set_budget(round((gigabytes or 0) * GB) or None),
        parts.budget,
        None,
        queue=False,
        **PRIVATE,
    ).then(look, [parts.choice, parts.memory_mode], shown, queue=False, **PRIVATE)


def make_look(manager: ModelManager, models: Mapping[str, ModelSpec]) -> Callable[..., Any]:
    """The handler that shows what is loaded and what a model would need."""

    def look(name: str, memory_mode: str | None = None) -> tuple[Any, ...]:
        memory_mode = memory_mode or manager.memory_mode_of(name)
        table = loaded_html(manager.loaded(), models)
        kind = gr.update(value=memory_mode, info=MEMORY_MODES[memory_mode].info)
        try:
            plan = manager.plan(name, memory_mode)
        except InfinityError as error:
            return table, kind, problem_html(str(error)), gr.update(interactive=False)
        return table, kind, plan_html(plan), gr.update(interactive=not plan.obstacle)

    return look


def make_load(
    manager: ModelManager, runs: Runs, models: Mapping[str, ModelSpec], num_controls: int
) -> Callable[..., Any]:
    """The handler that loads a model and gives it to the Generate tab, with its progress.

    Its outputs: the status, the button, and ``num_controls`` controls of that tab.
    """
    unchanged = (gr.skip(),) * num_controls

    def load_model(
        request: gr.Request, name: str, memory_mode: str, ratio: str, style: str
    ) -> Iterator[tuple[Any, ...]]:
        title = models[name].title
        busy, idle = gr.update(interactive=False), gr.update(interactive=True)
        try:
            plan = manager.plan(name, memory_mode)
            if plan.obstacle:
                yield _failed(plan.obstacle), busy, *unchanged
                return
            yield status_html(present.loading(View(), f"Loading {title} …")), busy, *unchanged
            with runs.loading(load_session(request.session_hash)) as cancel:
                for report in load(manager, name, cancel, memory_mode):
                    if isinstance(report, Loading):
                        view = present.loading(View(), report.what, report.fraction)
                        yield status_html(view), busy, *unchanged
                if cancel.is_set():
                    yield status_html(present.stopped(View(), 0)), idle, *unchanged
                    return
            model, *others = model_updates(models[name], ratio, style)
            yield _done(f"{title} is loaded and chosen."), idle, {**model, "value": name}, *others
        except InfinityError as error:
            yield _failed(str(error)), idle, *unchanged
        except Exception:
            logger.exception("A model could not be loaded")
            yield _failed(UNEXPECTED), idle, *unchanged

    return load_model


def load_session(session: str | None) -> str:
    """Under which name a session's load is kept, beside its runs."""
    return f"{session or ''}/load"


def make_stop_load(runs: Runs) -> Callable[[gr.Request], Any]:
    """The handler that ends what :func:`make_load` began."""

    def stop_load(request: gr.Request) -> Any:
        if runs.stop(load_session(request.session_hash)):
            return gr.skip()
        return _done("Nothing is being loaded here.")

    return stop_load


def make_unload(manager: ModelManager, models: Mapping[str, ModelSpec]) -> Callable[[str], str]:
    """The handler that lets go of a model."""

    def unload(name: str) -> str:
        was_loaded = manager.unload(name)
        said = "is unloaded" if was_loaded else "was not loaded"
        return _done(f"{models[name].title} {said}.")

    return unload


def loaded_html(loaded: tuple[Loaded, ...], models: Mapping[str, ModelSpec]) -> str:
    """The models in memory as a table, the one used last first."""
    if not loaded:
        return '<p class="about">No model is in memory. The first picture loads one.</p>'
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("In memory", "Size", "Precision", "Where", "Text encoder")
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(_title(model.name, models))}</th>'
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
    if need.host:
        facts.append(("Ordinary memory besides", size(need.host)))
    if plan.free is not None and plan.total is not None:
        facts.append(("Memory there", f"{size(plan.free)} free of {size(plan.total)}"))
    facts.append(("To download", size(plan.download) if plan.download else "nothing"))
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


def _done(sentence: str) -> str:
    return status_html(View("done", sentence))


def _failed(sentence: str) -> str:
    return status_html(present.failed(View(), sentence))


def _title(name: str, models: Mapping[str, ModelSpec]) -> str:
    return models[name].title if name in models else name


def _gigabytes(nbytes: int | None) -> float:
    return round((nbytes or 0) / GB, 1)
