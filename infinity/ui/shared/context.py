"""What every part of the page works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infinity.events import Done
from infinity.hosting import Hosting
from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui.shared.finished import FinishedRun, finish
from infinity.ui.shared.offer import known_spec
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
        return known_spec(model, self.models)

    def keep(self, *paths: Path) -> None:
        """Have files deleted after a day."""
        self.written.update(map(str, paths))

    def finish(self, event: Done, model: str) -> FinishedRun:
        """Save a run's pictures where the page may serve them.

        Raises:
            ResourceError: they cannot be written.
        """
        run = finish(event, model)
        self.keep(*run.files)
        return run
