"""Endpoints about the models: what there is, what one would need, load, unload."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from dataclasses import dataclass
from typing import Any

import gradio as gr

from infinity.errors import RequestError
from infinity.presets import presets
from infinity.ui.controls.choices import NO_STYLE, style_choices
from infinity.ui.shared.context import Context
from infinity.ui.shared.runs import own_session


@dataclass(frozen=True)
class ModelEndpoints:
    """The functions behind ``/models``, ``/plan``, ``/load`` and ``/unload``."""

    context: Context

    def list_models(self) -> list[dict[str, Any]]:
        """List the models that can draw: what each was trained for, and whether it is in memory.

        Returns:
            One entry a model: its name, title, the pixel sizes of its aspect ratios as
            [width, height], its presets and styles and what each does, and, if it is in memory, its
            bytes, device and precision.
        """
        loaded = {model.name: model for model in self.context.manager.loaded()}
        return [
            {
                "name": name,
                "title": spec.title,
                "aspect_ratios": {
                    ratio: list(reversed(spec.image_size(ratio))) for ratio in spec.aspect_ratios
                },
                "presets": {
                    name: preset.info
                    for name, preset in presets(spec, spec.aspect_ratios[0]).items()
                },
                "styles": {
                    style: phrase for style, phrase in style_choices(spec) if phrase != NO_STYLE
                },
                "loaded": name in loaded,
                "bytes": loaded[name].nbytes if name in loaded else 0,
                "device": loaded[name].device if name in loaded else "",
                "dtype": loaded[name].dtype if name in loaded else "",
            }
            for name, spec in self.context.models.items()
        ]

    def plan(self, model: str, memory_mode: str = "none") -> dict[str, Any]:
        """Tell what loading a model would need, without loading it.

        Args:
            model: one of the names that the models tool lists.
            memory_mode: none, some or most: how much memory to save; or a card's size, 8GB, 12GB, 16GB or
                24GB, which takes what fits it at least cost.

        Returns:
            Bytes of memory while drawing ("need"), free memory, bytes to download, what the memory mode
            costs in a sentence, and "obstacle": why it cannot be loaded now, or an empty text.
        """
        self.context.spec(model)
        plan = self.context.manager.plan(model, memory_mode)
        return {
            "model": plan.name,
            "memory_mode": plan.memory_mode,
            "parts": str(plan.mode),
            "costs": plan.mode.costs,
            "device": plan.device,
            "dtype": plan.dtype,
            "need": plan.need.device,
            "free": plan.free,
            "download": plan.download,
            "fits": plan.fits,
            "obstacle": plan.obstacle,
        }

    def load(self, request: gr.Request, model: str, memory_mode: str = "none") -> dict[str, Any]:
        """Load a model, downloading it first where it is not on this machine yet. Stop ends it.

        Args:
            model: one of the names that the models tool lists.
            memory_mode: none, some or most: how much memory to save; or a card's size, 8GB, 12GB, 16GB or
                24GB, which takes what fits it at least cost.

        Returns:
            Its name and the bytes its weights take.
        """
        if obstacle := self.plan(model, memory_mode)["obstacle"]:
            raise RequestError(obstacle)
        with self.context.runs.loading(own_session(request)) as cancel:
            pipeline = self.context.manager.get(model, cancel=cancel, memory_mode=memory_mode)
        return {"name": model, "bytes": pipeline.nbytes}

    def unload(self, model: str) -> bool:
        """Let go of a model's memory. Whoever is drawing with it finishes first.

        Args:
            model: one of the names that the models tool lists.

        Returns:
            Whether it was loaded.
        """
        self.context.spec(model)
        return self.context.manager.unload(model)
