"""The Edit tab: a picture to brush on, what to do with it, and all pictures that came of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.errors import InfinityError, RequestError
from infinity.events import Done
from infinity.images import open_image
from infinity.request import GenerationRequest
from infinity.ui.controls.choices import aspect_choices
from infinity.ui.edit.controls import NOT_KEPT, build_settings, build_ways, next_wider
from infinity.ui.edit.mask import SEND, build_canvas, canvas_value, read_mask
from infinity.ui.edit.pictures import brushed, drawn, opened, second_picture
from infinity.ui.edit.tree import Node, Tree
from infinity.ui.edit.view import build_tree, kept_text, tree_value
from infinity.ui.edit.ways import Task, settings_of, task_of, way_of
from infinity.ui.generate import view as viewing
from infinity.ui.generate.growth import wire_growth
from infinity.ui.generate.view import View, build_viewer, viewer_value
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.files import FinishedRun, own_file
from infinity.ui.shared.pages import EDIT, GENERATE
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import Status, for_visitors, status_html
from infinity.ui.shared.wiring import QUICK, Components, Updates, quick_on, shown

IDLE = Status("idle", "Open any picture, or one that was drawn here, to go on from it.")
OPENED = "Choose what to do, then press Draw."
GONE = (
    "This picture is no longer on the server, where pictures stay for a day; open it again from where "
    "you saved it."
)
NOTHING = "What comes of the picture appears here."
UNKNOWN = "a picture"
"""In place of a prompt that is the picture's own: the host's limits are asked before it is read."""
READING = Status("painting", "Reading the bits of the picture …")


@dataclass(eq=False, kw_only=True)
class EditRun(Run):
    """A run whose request is made once the model is there.

    Attributes:
        task: makes it.
        tree, source: where the results belong.
        title: what they are called.
    """

    task: Task
    tree: Tree
    source: Node
    title: str


class EditTab(RunEvents[View]):
    """Laid out inside the current Blocks, its handlers wired.

    Args:
        back: of :func:`~infinity.ui.opening.wiring.build_back`.

    Attributes:
        kept: the settings that a page may keep.
    """

    kind = EDIT

    def __init__(self, context: Context, back: gr.HTML) -> None:
        self.controls = Components()
        spec = context.models[context.first_model]
        with gr.Row(elem_id="edit-ask", equal_height=False):
            with gr.Column(scale=1, min_width=240):
                self.controls["prompt"] = gr.Textbox(
                    label="What the whole picture shows",
                    placeholder="What the whole picture shows then",
                    lines=1,
                    max_lines=6,
                    elem_id="edit-prompt",
                )
            with gr.Column(scale=0, min_width=140, elem_id="edit-buttons"):
                draw = gr.Button("Draw", variant="primary", elem_id="draw-edit")
                stop = gr.Button(
                    "Stop", variant="secondary", visible=shown(False), elem_id="stop-edit"
                )
        build_ways(context, self.controls)
        with gr.Row(elem_id="edit-open"):
            upload = gr.UploadButton(
                "Open a picture",
                file_types=list(context.hosting.upload_types),
                size="sm",
                elem_id="edit-upload",
            )
            latest = gr.Button("The latest one drawn", size="sm", elem_id="edit-latest")
        line = gr.HTML(status_html(IDLE), elem_id="edit-status")
        with gr.Row(elem_id="edit-work", equal_height=False):
            with gr.Column(elem_id="edit-canvas"):
                self.canvas = build_canvas(spec.tokenizer.token_pixels)
                self.tree = build_tree()
            with gr.Column(elem_id="edit-result"):
                self.viewer = build_viewer(viewing.idle(spec), "edit-", NOTHING)
            with gr.Column(elem_id="edit-settings"):
                build_settings(context, self.controls)
        self.kept = {
            f"edit_{name}": control
            for name, control in self.controls.items()
            if name not in NOT_KEPT
        }
        super().__init__(context, Drawing(line, draw, stop, gr.State(None)), [self.viewer])
        self.sent = gr.JSON(visible=False)
        pressed = [self.controls["prompt"].submit, draw.click]
        gr.on(pressed, None, self.canvas, self.sent, js=SEND, **QUICK)
        self.wire([self.sent.change], [self.sent, *self.controls.values()], [], back)
        self._wire_pictures(upload, latest, back)
        wire_growth(self, self.viewer)

    def _wire_pictures(self, upload: gr.UploadButton, latest: gr.Button, back: gr.HTML) -> None:
        fitted = self.controls.named("prompt", "model", "keep_scales", "aspect_ratio")
        outputs = [self.canvas, self.tree, self.drawing.status, *fitted]
        quick = quick_on(self.drawing.status)
        upload.upload(self.open_upload, [upload, self.controls["model"]], outputs, **quick)
        latest.click(self.open_latest, None, outputs, **quick)
        for event, handler in (
            (self.tree.select, self.go_on_from),  # pyright: ignore[reportAttributeAccessIssue]
            (self.tree.undo, self.undo),  # pyright: ignore[reportAttributeAccessIssue]
            (self.tree.redo, self.redo),  # pyright: ignore[reportAttributeAccessIssue]
            (self.canvas.clear, self.come_back_to),
            (back.back, self.come_back_to),  # pyright: ignore[reportAttributeAccessIssue]
        ):
            event(handler, None, outputs, **quick)
        finished = self.drawing.finished
        finished.change(self.arrive, finished, outputs, trigger_mode="multiple", **quick)

    # The run

    def start(self, request: gr.Request, values: dict[Component, Any]) -> Updates:
        """With the page's own tree, which no browser sends."""
        return super().start(request, values | {self.tree: self.tree_of(request)})

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        given, tree = self.controls.read(values), values[self.tree]
        source: Node | None = tree.current
        if source is None:
            raise RequestError("Open a picture first, or draw one on the Generate tab.")
        if own_file(str(source.file)) is None:
            raise RequestError(GONE)
        model, settings = given["model"], settings_of(given)
        self.context.spec(model)
        picture = open_image(source.file, "The picture")
        mask, second = read_mask(values[self.sent]), second_picture(given["second"])
        asked = GenerationRequest(**(dict[str, Any](prompt=UNKNOWN) | settings))
        return EditRun(
            model,
            asked,
            visitor,
            task=task_of(given, settings, picture, mask, second),
            tree=tree,
            source=source,
            title=way_of(given["way"]).done,
        ), {}

    def first_view(self, run: Run) -> View:
        return viewing.waiting(run.request.prompts, run.name)

    def views(self, run: Run) -> Iterator[View]:
        """After the finished pictures, their timeline as it is completed."""
        assert isinstance(run, EditRun)
        view = self.first_view(run)
        for step in self.runs.turns.ready(self.context.manager, run.model, run.cancel):
            if isinstance(step, Status):
                yield (view := replace(view, status=step))
                continue
            yield (view := replace(view, status=READING))
            wanted = run.task(step)
            self.runs.allowance.check(wanted)
            view = replace(view, prompts=wanted.prompts)
            yield (view := viewing.opened(view, step.spec, wanted.aspect_ratio))
            for event in step.stream(wanted, cancel=run.cancel, refine=True):
                if not isinstance(event, Done):
                    yield (view := viewing.after(view, event))
                    continue
                saved = self.context.finish(event, run.model)
                results = drawn(saved, wanted, event.bits, run.title)
                run.tree.grow(run.source, results)
                kept = ", ".join(kept_text(node.kept or 0.0) for node in results)
                event = replace(event, notes=(*event.notes, f"Bits kept: {kept}."))
                yield (view := viewing.after(view, event, saved))
            return
        yield viewing.stopped(view, 0)

    def show(self, view: View) -> Updates:
        if view.finished is not None and not all(path.exists() for path in view.finished.files):
            view = replace(view, finished=None)
        return {
            self.viewer: viewer_value(view) if view.frames else gr.skip(),
            self.drawing.status: status_html(view.status),
        }

    def handed_on(self, view: View) -> Any:
        return view.finished

    # Pictures

    def open_picture(self, request: gr.Request, path: str) -> Updates:
        """Go on from a picture that was drawn or uploaded here."""
        return self._open(request, path, self.context.first_model)

    def open_upload(self, request: gr.Request, path: str, model: str) -> Updates:
        return self._open(request, path, model)

    def open_latest(self, request: gr.Request) -> Updates:
        """Go on from the newest picture of the Generate tab."""
        relay = self.runs.pages.of(request.session_hash or "").relays.get(GENERATE)
        finished = getattr(relay and relay.newest, "finished", None)
        if finished is None:
            return self._problem("Nothing was drawn on the Generate tab yet.")
        return self._open(request, str(finished.files[0]), finished.model)

    def _open(self, request: gr.Request, path: str, model: str) -> Updates:
        try:
            if (file := own_file(path)) is None:
                raise RequestError(GONE)
            tree = self.tree_of(request)
            known = [node.number for node in tree.nodes if node.file.resolve() == file]
            if not (known and tree.go(known[0])):
                tree.open(opened(self.context, file, model))
        except InfinityError as error:
            return self._problem(error)
        return self._shown(tree) | {self.drawing.status: status_html(Status("idle", OPENED))}

    def go_on_from(self, request: gr.Request, event: gr.EventData) -> Updates:
        """Make a picture of the tree the current one."""
        tree, number = self.tree_of(request), (event._data or {}).get("number")
        is_there = isinstance(number, int) and tree.go(number)
        return self._shown(tree) if is_there else self._problem(GONE)

    def undo(self, request: gr.Request) -> Updates:
        """Back to the picture before, with the mask and the words that were given to it."""
        tree = self.tree_of(request)
        left = tree.undo()
        if left is None:
            return {self.tree: tree_value(tree)}
        return self._shown(tree, left.region) | {self.controls["prompt"]: left.prompt}

    def redo(self, request: gr.Request) -> Updates:
        tree = self.tree_of(request)
        return self._shown(tree) if tree.redo() else {self.tree: tree_value(tree)}

    def arrive(self, request: gr.Request, run: FinishedRun | None) -> Updates:
        """What a run has drawn; whoever has gone on to another picture meanwhile stays there."""
        tree = self.tree_of(request)
        if run is None or tree.current is None or tree.current.file not in run.files:
            return {self.tree: tree_value(tree)}
        return self._shown(tree)

    def come_back_to(self, request: gr.Request) -> Updates:
        """A page that was loaded again, or a canvas that was cleared: its picture stays."""
        updates = self._shown(self.tree_of(request))
        updates.pop(self.controls["prompt"], None)  # the browser has kept it
        return updates

    def tree_of(self, request: gr.Request) -> Tree:
        """Of the page: it outlives a reload."""
        page = self.runs.pages.of(request.session_hash or "")
        return page.kept.setdefault(EDIT, Tree())

    def _shown(self, tree: Tree, region: str = "") -> Updates:
        """The current picture on the canvas, with a packed region brushed over it, and the controls as
        they fit the picture."""
        node = tree.current
        if node is None:
            return {self.tree: tree_value(tree)}
        if own_file(str(node.file)) is None:
            return {self.tree: tree_value(tree), **self._problem(GONE)}
        spec = self.context.spec(node.model)
        layer = brushed(self.context, region, node.file) if region else None
        fitted = {
            "prompt": node.prompt,
            "model": node.model,
            "keep_scales": gr.update(maximum=len(spec.schedule(node.aspect_ratio))),
            "aspect_ratio": gr.update(
                choices=aspect_choices(spec), value=next_wider(spec, node.aspect_ratio)
            ),
        }
        return {
            self.tree: tree_value(tree),
            self.canvas: canvas_value(node.file, layer),
            **self.controls.updates(fitted),
        }

    def _problem(self, error: Exception | str) -> Updates:
        return {self.drawing.status: status_html(Status("failed", for_visitors(error)))}
