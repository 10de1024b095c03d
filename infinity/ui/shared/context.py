"""What every part of the page works with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infinity.errors import RequestError, quoted
from infinity.events import Done
from infinity.hosting import Hosting
from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui.shared.files import save_pictures
from infinity.ui.shared.finished import FinishedRun
from infinity.ui.shared.runs import Runs


@dataclass(frozen=True)
class Context:
    """Attributes:
    manager: loads models and keeps them.
    runs: who draws, and what the host allows.
    models: every model on offer, by name; the first one is chosen as the page opens.
    written: paths of the files written so far; Gradio deletes them after a day.
    """

    manager: ModelManager
    runs: Runs
    models: Mapping[str, ModelSpec]
    written: set[str] = field(default_factory=set)

    @property
    def first_model(self) -> str:
        return next(iter(self.models))

    @property
    def hosting(self) -> Hosting:
        return self.runs.allowance.hosting

    def spec(self, model: str) -> ModelSpec:
        """Raises RequestError for a model that is not on offer."""
        if not isinstance(model, str) or model not in self.models:
            raise RequestError(
                f"Unknown model {quoted(model)}; choose one of {', '.join(self.models)}."
            )
        return self.models[model]

    def keep(self, *paths: Path) -> None:
        """Have files deleted after a day."""
        self.written.update(map(str, paths))

    def finish(self, event: Done, model: str) -> FinishedRun:
        """Save a run's pictures where the page may serve them.

        Raises:
            ResourceError: they cannot be written.
        """
        files = tuple(save_pictures(event.images, event.request))
        self.keep(*files)
        return FinishedRun(model, event.request, files, event.seconds, time.time())
