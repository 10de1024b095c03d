"""Endpoints about the models: what there is, what one would need, load, unload."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from infinity.errors import RequestError
from infinity.manager import LoadPlan, ModelManager
from infinity.presets import presets
from infinity.spec import ModelSpec
from infinity.ui.api.common import own_session, told_plainly
from infinity.ui.controls.styles import NO_STYLE, style_choices
from infinity.ui.shared.offer import known_spec
from infinity.ui.shared.runs import Runs


def make_models(
    manager: ModelManager, models: Mapping[str, ModelSpec]
) -> Callable[[], list[dict[str, Any]]]:
    """The function behind ``/models``."""

    def list_models() -> list[dict[str, Any]]:
        """List the models that can draw: what each was trained for, and whether it is in memory.

        Returns:
            One entry a model: its name, title, the pixel sizes of its aspect ratios as
            [width, height], its presets and styles and what each does, and, if it is in memory, its
            bytes, device and precision.
        """
        loaded = {model.name: model for model in manager.loaded()}
        return [
            {
                "name": name,
                "title": spec.title,
                "aspect_ratios": {
                    ratio: list(reversed(spec.image_size(ratio))) for ratio in spec.aspect_ratios
                },
                "presets": {
                    preset: known.info
                    for preset, known in presets(spec, spec.aspect_ratios[0]).items()
                },
                "styles": {
                    style: phrase for style, phrase in style_choices(spec) if phrase != NO_STYLE
                },
                "loaded": name in loaded,
                "bytes": loaded[name].nbytes if name in loaded else 0,
                "device": loaded[name].device if name in loaded else "",
                "dtype": loaded[name].dtype if name in loaded else "",
            }
            for name, spec in models.items()
        ]

    return list_models


def make_plan(
    manager: ModelManager, models: Mapping[str, ModelSpec]
) -> Callable[..., dict[str, Any]]:
    """The function behind ``/plan``."""

    def plan(model: str, memory_mode: str = "none") -> dict[str, Any]:
        """Tell what loading a model would need, without loading it.

        Args:
            model: one of the names that the models tool lists.
            memory_mode: none, some or most: how much memory to save.

        Returns:
            Bytes of memory while drawing ("need"), free memory, bytes to download, and "obstacle":
            why it cannot be loaded now, or an empty text.
        """
        with told_plainly():
            known_spec(model, models)
            return _plan_dict(manager.plan(model, memory_mode))

    return plan


def make_load_named(
    manager: ModelManager, runs: Runs, models: Mapping[str, ModelSpec]
) -> Callable[..., dict[str, Any]]:
    """The function behind ``/load``."""

    def load(request: gr.Request, model: str, memory_mode: str = "none") -> dict[str, Any]:
        """Load a model, downloading it first where it is not on this machine yet. Stop ends it.

        Args:
            model: one of the names that the models tool lists.
            memory_mode: none, some or most: how much memory to save.

        Returns:
            Its name and the bytes its weights take.
        """
        with told_plainly():
            known_spec(model, models)
            planned = manager.plan(model, memory_mode)
            if planned.obstacle:
                raise RequestError(planned.obstacle)
            with runs.loading(own_session(request)) as cancel:
                pipeline = manager.get(model, cancel=cancel, memory_mode=memory_mode)
            return {"name": model, "bytes": pipeline.nbytes}

    return load


def make_unload_named(
    manager: ModelManager, models: Mapping[str, ModelSpec]
) -> Callable[[str], bool]:
    """The function behind ``/unload``."""

    def unload(model: str) -> bool:
        """Let go of a model's memory. Whoever is drawing with it finishes first.

        Args:
            model: one of the names that the models tool lists.

        Returns:
            Whether it was loaded.
        """
        with told_plainly():
            known_spec(model, models)
            return manager.unload(model)

    return unload


def _plan_dict(plan: LoadPlan) -> dict[str, Any]:
    return {
        "model": plan.name,
        "memory_mode": plan.memory_mode,
        "device": plan.device,
        "dtype": plan.dtype,
        "need": plan.need.device,
        "free": plan.free,
        "download": plan.download,
        "fits": plan.fits,
        "obstacle": plan.obstacle,
    }
