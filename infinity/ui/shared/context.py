"""What every part of the page works with, the models on offer among it."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from infinity.errors import CheckpointError, RequestError, quoted
from infinity.events import Done
from infinity.hosting import Hosting
from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.registry import MODEL_SPECS
from infinity.spec import ModelSpec
from infinity.ui.shared.files import BITS_FILE, FinishedRun, save_pictures
from infinity.ui.shared.runs import Run, Runs, caller_of

logger = logging.getLogger(__name__)


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

    @property
    def file_types(self) -> list[str]:
        """Endings of what may be opened: pictures, and files of bits."""
        return [*self.hosting.upload_types, Path(BITS_FILE).suffix]

    def spec(self, model: str) -> ModelSpec:
        """Raises RequestError for a model that is not on offer."""
        if not isinstance(model, str) or model not in self.models:
            raise RequestError(
                f"Unknown model {quoted(model)}; choose one of {', '.join(self.models)}."
            )
        return self.models[model]

    @contextmanager
    def turn(self, request: gr.Request, run: Run) -> Iterator[InfinityPipeline]:
        """The model of ``run``, which is under way meanwhile, while it is the turn of an endpoint's caller.

        Raises:
            StoppedError: cancelled before the turn came.
            InfinityError: the host does not allow the run, or the model cannot be loaded.
        """
        with self.runs.running(caller_of(request), run):
            pipeline = self.manager.get(run.model, cancel=run.cancel)
            with self.runs.turns.turn(run.cancel):
                yield pipeline

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
        return FinishedRun(model, event.request, files, event.seconds, time.time(), event.captions)


def offered_models(manager: ModelManager, chosen: str, hosting: Hosting) -> dict[str, ModelSpec]:
    """What can be drawn with, ``chosen`` first: models with weights that the host's settings name.

    Where they name none: all, but on a public page ``chosen`` alone, for strangers must not make the
    server fetch and load what nobody chose to offer.

    Raises:
        RequestError: the manager does not know ``chosen``, or a model that the settings name.
        CheckpointError: the folder of ``chosen`` is missing or damaged.
    """
    for name in hosting.models:
        if name not in manager.names():
            manager.spec(name)  # raises, naming the nearest
    models = {chosen: manager.spec(chosen)}
    for name in hosting.models or (() if hosting.public else manager.names()):
        if name in MODEL_SPECS and MODEL_SPECS[name].hub is None:
            continue  # a size of the paper that nobody released
        try:
            models.setdefault(name, manager.spec(name))
        except CheckpointError as error:
            logger.warning("%s is not on offer: %s", name, error)
    return models
