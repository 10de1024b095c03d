"""Endpoints of the history: what a caller has drawn, all of it in one file, and any PNG's settings.

The page's own history stays in its visitor's browser, where no endpoint reaches it.
"""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from infinity.errors import RequestError
from infinity.grid.plan import GridPlan
from infinity.metadata import weights_note
from infinity.request import GenerationRequest
from infinity.ui.grid.tab import axis_settings
from infinity.ui.history.entries import MOST_IN_A_ZIP, zip_pictures
from infinity.ui.opening.replay import link_query, read_drop
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import NOT_OURS, FinishedRun, file_data, own_file
from infinity.ui.shared.runs import own_session

MOST_SESSIONS = 1000
MOST_RUNS = 200


class RecentRuns:
    """Finished runs by session, the newest first, in memory; the session used longest ago goes first.
    Every method is safe to call from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, deque[FinishedRun]] = OrderedDict()

    def add(self, session: str, run: FinishedRun) -> None:
        with self._lock:
            self._sessions.setdefault(session, deque(maxlen=MOST_RUNS)).appendleft(run)
            self._sessions.move_to_end(session)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def of(self, session: str) -> tuple[FinishedRun, ...]:
        with self._lock:
            return tuple(self._sessions.get(session, ()))

    def forget(self, session: str) -> None:
        with self._lock:
            self._sessions.pop(session, None)


@dataclass(frozen=True)
class HistoryEndpoints:
    """The functions behind ``/history``, ``/zip`` and ``/settings``."""

    context: Context
    recent: RecentRuns

    def history(self, request: gr.Request) -> list[dict[str, Any]]:
        """List the pictures that this client has drawn, the newest first.

        Returns:
            One entry a picture: its prompt and seed as drawn; the name of the endpoint and the
            arguments that draw it again; a link that, put behind the page's address, opens the page
            with these settings; when it was drawn, in seconds since 1970; and its file, or null once
            that is gone, a day later.
        """
        return [
            {
                "prompt": picture.prompts[0],
                "seed": picture.seed,
                **_settings(run.model, picture),
                "when": run.when,
                "picture": file_data(path) if path.is_file() else None,
            }
            for run in self.recent.of(own_session(request))
            for picture, path in reversed([*zip(run.request.pictures(), run.files, strict=True)])
        ]

    def zip_history(self, request: gr.Request) -> gr.FileData:
        """Pack the pictures that this client has drawn into one file.

        Returns:
            A zip of PNG files, the newest first.
        """
        runs = self.recent.of(own_session(request))
        paths = [path for run in runs for path in reversed(run.files) if path.is_file()]
        if not paths:
            raise RequestError("There are no pictures of yours here; draw one first.")
        packed = zip_pictures(paths[:MOST_IN_A_ZIP])
        self.context.keep(packed)
        return file_data(packed)

    def settings(self, picture: gr.FileData) -> dict[str, Any]:
        """Read the settings out of a PNG that was drawn here: a picture's, or a whole grid's.

        Args:
            picture: the PNG file as it was first saved.

        Returns:
            The name of the endpoint and the arguments that draw it again (change one, the prompt
            say, and send them), and for a picture a link that, put behind the page's address, opens
            the page with these settings; a note where the model has other weights here than drew it.
        """
        name = picture.get("path") if isinstance(picture, Mapping) else None
        if (path := own_file(name)) is None:
            raise RequestError(NOT_OURS)
        found = read_drop(path)
        if isinstance(found, GridPlan):
            request = found.request.to_dict() | {"model": found.model} | axis_settings(found)
            del request["num_images"]
            return {"endpoint": "/grid", "arguments": request, "link": "", "note": ""}
        here = self.context.manager.fingerprint(found.model) if found.weights else ""
        note = weights_note(found.weights, here)
        return {**_settings(found.model, found.request), "note": note}


def _settings(model: str, request: GenerationRequest) -> dict[str, Any]:
    try:
        link = f"?{link_query(model, request)}"
    except RequestError:
        link = ""  # a prompt too long for one
    arguments = {"model": model, **request.to_dict()}
    return {"endpoint": "/generate", "arguments": arguments, "link": link}
