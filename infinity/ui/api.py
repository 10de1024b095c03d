"""The named endpoints: what a program may ask of a running page."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import gradio as gr
from gradio.events import api

from infinity.errors import InfinityError, RequestError
from infinity.events import Done
from infinity.hosting import Allowance
from infinity.manager import LoadPlan, ModelManager
from infinity.request import GenerationRequest
from infinity.spec import ModelSpec
from infinity.ui.files import save_pictures
from infinity.ui.prompt_help import suggestion_of
from infinity.ui.runs import Run, Runs, visitor_of
from infinity.ui.wiring import HELP_TWO, LOAD_ONE, ONE_AT_A_TIME

AT_ONCE: dict[str, Any] = {"queue": False}


def build_api(
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    default_model: str,
    keep_track: Callable[[str], None],
) -> None:
    """Add every named endpoint to the current Blocks; on a public page, not those that load.

    Args:
        models: what may be asked for, by name.
        keep_track: told the path of every file written, so that old ones are cleaned up.
    """
    generate = make_generate(manager, runs, tuple(models), default_model, keep_track)
    api(generate, api_name="generate", **ONE_AT_A_TIME)
    api(make_stop_mine(runs), api_name="stop", **AT_ONCE)
    api(make_models(manager, models), api_name="models", **AT_ONCE)
    api(make_rewrite(runs.allowance), api_name="rewrite", **HELP_TWO)
    if not runs.allowance.hosting.public:
        api(make_plan(manager, models), api_name="plan", **AT_ONCE)
        api(make_load_named(manager, models), api_name="load", **LOAD_ONE)
        api(make_unload_named(manager, models), api_name="unload", **AT_ONCE)


def make_generate(
    manager: ModelManager,
    runs: Runs,
    models: Collection[str],
    default_model: str,
    keep_track: Callable[[str], None],
) -> Callable[..., list[gr.FileData]]:
    """The function behind ``/generate``; its type hints and defaults are the endpoint's.

    Args:
        models: the names that may be asked for.
        keep_track: told the path of every file written, so that old ones are cleaned up.
    """

    def generate(
        request: gr.Request,
        prompt: str,
        negative_prompt: str = "",
        model: str = default_model,
        aspect_ratio: str = "1:1",
        seed: int = 0,
        guidance: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        num_images: int = 1,
    ) -> list[gr.FileData]:
        """Draw pictures of a prompt. Settings left out, or null, take the model's defaults.

        Args:
            prompt: what to draw, in a sentence or less, such as "a red apple on a sandy beach".
            negative_prompt: what to steer away from.
            model: one of the names that the models tool lists.
            aspect_ratio: width:height; one of the model's own.
            seed: the same seed draws the same picture.
            guidance: how closely the prompt is followed; 1 is not at all.
            temperature: how freely bits are drawn; 0 always takes the likelier value.
            top_k: 1 always takes the likelier value of a bit; any other number changes nothing.
            top_p: settles bits whose other value is at most 1 - top_p likely; 1 is off.
            num_images: how many pictures; the next ones use the next seeds.

        Returns:
            The finished pictures as PNG files, one a seed (seed, seed + 1, ...); each carries its
            whole request in its metadata, under the key "infinity".
        """
        with _told_plainly():
            _known(model, models)
            wanted = GenerationRequest(
                prompt=prompt,
                negative_prompt=negative_prompt,
                aspect_ratio=aspect_ratio,
                seed=seed,
                guidance=guidance,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                num_images=num_images,
            )
            run = Run(model, wanted, visitor_of(request))
            with runs.running(request.session_hash or "", run):
                done = _finish(manager, run)
            paths = save_pictures(done.images, wanted.prompt, wanted.seeds)
        for path in paths:
            keep_track(str(path))
        # Gradio wants plain dictionaries here, and the type for the endpoint's description.
        files = [gr.FileData(path=str(path)).model_dump() for path in paths]
        return cast("list[gr.FileData]", files)

    return generate


def _finish(manager: ModelManager, run: Run) -> Done:
    """Raises RequestError when the caller went away in the middle."""
    pipeline = manager.get(run.model)
    for event in pipeline.stream(run.request, cancel=run.cancel, previews="off"):
        if isinstance(event, Done):
            return event
    raise RequestError("The request was stopped before its pictures were finished; send it again.")


def make_stop_mine(runs: Runs) -> Callable[..., bool]:
    """The function behind ``/stop``."""

    def stop(request: gr.Request) -> bool:
        """Stop the pictures that this client has asked for; the current scale is finished first.

        Returns:
            Whether something was being drawn.
        """
        return runs.stop(request.session_hash or "")

    return stop


def make_models(
    manager: ModelManager, models: Mapping[str, ModelSpec]
) -> Callable[[], list[dict[str, Any]]]:
    """The function behind ``/models``."""

    def list_models() -> list[dict[str, Any]]:
        """List the models that can draw: what each was trained for, and whether it is in memory.

        Returns:
            One entry a model: its name, title, the pixel sizes of its aspect ratios as
            [width, height], and, if it is in memory, its bytes, device and precision.
        """
        loaded = {model.name: model for model in manager.loaded()}
        return [
            {
                "name": name,
                "title": spec.title,
                "aspect_ratios": {
                    ratio: list(reversed(spec.image_size(ratio))) for ratio in spec.aspect_ratios
                },
                "loaded": name in loaded,
                "bytes": loaded[name].nbytes if name in loaded else 0,
                "device": loaded[name].device if name in loaded else "",
                "dtype": loaded[name].dtype if name in loaded else "",
            }
            for name, spec in models.items()
        ]

    return list_models


def make_rewrite(allowance: Allowance) -> Callable[..., str]:
    """The function behind ``/rewrite``; it asks only the helper that the host has set up."""

    def rewrite(request: gr.Request, prompt: str) -> str:
        """Make a short prompt longer and more detailed, keeping its meaning.

        Draws nothing: read the answer, change it as you like, and pass it to generate.

        Args:
            prompt: a few words, such as "a lighthouse".

        Returns:
            One description of the picture, in one to three sentences.
        """
        with _told_plainly():
            allowance.check_prompt(prompt)
            allowance.admit(visitor_of(request))
            return suggestion_of(prompt, allowance.hosting.rewriter, "")

    return rewrite


def make_plan(
    manager: ModelManager, models: Mapping[str, ModelSpec]
) -> Callable[..., dict[str, Any]]:
    """The function behind ``/plan``."""

    def plan(model: str, saving: str = "none") -> dict[str, Any]:
        """Tell what loading a model would need, without loading it.

        Args:
            model: one of the names that the models tool lists.
            saving: none, some or most: how much memory to save.

        Returns:
            Bytes of memory while drawing ("need"), free memory, bytes to download, and "obstacle":
            why it cannot be loaded now, or an empty text.
        """
        with _told_plainly():
            _known(model, models)
            return _plan_dict(manager.plan(model, saving))

    return plan


def make_load_named(
    manager: ModelManager, models: Mapping[str, ModelSpec]
) -> Callable[..., dict[str, Any]]:
    """The function behind ``/load``."""

    def load(model: str, saving: str = "none") -> dict[str, Any]:
        """Load a model, downloading it first where it is not on this machine yet.

        Args:
            model: one of the names that the models tool lists.
            saving: none, some or most: how much memory to save.

        Returns:
            Its name and the bytes its weights take.
        """
        with _told_plainly():
            _known(model, models)
            planned = manager.plan(model, saving)
            if planned.obstacle:
                raise RequestError(planned.obstacle)
            pipeline = manager.load(model, saving)
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
        with _told_plainly():
            _known(model, models)
            return manager.unload(model)

    return unload


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Our errors as Gradio's, which reach the caller as one sentence."""
    try:
        yield
    except InfinityError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _known(model: str, models: Collection[str]) -> None:
    if model not in models:
        raise RequestError(f"Unknown model {model!r}; choose one of {', '.join(models)}.")


def _plan_dict(plan: LoadPlan) -> dict[str, Any]:
    return {
        "model": plan.name,
        "saving": plan.saving,
        "device": plan.device,
        "dtype": plan.dtype,
        "need": plan.need.device,
        "free": plan.free,
        "download": plan.download,
        "fits": plan.fits,
        "obstacle": plan.obstacle,
    }
