"""The named endpoints: what a program may ask of a running page."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable, Sequence
from typing import cast

import gradio as gr

from infinity.errors import InfinityError, RequestError
from infinity.events import Done
from infinity.manager import ModelManager
from infinity.request import GenerationRequest
from infinity.ui.files import save_pictures
from infinity.ui.runs import Run, Runs, visitor_of


def make_generate(
    manager: ModelManager,
    runs: Runs,
    models: Sequence[str],
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

        Returns the finished pictures as PNG files, one a seed (seed, seed + 1, ...); each carries
        its whole request in its metadata, under the key "infinity".
        """
        try:
            if model not in models:
                raise RequestError(f"Unknown model {model!r}; choose one of {', '.join(models)}.")
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
        except InfinityError as error:
            raise gr.Error(str(error), print_exception=False) from error
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
