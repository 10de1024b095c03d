"""Infinity: bitwise visual autoregressive text-to-image generation (arXiv 2412.04431).

The names below are loaded on first use, so that ``import infinity`` alone is instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

from infinity.version import __version__ as __version__

if TYPE_CHECKING:
    from infinity.errors import CheckpointError as CheckpointError
    from infinity.errors import InfinityError as InfinityError
    from infinity.errors import RequestError as RequestError
    from infinity.errors import ResourceError as ResourceError
    from infinity.events import Cancelled as Cancelled
    from infinity.events import Done as Done
    from infinity.events import Preview as Preview
    from infinity.manager import ModelManager as ModelManager
    from infinity.metadata import read_request as read_request
    from infinity.metadata import save_png as save_png
    from infinity.pipeline import InfinityPipeline as InfinityPipeline
    from infinity.request import GenerationRequest as GenerationRequest
    from infinity.request import SamplingParams as SamplingParams
    from infinity.schedule import ScaleSchedule as ScaleSchedule

_NAMES = {
    "errors": ("CheckpointError", "InfinityError", "RequestError", "ResourceError"),
    "events": ("Cancelled", "Done", "Preview"),
    "manager": ("ModelManager",),
    "metadata": ("read_request", "save_png"),
    "pipeline": ("InfinityPipeline",),
    "request": ("GenerationRequest", "SamplingParams"),
    "schedule": ("ScaleSchedule",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
