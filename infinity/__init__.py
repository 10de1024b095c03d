"""Infinity: bitwise visual autoregressive text-to-image generation (arXiv 2412.04431).

The names below are loaded on first use, so that ``import infinity`` alone is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from infinity.version import __version__

if TYPE_CHECKING:
    from infinity.errors import CheckpointError, InfinityError, RequestError, ResourceError
    from infinity.events import Cancelled, Done, Preview
    from infinity.manager import ModelManager
    from infinity.metadata import read_request, save_png
    from infinity.pipeline import InfinityPipeline
    from infinity.request import GenerationRequest, SamplingParams
    from infinity.schedule import ScaleSchedule

_HOMES = {
    "Cancelled": "events",
    "CheckpointError": "errors",
    "Done": "events",
    "GenerationRequest": "request",
    "InfinityError": "errors",
    "InfinityPipeline": "pipeline",
    "ModelManager": "manager",
    "Preview": "events",
    "RequestError": "errors",
    "ResourceError": "errors",
    "SamplingParams": "request",
    "ScaleSchedule": "schedule",
    "read_request": "metadata",
    "save_png": "metadata",
}

__all__ = [
    "Cancelled",
    "CheckpointError",
    "Done",
    "GenerationRequest",
    "InfinityError",
    "InfinityPipeline",
    "ModelManager",
    "Preview",
    "RequestError",
    "ResourceError",
    "SamplingParams",
    "ScaleSchedule",
    "__version__",
    "read_request",
    "save_png",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
