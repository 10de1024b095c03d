"""Endpoints that look inside a picture: what the model thinks of its bits, and what a flipped bit does."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from dataclasses import dataclass
from typing import Any

import gradio as gr

from infinity.edit import tasks
from infinity.errors import RequestError, quoted
from infinity.generation.inspection import save
from infinity.inside.flip import PICTURES, Place, changed_bits, draw_flip, flip_requests, told
from infinity.inside.sheet import flip_sheet
from infinity.metadata import save_png
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.ui.api.edit import opened, run_of
from infinity.ui.api.history import RecentRuns
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import file_data, new_folder
from infinity.ui.shared.runs import Run, caller_of

INSPECTED, CHANGES = "inside.npz", "changes.png"
FLIPPED = ("flipped", "answered", "unanswered")


@dataclass(frozen=True)
class InsideEndpoints:
    """The functions behind ``/inspect`` and ``/flip``."""

    context: Context
    recent: RecentRuns

    def inspect(
        self, request: gr.Request, picture: gr.FileData, prompt: str = "", model: str = ""
    ) -> gr.FileData:
        """Tell what the model thinks of every bit of a picture, as numbers.

        Args:
            picture: any, or a file of bits; of one that was drawn here, its own prompt and settings hold.
            prompt: what the picture shows; empty: what its record says.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            A numpy .npz file. A scale has its bits, the probability of a 1 as it was drawn, of the prompt
            alone and of no prompt, entropy, latent, and attention by word: "scale_1_bits", ...; "about" has the request and
            these words.
        """
        image, path = opened(picture), new_folder() / INSPECTED
        run = run_of(self.context, request, model, {"prompt": prompt} if prompt else {})
        with self.context.turn(request, run) as pipeline:
            wanted, bits = self._kept(pipeline, run, image, prompt)
            scales = tuple(tasks.inspect_bits(pipeline, wanted, bits, run.cancel))
            save(path, scales, wanted, pipeline.spec.name, pipeline.fingerprint)
        self.context.keep(path)
        return file_data(path)

    def flip(
        self,
        request: gr.Request,
        picture: gr.FileData,
        bits: list[list[int]],
        prompt: str = "",
        model: str = "",
    ) -> dict[str, Any]:
        """Turn bits of a picture over, and see what changes.

        Args:
            picture: any, or a file of bits; of one that was drawn here, its own prompt and settings hold.
            bits: which ones, each as [scale, row, column, bit], counted from 1.
            prompt: what the picture shows; empty: what its record says.
            model: one of the names that the models tool lists; empty: the first.

        Returns:
            "flipped": the picture with these bits flipped and all others kept; "answered": the scales after
            them drawn on; "unanswered": the same without the flips, to compare it with; "changes": all of it
            as one sheet; each a PNG file. "scales": of each its size, its bits, and how many of them
            the later scales answered otherwise.
        """
        if not isinstance(bits, list):
            raise RequestError(f"The bits are a list such as [[5, 3, 4, 12]], not {quoted(bits)}.")
        places = [Place.numbered(numbers) for numbers in bits]
        image, path = opened(picture), new_folder() / CHANGES
        run = run_of(self.context, request, model, {"prompt": prompt} if prompt else {})
        run.requests = PICTURES
        with self.context.turn(request, run) as pipeline:
            wanted, kept = self._kept(pipeline, run, image, prompt)
            asked = flip_requests(pipeline.spec, wanted, places)
            drawn = list(draw_flip(pipeline, asked, run.cancel))
            before = pipeline.decode(kept, wanted.aspect_ratio).image
        runs = [self.context.finish(done, run.model) for done in drawn]
        if self.context.hosting.history:
            for finished in runs[:2]:
                self.recent.add(caller_of(request), finished)
        shown = [before, *(done.images[0] for done in drawn)]
        self.context.keep(save_png(flip_sheet(shown, wanted.prompt), path))
        files = (file_data(finished.files[0]) for finished in runs)
        changed = changed_bits(pipeline.spec, drawn[1], drawn[2])
        return {
            **dict(zip(FLIPPED, files, strict=True)),
            "changes": file_data(path),
            "scales": told(pipeline.spec, changed),
        }

    def _kept(
        self, pipeline: InfinityPipeline, run: Run, image: tasks.Picture, prompt: str
    ) -> tuple[GenerationRequest, str]:
        """A picture with all of its bits, within the host's limits: its record may ask for more."""
        wanted = tasks.kept(pipeline, image, prompt, run.cancel)
        self.context.runs.allowance.check(wanted)
        assert wanted.start is not None, "its bits are all kept"
        return wanted, wanted.start.bits
