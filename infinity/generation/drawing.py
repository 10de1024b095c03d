"""Drawing pictures scale by scale, with previews on the way: the pipeline without words.

Every picture of a request runs on its own rows unless told otherwise, and all advance together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from infinity.devices import has_fast_bfloat16, memory_errors
from infinity.events import Cancelled, Preview
from infinity.generation.generate import ScaleStep, compute_dtype, generate, text_condition
from infinity.generation.guidance import guided_length
from infinity.generation.previews import DecodeCosts, PreviewBudget, faster
from infinity.generation.sampling import seeded_generator
from infinity.images import images_from_tensor
from infinity.model.transformer import InfinityTransformer
from infinity.request import PreviewPolicy, SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer

LESS_MEMORY = "ask for fewer pictures, a smaller model or aspect ratio, or the precision bfloat16"

FAST_FROM_POSITIONS = 64
"""Latent positions from which casting a float32 decoder to bfloat16 pays."""

Images = tuple[Image.Image, ...]


@dataclass(frozen=True)
class Picture:
    """What one picture is drawn from.

    Attributes:
        seed: from 0 to ``MAX_SEED``.
        prompt: (T, text width) float.
        negative: likewise; None for the learned unconditional text.
    """

    seed: int
    prompt: Tensor
    negative: Tensor | None


@dataclass(frozen=True)
class Drawn:
    """The pictures, and where the time went."""

    images: Images
    model_seconds: float
    decode_seconds: float
    preview_seconds: float


class Drawing:
    """A transformer and a tokenizer, with what is known of how long they take."""

    def __init__(self, transformer: InfinityTransformer, tokenizer: Tokenizer) -> None:
        self.transformer = transformer
        self.tokenizer = tokenizer
        self._costs = DecodeCosts()
        self._model_seconds: dict[tuple[ScaleSchedule, int, int, bool], float] = {}
        device = transformer.device
        self._fast_previews = (
            compute_dtype(transformer) == torch.float32
            and device.type == "cpu"
            and has_fast_bfloat16(device)
        )

    @torch.inference_mode()
    def draw(
        self,
        pictures: Sequence[Picture],
        schedule: ScaleSchedule,
        sampling: SamplingParams,
        cancel: threading.Event,
        previews: PreviewPolicy,
        *,
        together: bool = False,
    ) -> Iterator[Preview | Cancelled | Drawn]:
        """Run all pictures scale by scale: in one pass if ``together``, else each in its own.

        Yields:
            A ``Preview`` a scale, the last one with the finished pictures, then ``Drawn``; or
            ``Cancelled``, and nothing after it.

        Raises:
            ResourceError: out of memory.
        """
        key = (schedule, guided_length(sampling, len(schedule)), len(pictures), together)
        budget = self._budget(schedule, len(pictures), self._model_seconds.get(key, 0.0))
        groups = [list(pictures)] if together else [[picture] for picture in pictures]
        runs = [self._run(group, schedule, sampling) for group in groups]
        model_seconds = 0.0
        for index, scale in enumerate(schedule):
            steps: list[ScaleStep] = []
            for run in runs:
                if cancel.is_set():
                    yield Cancelled(completed_scales=index)
                    return
                with memory_errors("drawing", LESS_MEMORY):
                    steps.append(next(run))
            seconds = sum(step.seconds for step in steps)
            model_seconds += seconds
            budget.step(seconds, index)
            is_last = index == len(schedule) - 1
            if is_last and cancel.is_set():
                yield Cancelled(completed_scales=len(schedule))
                return
            started_s = time.perf_counter()
            if is_last:
                images = self._finish(steps)
            else:
                size = self._preview_size(index, len(schedule), previews, budget)
                images = None if size is None else self._preview(steps, size)
            decode_seconds = time.perf_counter() - started_s
            if not is_last:
                budget.spend(decode_seconds)
            yield Preview(
                index=index,
                num_scales=len(schedule),
                height=scale.height,
                width=scale.width,
                bits=scale.tokens * self.tokenizer.config.bits_per_token,
                seconds=seconds,
                preview_seconds=0.0 if is_last else decode_seconds,
                images=images,
            )
            if is_last and images is not None:
                self._model_seconds[key] = faster(self._model_seconds.get(key), model_seconds)
                yield Drawn(images, model_seconds, decode_seconds, budget.spent_seconds)

    def _run(
        self, group: Sequence[Picture], schedule: ScaleSchedule, sampling: SamplingParams
    ) -> Iterator[ScaleStep]:
        prompts, negatives = [p.prompt for p in group], [p.negative for p in group]
        with memory_errors("reading the prompt", LESS_MEMORY):
            condition = text_condition(
                self.transformer, prompts, negatives, sampling, len(schedule)
            )
        generators = [seeded_generator(picture.seed) for picture in group]
        config = self.tokenizer.config
        return generate(self.transformer, config, condition, schedule, sampling, generators)

    def _budget(self, schedule: ScaleSchedule, pictures: int, seconds: float) -> PreviewBudget:
        area = self.tokenizer.config.patch**2
        return PreviewBudget([s.tokens * area for s in schedule], pictures, self._costs, seconds)

    @staticmethod
    def _preview_size(
        index: int, num_scales: int, previews: PreviewPolicy, budget: PreviewBudget
    ) -> int | None:
        """The scale at whose latent size to decode the preview; None for no preview."""
        if previews == "scale":
            return budget.choose(index)
        return num_scales - 1 if previews == "full" else None

    def _finish(self, steps: Sequence[ScaleStep]) -> Images:
        """The finished pictures, each decoded by itself so that its pixels depend on it alone."""
        latents = [row for step in steps for row in step.canvas.latent_Bdyx.split(1)]
        return tuple(image for latent in latents for image in self._decode(latent))

    def _preview(self, steps: Sequence[ScaleStep], size: int) -> Images:
        """All pictures at the latent size of scale ``size``, decoded together and, where that is
        faster, in bfloat16: a preview may be a little off."""
        latent_Bdyx = torch.cat([step.canvas.at_scale(size) for step in steps])
        device = self.transformer.device
        is_large = latent_Bdyx[:, 0].numel() >= FAST_FROM_POSITIONS
        with torch.autocast(device.type, torch.bfloat16, self._fast_previews and is_large):
            return self._decode(latent_Bdyx)

    def _decode(self, latent_Bdyx: Tensor) -> Images:
        started_s = time.perf_counter()
        with memory_errors("decoding", LESS_MEMORY):
            images = images_from_tensor(self.tokenizer.decode(latent_Bdyx))
        positions = latent_Bdyx.shape[0] * latent_Bdyx.shape[-2] * latent_Bdyx.shape[-1]
        self._costs.observe(positions, time.perf_counter() - started_s)
        return images
