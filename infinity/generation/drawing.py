"""Drawing pictures scale by scale, with previews on the way: the pipeline without words.

Every picture of a request runs as its own batch by default, and all advance scale by scale.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from infinity.devices import memory_errors
from infinity.events import Cancelled, Preview, Refined
from infinity.generation.generate import (
    Revise,
    ScaleStep,
    generate,
    leading,
)
from infinity.generation.inputs import PictureInputs, text_conditions
from infinity.generation.previews import PreviewDecoder, exact_scales
from infinity.generation.revision import Revision
from infinity.generation.sampling import guided_length, seeded_generator
from infinity.images import images_from_tensor
from infinity.model.transformer import InfinityTransformer
from infinity.request import PreviewPolicy, SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer

LESS_MEMORY = "ask for fewer pictures, a smaller model or aspect ratio, or the precision bfloat16"


@dataclass(frozen=True)
class Drawn:
    """The pictures, and where the time went.

    Attributes:
        rough: scale -> the sum of codes after it (B, d, y, x), where the preview was rough.
        bits: per scale (B, l, D) bool.
    """

    images: tuple[Image.Image, ...]
    model_seconds: float
    decode_seconds: float
    preview_seconds: float
    rough: dict[int, Tensor]
    bits: tuple[Tensor, ...]


class Drawing:
    """A transformer and a tokenizer, with what is known of how long they take."""

    def __init__(self, transformer: InfinityTransformer, tokenizer: Tokenizer) -> None:
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.preview_decoder = PreviewDecoder(tokenizer)
        self._late_exact: dict[tuple[ScaleSchedule, int, int, bool], int] = {}

    @torch.inference_mode()
    def draw(
        self,
        pictures: Sequence[PictureInputs],
        schedule: ScaleSchedule,
        sampling: SamplingParams,
        cancel: threading.Event,
        previews: PreviewPolicy,
        *,
        revision: Revision | None = None,
        together: bool = False,
    ) -> Iterator[Preview | Cancelled | Drawn]:
        """Run all pictures scale by scale: in one pass if ``together``, else each in its own.

        Args:
            revision: what becomes of drawn bits where the pictures begin from others.

        Yields:
            A ``Preview`` a scale, the last one with the finished pictures, then ``Drawn``; or
            ``Cancelled``, and nothing after it.

        Raises:
            ResourceError: out of memory.
        """
        if previews == "live":
            self.preview_decoder.prepare(schedule)
        key = (schedule, guided_length(sampling, len(schedule)), len(pictures), together)
        late_exact = {"off": 0, "live": self._late_exact.get(key, 0), "full": len(schedule)}
        first_exact = len(schedule) - 1 - late_exact[previews]
        groups = [list(pictures)] if together else [[picture] for picture in pictures]
        runs = [self._run(group, schedule, sampling, revision) for group in groups]
        model_seconds = rough_seconds = preview_seconds = 0.0
        rough: dict[int, Tensor] = {}
        bits: list[Tensor] = []
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
            is_last = index == len(schedule) - 1
            if is_last and cancel.is_set():
                yield Cancelled(completed_scales=len(schedule))
                return
            started_s = time.perf_counter()
            bits.append(torch.cat([step.bits_BlD for step in steps]))
            latent_Bdyx = torch.cat([step.canvas.latent_Bdyx for step in steps])
            is_exact, images = index >= first_exact, None
            with memory_errors("decoding", LESS_MEMORY):
                if is_exact:
                    images = images_from_tensor(self._decode(latent_Bdyx))
                elif previews == "live":
                    images = images_from_tensor(self.preview_decoder.decode(latent_Bdyx))
                    rough[index] = latent_Bdyx
            spent_seconds = time.perf_counter() - started_s
            if not is_last:
                preview_seconds += spent_seconds
                rough_seconds += 0.0 if is_exact else spent_seconds
            yield Preview(
                index=index,
                num_scales=len(schedule),
                height=scale.height,
                width=scale.width,
                bits=scale.tokens * self.tokenizer.config.bits_per_token,
                seconds=seconds,
                preview_seconds=0.0 if is_last else spent_seconds,
                images=images,
                is_exact=is_exact,
            )
            if is_last and images is not None:
                if previews == "live":
                    times = model_seconds, spent_seconds, rough_seconds
                    self._late_exact[key] = exact_scales(*times, len(schedule))
                times = model_seconds, spent_seconds, preview_seconds
                yield Drawn(images, *times, rough, tuple(bits))

    @torch.inference_mode()
    def refine(self, drawn: Drawn, cancel: threading.Event) -> Iterator[Refined]:
        """Whole decodings of the scales that were only decoded roughly, the latest first. The preview decoder
        learns from them."""
        for index, latent_Bdyx in reversed(drawn.rough.items()):
            if cancel.is_set():
                return
            with memory_errors("decoding", LESS_MEMORY):
                decoded_B3HW = self._decode(latent_Bdyx)
                self.preview_decoder.learn(latent_Bdyx, decoded_B3HW)
            yield Refined(index=index, images=images_from_tensor(decoded_B3HW))

    def _run(
        self,
        group: Sequence[PictureInputs],
        schedule: ScaleSchedule,
        sampling: SamplingParams,
        revision: Revision | None,
    ) -> Iterator[ScaleStep]:
        with memory_errors("reading the prompt", LESS_MEMORY):
            conditions = text_conditions(self.transformer, group, sampling, len(schedule))

        def run(revise: Revise | None, *, keep_logits: bool = False) -> Iterator[ScaleStep]:
            return generate(
                self.transformer,
                self.tokenizer.config,
                conditions[0],
                schedule,
                sampling,
                [seeded_generator(picture.seed) for picture in group],
                later=conditions,
                revise=revise,
                keep_logits=keep_logits,
            )

        def read(bits: Sequence[Tensor]) -> list[Tensor]:
            steps = run(leading(bits), keep_logits=True)
            kept = [step.logits_BlD2 for step in steps if step.logits_BlD2 is not None]
            return [logits[..., 1].float() - logits[..., 0].float() for logits in kept]

        if revision is None:
            yield from run(None)
            return
        source: Sequence[Tensor] = revision.source
        for _ in range(revision.start.rounds - 1):
            source = [step.bits_BlD for step in run(revision.hook(source, read))]
        yield from run(revision.hook(source, read))

    def _decode(self, latent_Bdyx: Tensor) -> Tensor:
        """Each picture by itself, so that its pixels depend on it alone: (B, 3, H, W) in [-1, 1]."""
        return torch.cat([self.tokenizer.decode(one) for one in latent_Bdyx.split(1)])
