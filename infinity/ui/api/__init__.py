"""The named endpoints: what a program may ask of a running page."""

from infinity.ui.api.build import build_api

__all__ = ["build_api"]
