"""Which models a page lets its visitors ask for, the same at every way in."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from infinity.errors import CheckpointError, RequestError, quoted
from infinity.hosting import Hosting
from infinity.manager import ModelManager
from infinity.registry import MODEL_SPECS
from infinity.spec import ModelSpec

logger = logging.getLogger(__name__)


def offered_models(
    manager: ModelManager, chosen: str, hosting: Hosting | None = None
) -> dict[str, ModelSpec]:
    """What can be drawn with, ``chosen`` first: models with weights that the host's settings name.

    Where they name none: all, but on a public page ``chosen`` alone, for strangers must not make the
    server fetch and load what nobody chose to offer.

    Raises:
        RequestError: the manager does not know ``chosen``, or a model that the settings name.
        CheckpointError: the folder of ``chosen`` is missing or damaged.
    """
    hosting = hosting or Hosting()
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


def known_spec(model: str, models: Mapping[str, ModelSpec]) -> ModelSpec:
    """Raises RequestError for a model that is not on offer."""
    if not isinstance(model, str) or model not in models:
        raise RequestError(f"Unknown model {quoted(model)}; choose one of {', '.join(models)}.")
    return models[model]
