"""Endpoints that go on from a picture's bits."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.edit import tasks
from infinity.edit.files import Picture, open_picture
from infinity.errors import RequestError, StoppedError
from infinity.events import Done
from infinity.images import open_image
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest, chosen_seed
from infinity.start import REPAIR_DOUBT
from infinity.ui.api.history import RecentRuns
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import NOT_OURS, file_data, own_file
from infinity.ui.shared.runs import Run, caller_of, visitor_of


@dataclass(frozen=True)
class EditEndpoints:
    """The functions behind ``/vary``, ``/edit``, ``/mix``, ``/repair`` and ``/extend``."""

    context: Context
    recent: RecentRuns

    def vary(
        self,
        request: gr.Request,
        picture: gr.FileData,
        keep_scales: int = 3,
        prompt: str = "",
        seed: int | None = None,
        num_images: int = 1,
        model: str = "",
    ) -> list[gr.FileData]:
        """Keep the coarse scales of a picture and draw the rest anew.

        Args:
            picture: any, or a file of bits; of one that was drawn here, its own prompt and settings hold where none are given.
            keep_scales: how many scales stay, from the coarsest.
            prompt: what the picture shows then, as for edit; empty: what its record says.
            seed: null is the picture's own, -1 a random one.
            num_images: how many pictures; the next ones use the next seeds.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            The finished pictures as PNG files, one a seed.
        """
        given = _given(prompt, seed, num_images)
        task = partial(tasks.vary, image=opened(picture), keep_scales=keep_scales, **given)
        return self._drawn(request, model, given, task)

    def edit(
        self,
        request: gr.Request,
        picture: gr.FileData,
        prompt: str,
        mask: gr.FileData | None = None,
        box: list[float] | None = None,
        keep_scales: int = 0,
        softness: int = 0,
        seed: int | None = None,
        num_images: int = 1,
        model: str = "",
    ) -> list[gr.FileData]:
        """Draw a part of a picture anew; all bits outside of it stay as they are.

        Args:
            picture: any, or a file of bits; of one that was drawn here, its own settings hold where none are given.
            prompt: what the whole picture shows then; what it leaves open, where a seed would choose (the
                default model), stays as the picture's own prompt tells it.
            mask: a picture of any size, bright where the part is in the whole picture; null with a null box: the part is found by the
                words of the prompt that differ from the picture's own.
            box: the part as [left, top, right, bottom] in shares of the whole picture, from 0 to 1.
            keep_scales: scales that stay everywhere, from the coarsest.
            softness: tokens over which the part's edge is soft.
            seed: null is the picture's own, -1 a random one.
            num_images: how many pictures; the next ones use the next seeds.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            The finished pictures as PNG files, one a seed.
        """
        if mask is not None and box is not None:
            raise RequestError("Give a mask or a box, not both.")
        given = _given(prompt, seed, num_images)
        area = box if mask is None else open_image(_own(mask), "The mask")
        kept = {"keep_scales": keep_scales, "softness": softness}
        task = partial(tasks.edit, image=opened(picture), area=area, **kept, **given)
        return self._drawn(request, model, given, task)

    def mix(
        self,
        request: gr.Request,
        picture: gr.FileData,
        fine: gr.FileData,
        keep_scales: int = 3,
        model: str = "",
    ) -> list[gr.FileData]:
        """Put the coarse scales of one picture and the fine scales of another together.

        Args:
            picture: gives the coarse scales.
            fine: gives the others.
            keep_scales: how many coarse scales.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            The finished picture as a PNG file, in a list.
        """
        pictures = {"coarse": opened(picture), "fine": opened(fine)}
        task = partial(tasks.mix, keep_scales=keep_scales, **pictures)
        return self._drawn(request, model, {}, task)

    def repair(
        self,
        request: gr.Request,
        picture: gr.FileData,
        box: list[float] | None = None,
        doubt: float = REPAIR_DOUBT,
        rounds: int = 1,
        prompt: str = "",
        model: str = "",
    ) -> list[gr.FileData]:
        """Find the bits of a picture that are errors as far as the model can tell, and put them right.

        Args:
            picture: any, or a file of bits; of one that was drawn here, its own prompt and settings hold.
            box: where, as [left, top, right, bottom] in shares of the picture; null: everywhere.
            doubt: the largest share of a scale's bits that is taken for errors, below 1.
            rounds: how often, each time on what came of the time before.
            prompt: what the picture shows; empty: what its record says.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            The finished picture as a PNG file, in a list.
        """
        given = _given(prompt, None, None)
        how = {"doubt": doubt, "rounds": rounds}
        task = partial(tasks.repair, image=opened(picture), area=box, **how, **given)
        return self._drawn(request, model, given, task)

    def extend(
        self,
        request: gr.Request,
        picture: gr.FileData,
        aspect_ratio: str,
        prompt: str = "",
        seed: int | None = None,
        num_images: int = 1,
        model: str = "",
    ) -> list[gr.FileData]:
        """Put a picture in the middle of a wider or taller one and draw what is around it.

        Args:
            picture: any, or a file of bits; of one that was drawn here, its own prompt and settings hold where none are given.
            aspect_ratio: width:height; one of the model's own.
            prompt: what the whole picture shows then; empty: what its record says.
            seed: null is the picture's own, -1 a random one.
            num_images: how many pictures; the next ones use the next seeds.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            The finished pictures as PNG files, one a seed.
        """
        given = _given(prompt, seed, num_images)
        task = partial(tasks.extend, image=opened(picture), aspect_ratio=aspect_ratio, **given)
        return self._drawn(request, model, given, task)

    def _drawn(
        self,
        request: gr.Request,
        model: str,
        given: dict[str, Any],
        task: Callable[[InfinityPipeline], GenerationRequest],
    ) -> list[gr.FileData]:
        """Let a task make its request and draw it, in one turn of the caller's."""
        run = run_of(self.context, request, model, given)
        with self.context.turn(request, run) as pipeline:
            wanted = task(pipeline)
            self.context.runs.allowance.check(wanted)  # its record may ask for more
            for event in pipeline.stream(wanted, cancel=run.cancel, previews="off"):
                if isinstance(event, Done):
                    for note in event.notes:
                        gr.Info(note)
                    finished = self.context.finish(event, run.model)
                    if self.context.hosting.history:
                        self.recent.add(caller_of(request), finished)
                    return [file_data(path) for path in finished.files]
        raise StoppedError


def run_of(context: Context, request: gr.Request, model: str, given: Mapping[str, Any]) -> Run:
    """What the host's limits are asked for, before a picture's own prompt is known.

    Args:
        model: "" is the first one on offer.
        given: settings of a request.

    Raises:
        RequestError: wrong settings, or a model that is not on offer.
    """
    model = model or context.first_model
    context.spec(model)
    asked: dict[str, Any] = {"prompt": "a picture", **given}
    return Run(model, GenerationRequest(**asked), visitor_of(request))


def opened(picture: object) -> Picture:
    """A picture, or a file of bits, that was uploaded or made here. Raises RequestError for anything
    else."""
    return open_picture(_own(picture), "The picture")


def _own(picture: object) -> Path:
    name = picture.get("path") if isinstance(picture, Mapping) else None
    if (path := own_file(name)) is None:
        raise RequestError(NOT_OURS)
    return path


def _given(prompt: str, seed: Any, num_images: int | None) -> dict[str, Any]:
    """Settings of a request that are not left to the picture."""
    given = {"prompt": prompt or None, "num_images": num_images}
    given["seed"] = None if seed is None else chosen_seed(seed)
    return {name: value for name, value in given.items() if value is not None}
