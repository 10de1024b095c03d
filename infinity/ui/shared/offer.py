"""Which models a page lets its visitors ask for, the same at every way in."""

import logging

from infinity.errors import CheckpointError
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
