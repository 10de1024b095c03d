"""Drawing pictures scale by scale, with previews on the way: the pipeline without words.

Every picture of a request runs as its own batch by default, and all advance scale by scale.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from infinity.devices import memory_errors
from infinity.events import Cancelled, Preview, Refined
from infinity.generation.clock import Span
from infinity.generation.generate import (
    Revise,
    ScaleStep,
    generate,
    leading,
)
from infinity.generation.graphs import GraphMode, graphs_of
from infinity.generation.inputs import PictureInputs, text_conditions
from infinity.generation.previews import (
    PREVIEW_SHARE,
    PREVIEW_SHARE_GPU,
    PreviewDecoder,
    exact_scales,
)
from infinity.generation.revision import Revision
from infinity.generation.sampling import guided_length, seeded_generator
from infinity.generation.scale import TEXT_STEP, Plan
from infinity.generation.selection import Selection
from infinity.images import images_from_tensor, images_to_come
from infinity.model.transformer import InfinityTransformer
from infinity.request import PreviewPolicy, SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

AHEAD = 1
"""Scales that a GPU is given before the host waits for the pictures of an earlier one."""
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


@dataclass(frozen=True)
class _Scale:
    """A scale whose pictures the device may still be making."""

    index: int
    steps: Sequence[ScaleStep]
    images: Callable[[], tuple[Image.Image, ...]] | None
    span: Span
    is_exact: bool

    def preview(self, schedule: ScaleSchedule, bits_per_token: int) -> Preview:
        scale, is_last = schedule[self.index], self.index == len(schedule) - 1
        return Preview(
            index=self.index,
            num_scales=len(schedule),
            height=scale.height,
            width=scale.width,
            bits=scale.tokens * bits_per_token,
            seconds=sum(step.seconds for step in self.steps),
            images=None if self.images is None else self.images(),
            preview_seconds=0.0 if is_last else self.span.seconds,
            is_exact=self.is_exact,
        )


class Drawing:
    """A transformer and a tokenizer, with what is known of how long they take.

    Attributes:
        graphs: what replays the transformer's scales; None launches kernel by kernel.
        is_on_gpu: whether pictures are drawn in one pass, and the host goes on meanwhile.
    """

    def __init__(
        self, transformer: InfinityTransformer, tokenizer: Tokenizer, graphs: GraphMode = "off"
    ) -> None:
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.preview_decoder = PreviewDecoder(tokenizer)
        self.is_on_gpu = transformer.device.type == "cuda"
        self.graphs = graphs_of(transformer, graphs)
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
        selection: Selection | None = None,
        together: bool | None = None,
        only: int | None = None,
    ) -> Iterator[Preview | Cancelled | Drawn]:
        """Run all pictures scale by scale: in one pass if ``together`` (None: on a GPU), else each in its own.

        A GPU is at work on a scale while the host still shows the one before.

        Args:
            revision: what becomes of drawn bits where the pictures begin from others.
            selection: each picture is the best of several candidates, each drawn in a pass of its own;
                their previews show them side by side.
            only: show and give back this picture alone.

        Yields:
            A ``Preview`` a scale, the last one with the finished pictures, then ``Drawn``; or
            ``Cancelled``, and nothing after it.

        Raises:
            ResourceError: out of memory.
        """
        together = self.is_on_gpu if together is None else together
        if selection is not None:
            pictures, together = selection.inputs(pictures), False
        if previews == "live":
            self.preview_decoder.prepare(schedule)
        key = (schedule, guided_length(sampling, len(schedule)), len(pictures), together)
        late_exact = {"off": 0, "live": 0, "full": len(schedule)}
        if previews == "live" and selection is None:
            positions = math.prod(schedule.latent_size(-1, self.tokenizer.config.patch))
            whole_s = self.preview_decoder.seconds_a_position * positions * len(pictures)
            untried = exact_scales(0.0, whole_s, 0.0, len(schedule))
            late_exact["live"] = self._late_exact.get(key, untried)
        first_exact = len(schedule) - 1 - late_exact[previews]
        shown = slice(None) if only is None else slice(only, only + 1)
        groups = [list(pictures)] if together else [[picture] for picture in pictures[shown]]
        shown = shown if together else slice(None)
        runs = [self._run(group, schedule, sampling, revision) for group in groups]
        waiting: deque[_Scale] = deque()
        model_seconds = rough_seconds = preview_seconds = 0.0
        rough: dict[int, Tensor] = {}
        bits: list[Tensor] = []
        span, event = Span(self.transformer.device), None
        for index in range(len(schedule)):
            steps: list[ScaleStep] = []
            for run in runs:
                if cancel.is_set():
                    yield Cancelled(completed_scales=index)
                    return
                with memory_errors("drawing", LESS_MEMORY):
                    steps.append(next(run))
            is_last = index == len(schedule) - 1
            if is_last and cancel.is_set():
                yield Cancelled(completed_scales=len(schedule))
                return
            span = Span(self.transformer.device)
            bits.append(torch.cat([step.bits_BlD for step in steps])[shown])
            latent_Bdyx = torch.cat([step.canvas.latent_Bdyx for step in steps])[shown]
            is_exact, images = index >= first_exact, None
            with memory_errors("decoding", LESS_MEMORY):
                if selection is not None and (is_last or index == selection.prune_after):
                    judged = images_from_tensor(self._decode(latent_Bdyx))
                    kept = selection.keep(judged, is_last)
                    runs, left = [runs[i] for i in kept], tuple(judged[i] for i in kept)
                    bits, latent_Bdyx = [one[kept] for one in bits], latent_Bdyx[kept]
                    rough = {scale: latents[kept] for scale, latents in rough.items()}
                    if previews == "live" and not is_last:
                        rough[index] = latent_Bdyx
                    images, is_exact = partial(tuple, left), True
                elif is_exact:
                    images = images_to_come(self._decode(latent_Bdyx))
                elif previews == "live":
                    images = images_to_come(self.preview_decoder.decode(latent_Bdyx))
                    rough[index] = latent_Bdyx
            if selection is not None and images is not None:
                images = selection.side_by_side(images)
            waiting.append(_Scale(index, steps, images, span.end(), is_exact))
            while len(waiting) > (AHEAD if self.is_on_gpu and not is_last else 0):
                event = waiting.popleft().preview(schedule, self.tokenizer.config.bits_per_token)
                model_seconds += event.seconds
                preview_seconds += event.preview_seconds
                rough_seconds += 0.0 if event.is_exact else event.preview_seconds
                yield event
        if previews == "live" and selection is None:
            share = PREVIEW_SHARE_GPU if self.is_on_gpu else PREVIEW_SHARE
            times = model_seconds, span.seconds, rough_seconds
            self._late_exact[key] = exact_scales(*times, len(schedule), share)
        assert event is not None and event.images is not None, "the last scale is decoded"
        times = model_seconds, span.seconds, preview_seconds
        yield Drawn(event.images, *times, rough, tuple(bits))

    def warm_up(self, schedule: ScaleSchedule, sampling: SamplingParams) -> bool:
        """Record fused kernels of a picture; whether they are. Other graphs are recorded while drawing."""
        if self.graphs is None or not self.graphs.is_fused:
            return False
        plan = Plan.of(schedule, 1, sampling, TEXT_STEP)
        return self.graphs.warm_up(
            plan, lambda what, part: logger.info("%s: %.0f%%", what, 100 * part)
        )

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
                graphs=self.graphs,
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
