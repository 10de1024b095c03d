"""What happens when a tab draws: checked at once, drawn in turn, shown as it grows, stopped."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import gradio as gr
from gradio.components import Component

from infinity.errors import InfinityError
from infinity.ui.shared.context import Context
from infinity.ui.shared.pages import Relay
from infinity.ui.shared.runs import Run, visitor_of
from infinity.ui.shared.status import UNEXPECTED, Status, for_visitors, status_html
from infinity.ui.shared.wiring import DRAWING, QUICK, Updates, shown

logger = logging.getLogger(__name__)

REFINE_SECONDS = 3.0
"""How long the timeline may be completed after a picture is finished, while nobody waits."""


class View(Protocol):
    """What a tab shows of a run: a frozen dataclass with these among its fields."""

    @property
    def status(self) -> Status: ...


AnyView = TypeVar("AnyView", bound=View)


@dataclass(frozen=True)
class Drawing:
    """The components that every tab which draws has.

    Attributes:
        begin, stop: buttons, one of which is shown.
        finished: the newest finished run, or several, for other tabs; None before the first.
    """

    status: gr.HTML
    begin: gr.Button
    stop: gr.Button
    finished: gr.State


class RunEvents(Generic[AnyView]):
    """The handlers of a tab that draws one ``kind`` of run at a time. They return updates by component.

    Args:
        outputs: of the tab, all that a run changes.
    """

    kind: ClassVar[str]

    def __init__(self, context: Context, drawing: Drawing, outputs: Sequence[Any]) -> None:
        self.context = context
        self.runs = context.runs
        self.drawing = drawing
        self.outputs = [drawing.status, drawing.begin, drawing.stop, drawing.finished, *outputs]

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        """The run that the inputs ask for, and what the page shows of the request.

        Raises:
            RequestError: it cannot be drawn, in one sentence.
        """
        raise NotImplementedError

    def first_view(self, run: Run) -> AnyView:
        """A run that waits."""
        raise NotImplementedError

    def views(self, run: Run) -> Iterator[AnyView]:
        """Every view of a run, from loading its model to the end.

        Raises:
            InfinityError: what cannot be done, in one sentence.
        """
        raise NotImplementedError

    def show(self, view: AnyView) -> Updates:
        """The updates of the tab's own outputs and its status."""
        raise NotImplementedError

    def handed_on(self, view: AnyView) -> Any:
        """What ``finished`` gets at the end; None for nothing."""
        raise NotImplementedError

    def wire(
        self,
        triggers: Sequence[Any],
        inputs: Sequence[Component],
        asked: Sequence[Component],
        back: gr.HTML,
    ) -> None:
        """The events of the tab.

        Args:
            triggers: what begins a run.
            inputs: of :meth:`checked`; ``asked`` are those that it may update.
            back: of :func:`~infinity.ui.opening.wiring.build_back`.
        """
        self.wire_start(triggers, self.start, inputs, asked)
        back.back(  # pyright: ignore[reportAttributeAccessIssue]
            self.come_back, None, self.outputs, **DRAWING
        )
        self.drawing.stop.click(self.stop, None, self.outputs, **QUICK)

    def wire_start(
        self,
        triggers: Sequence[Any],
        start: Callable[..., Updates],
        inputs: Sequence[Component],
        asked: Sequence[Component],
    ) -> None:
        """Checked at once and outside the queue; the run itself waits its turn. A second press while
        one is under way begins nothing, and when it is taken up finds nothing to do."""
        gr.on(triggers, start, set(inputs), [*asked, *self.outputs], **QUICK).then(
            self.paint, None, self.outputs, trigger_mode="multiple", **DRAWING
        )

    def start(self, request: gr.Request, values: dict[Component, Any]) -> Updates:
        """Check a request and put it in line."""
        name = self.name_of(request)
        try:
            run, asked = self.checked(values, visitor_of(request))
            if not self.runs.begin(name, run):
                return {self.drawing.status: gr.skip()}
        except InfinityError as error:
            failed = Status("failed", for_visitors(error))
            return {self.drawing.status: status_html(failed), **self.standing(name)}
        return {**asked, **self.show(self.first_view(run)), **self.standing(name)}

    def stop(self, request: gr.Request) -> Updates:
        """End the page's run within a scale, or before its turn came."""
        name = self.name_of(request)
        if self.runs.stop(name):  # not which button is shown: the run's last view may come first
            return {self.drawing.stop: gr.update(value="Stopping …", interactive=False)}
        said = status_html(Status("stopped", "Stopped."))
        return {self.drawing.status: said, **self.standing(name)}

    def paint(self, request: gr.Request) -> Iterator[Updates]:
        """Carry out the page's waiting run and show it as it grows."""
        yield from self._follow(request, is_back=False)

    def come_back(self, request: gr.Request) -> Iterator[Updates]:
        """For a page that was loaded again: show its newest run, and go on with it."""
        yield from self._follow(request, is_back=True)

    def standing(self, name: str) -> Updates:
        """The buttons as the runs of a page stand now.

        A stream sends them, and all else it shows, with every view, never :func:`gr.skip` instead: the
        browser's client changes an update that it has not shown yet into the next one, and what that one
        leaves out is lost.
        """
        is_busy, is_stopping = self.runs.is_busy(name), self.runs.is_stopping(name)
        return {
            self.drawing.begin: gr.update(visible=shown(not is_busy)),
            self.drawing.stop: gr.update(
                visible=shown(is_busy),
                value="Stopping …" if is_stopping else "Stop",
                interactive=not is_stopping,
            ),
        }

    def name_of(self, request: gr.Request) -> str:
        """What the page's runs are known by."""
        return self.runs.pages.of(request.session_hash or "").runs_of(self.kind)

    def _draw(self, name: str) -> Iterator[AnyView]:
        with self.runs.taken(name) as run:
            if run is None:
                return
            view, refined_until_s = self.first_view(run), 0.0
            try:
                for view in self.views(run):
                    run.is_drawn = not view.status.is_busy
                    yield view
                    if run.is_drawn:
                        now_s = time.monotonic()
                        refined_until_s = refined_until_s or now_s + REFINE_SECONDS
                        if now_s > refined_until_s or self.runs.is_anyone_waiting:
                            return
                return
            except InfinityError as error:
                message = for_visitors(error)
            except Exception:
                logger.exception("A run failed")
                message = UNEXPECTED
            run.is_drawn = True
            yield replace(view, status=Status("failed", message))  # pyrefly: ignore[bad-specialization]

    def _follow(self, request: gr.Request, *, is_back: bool) -> Iterator[Updates]:
        session = request.session_hash or ""
        page = self.runs.pages.of(session)
        name = page.runs_of(self.kind)
        is_new = self.runs.is_waiting(name)
        if is_new:
            page.relays[self.kind] = Relay(self._draw(name))
        relay = page.relays.get(self.kind)
        if relay is None or not (is_new or is_back):
            yield {self.drawing.status: gr.skip()}
            return
        before = None
        for view in self.runs.pages.follow(session, relay):
            updates = {**self.show(view), **self.standing(name)}
            if before is not None and not before.status.is_busy and self.runs.is_busy(name):
                del updates[self.drawing.status]  # the page has gone on to the next run
            if not relay.is_handed_on and not view.status.is_busy:
                relay.is_handed_on = True
                updates[self.drawing.finished] = self.handed_on(view) or gr.skip()
            yield updates
            before = view
