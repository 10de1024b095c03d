"""The request controls: built once, laid out by any tab, and turned into a request in one place."""

from infinity.ui.controls.build import MAX_PICTURES, build_controls, describe
from infinity.ui.controls.follow import control_updates
from infinity.ui.controls.request import KEEP, NEXT, ROLL, RequestControls, request_from

__all__ = [
    "KEEP",
    "MAX_PICTURES",
    "NEXT",
    "ROLL",
    "RequestControls",
    "build_controls",
    "control_updates",
    "describe",
    "request_from",
]
