"""From a request to pictures: text, transformer, tokenizer put together.

A request becomes a stream of events: one preview a scale, then the pictures. Matrix products over more
rows round differently, which now and then flips a bit. So on a CPU every picture has its own rows, and equals
the same seed drawn alone. On a GPU, where one pass takes half the time, the pictures of a request share one,
and a picture's record holds all of the request. Either way a record replays its picture exactly on the same
machine. ``generate_batch`` joins several requests into one pass.
"""

import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image

from infinity.checkpoints.fit import parameters_in
from infinity.checkpoints.load import load_model
from infinity.devices import (
    describe_device,
    dtype_name,
    memory_errors,
    resolve_device,
    resolve_dtype,
)
from infinity.errors import RequestError
from infinity.estimate import chosen_memory_mode
from infinity.events import Done, Event
from infinity.generation.drawing import LESS_MEMORY, Drawing, Drawn
from infinity.generation.finished import finished
from infinity.generation.graphs import GraphMode, chosen_mode
from infinity.generation.inputs import PictureInputs, read_pictures
from infinity.generation.revision import Revision
from infinity.generation.sampling import check_layers
from infinity.generation.selection import check_candidates, select
from infinity.memory_modes import NO_SAVING, MemoryMode, get_memory_mode
from infinity.metadata import PictureRecord
from infinity.model.transformer import InfinityTransformer
from infinity.packing import unpack_bits
from infinity.recent import RecentBits
from infinity.request import PREVIEW_POLICIES, GenerationRequest, PreviewPolicy
from infinity.scoring.scorer import Scorer
from infinity.spec import ModelSpec
from infinity.text import TextEncoder
from infinity.tokenizer import reconstruction
from infinity.tokenizer.reconstruction import ReconstructedScale, Reconstruction
from infinity.tokenizer.tokenizer import Tokenizer
from infinity.version import __version__


class InfinityPipeline:
    """A model ready to draw. Safe to use from several threads at once.

    Args:
        spec: what the parts are and what they were trained for.
        transformer, tokenizer: with their weights, in evaluation mode, on one device.
        text_encoder: may be on another device.
        memory_mode: how it is placed and kept. Its parts "strips", "int8-cache" and those of the weights
            are the parts' own, set when they were loaded.
        fingerprint: of the weights, for the pictures' records; "" where they are of no files.
        graphs: "exact" replays captured graphs on a CUDA card, "fused" those of compiled kernels, which
            round differently, "off" launches kernel by kernel; None takes that of $INFINITY_GRAPHS, or "exact".
    """

    def __init__(
        self,
        spec: ModelSpec,
        transformer: InfinityTransformer,
        tokenizer: Tokenizer,
        text_encoder: TextEncoder,
        *,
        memory_mode: MemoryMode = NO_SAVING,
        fingerprint: str = "",
        graphs: GraphMode | None = None,
    ) -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.memory_mode = memory_mode
        mode = chosen_mode(graphs)
        mode = "off" if "no-graphs" in memory_mode.parts else mode
        self._drawing = Drawing(transformer, tokenizer, mode)
        self.recent = RecentBits()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "default",
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        progress: Callable[[str, float], None] | None = None,
        *,
        memory: str | MemoryMode = NO_SAVING,
        adapter: str | Path | None = None,
        make_room: Callable[[], None] | None = None,
    ) -> Self:
        """Load a model by its name, from a folder, or from upstream's files.

        Args:
            device: "cpu", "cuda", "mps", ...; None takes the best there is.
            dtype: "float32" or "bfloat16"; None is bfloat16 on CUDA, float32 elsewhere. On CPUs
                with bfloat16 instructions it halves memory and, for large models, time.
            progress: called with (what is being done, part done from 0 to 1).
            memory: a mode of ``infinity.memory_modes``, by name, by a card's size ("8GB") or by its parts.
            adapter: folder of a low-rank adapter to merge into the transformer.
            make_room: called once all files are found to be there and to fit, before they are read
                into memory.

        Raises:
            RequestError: unknown model, precision or memory mode.
            CheckpointError: the model's files are missing or damaged.
            ResourceError: no such device, out of memory, no network.
        """
        place = resolve_device(device)
        precision = resolve_dtype(dtype, place)
        get_memory_mode(memory)  # which may refuse it, before anything is fetched

        def mode(spec: ModelSpec, encoder: Path) -> MemoryMode:
            return chosen_memory_mode(memory, spec, place, precision, parameters_in(encoder))

        with memory_errors(f"loading {name_or_path}", LESS_MEMORY):
            given = name_or_path, place, precision, progress
            loaded = load_model(*given, memory_mode=mode, adapter=adapter, make_room=make_room)
        return cls(**vars(loaded))

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.compute_dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all weights in memory, the text encoder's too while it is loaded."""
        parts = (*self.transformer.parameters(), *self.tokenizer.parameters())
        weights = sum(part.numel() * part.element_size() for part in parts)
        return weights + self.text_encoder.nbytes

    def stream(
        self,
        request: GenerationRequest,
        *,
        cancel: threading.Event | None = None,
        previews: PreviewPolicy = "live",
        refine: bool = False,
        only: int | None = None,
        scorer: Scorer | None = None,
    ) -> Iterator[Event]:
        """Draw a request's pictures: a ``Preview`` a scale, then ``Done``; or ``Cancelled``.

        Args:
            cancel: set it, from any thread, to stop before the next scale.
            previews: "off"; "live": whole decodings of every scale where all are quick, else rough ones
                under 15% of the time; "full": whole decodings, whatever they cost.
            refine: with live previews, go on after ``Done``: a ``Refined`` for every scale whose
                preview was rough.
            only: give back this picture of the request alone, from 0: the very one that it is among them.
            scorer: chooses among candidates, in place of the one that the request names.

        Raises:
            RequestError: at once, for what this model cannot do.
            ResourceError: while running, out of memory.
        """
        request = self.check(request, scorer)
        if previews not in PREVIEW_POLICIES:
            known = ", ".join(PREVIEW_POLICIES)
            raise RequestError(f"previews must be one of {known}, not {previews!r}.")
        cancel = cancel or threading.Event()
        return self._stream(request, cancel, previews, refine, only, scorer)

    def prepare_previews(self) -> None:
        """Do now what the first request with live previews would wait for."""
        self._drawing.preview_decoder.prepare(self.spec.schedule(self.spec.aspect_ratios[0]))

    def warm_up(self) -> bool:
        """Compile and record the fused kernels of one picture of the first aspect ratio, if there are to be any;
        whether there are. All else is drawn in eager mode."""
        return self._drawing.warm_up(
            self.spec.schedule(self.spec.aspect_ratios[0]), self.spec.sampling
        )

    def generate(self, request: GenerationRequest, only: int | None = None) -> Done:
        """Draw a request's pictures, or one of them, without previews. Raises as ``stream``."""
        events = self.stream(request, previews="off", only=only)
        return next(event for event in events if isinstance(event, Done))

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> tuple[Done, ...]:
        """Draw many prompts in one pass; results in the same order.

        Each picture equals the one ``generate`` draws up to the rounding of larger matrix products,
        which now and then flips a bit. Seconds are those of the whole batch.

        Raises:
            RequestError: no requests, one that the model cannot do, or requests that differ in
                aspect ratio or sampling settings. Otherwise as ``stream``.
        """
        if not requests:
            raise RequestError("A batch needs at least one request.")
        resolved = [self.check(request) for request in requests]
        shapes = {(r.aspect_ratio, r.sampling(self.spec.sampling)) for r in resolved}
        if any(request.candidates > 1 for request in resolved):
            raise RequestError("A batch draws no candidates; draw those requests by themselves.")
        if len(shapes) > 1:
            raise RequestError(
                "The requests of a batch must share aspect ratio and sampling settings; "
                "run those that differ one after another."
            )
        started_s = time.perf_counter()
        encoded = [self.read(request) for request in resolved]
        text_seconds = time.perf_counter() - started_s
        ((aspect_ratio, sampling),) = shapes
        inputs = [picture for pictures, _ in encoded for picture in pictures]
        schedule = self.spec.schedule(aspect_ratio)
        events = self._drawing.draw(
            inputs, schedule, sampling, threading.Event(), "off", together=True
        )
        drawn = next(event for event in events if isinstance(event, Drawn))
        firsts = itertools.accumulate((len(pictures) for pictures, _ in encoded), initial=0)
        return tuple(
            finished(self._record(one), one.pictures(), drawn, text_seconds, notes, read, first)
            for one, (read, notes), first in zip(resolved, encoded, firsts, strict=False)
        )

    def check(self, request: GenerationRequest, scorer: Scorer | None = None) -> GenerationRequest:
        """The request with every setting spelled out.

        Raises:
            RequestError: an aspect ratio, a guidance layer or a scale that the model does not have, or
                candidates among which nobody chooses.
        """
        request = check_candidates(request, self.spec, scorer)
        resolved = request.resolved(self.spec.sampling)
        check_layers(resolved.sampling(self.spec.sampling), self.transformer.config.depth)
        self._revision(request)
        return resolved

    def _revision(self, request: GenerationRequest) -> Revision | None:
        if request.start is None:
            return None
        schedule = self.spec.schedule(request.aspect_ratio)
        return Revision(request.start, schedule, self.tokenizer.config)

    def reconstruct(self, image: Image.Image, aspect_ratio: str | None = None) -> Reconstruction:
        """A picture of any size and mode through the tokenizer and back, scaled to cover the model's size of an
        aspect ratio, None for the nearest, then cropped. Raises RequestError for an aspect ratio the model does
        not have, ResourceError out of memory."""
        with memory_errors("reconstructing", LESS_MEMORY):
            return reconstruction.reconstruct(self.spec, self.tokenizer, image, aspect_ratio)

    def decode(self, bits: str, aspect_ratio: str) -> Reconstruction:
        """The picture of some bits (``infinity.packing``). Raises as :meth:`reconstruct`, also for bits of
        another model or aspect ratio."""
        schedule = self.spec.schedule(aspect_ratio)
        unpacked = unpack_bits(bits, schedule, self.tokenizer.config.bits_per_token)
        arrays = tuple(bits_lD.numpy() for bits_lD in unpacked)
        with memory_errors("decoding", LESS_MEMORY):
            image = reconstruction.decode(self.tokenizer, arrays, schedule)
        return Reconstruction(image, image, arrays, aspect_ratio)

    def measure(self, rebuilt: Reconstruction) -> Iterator[ReconstructedScale]:
        """A reconstruction scale by scale, as it is measured. Raises ResourceError: out of memory."""
        with memory_errors("reconstructing", LESS_MEMORY):
            schedule = self.spec.schedule(rebuilt.aspect_ratio)
            yield from reconstruction.measure_scales(self.tokenizer, rebuilt, schedule)

    def run(self, work: Callable[..., Iterator[Any]], *arguments: Any) -> Generator[Any]:
        """What ``work(self, *arguments)`` yields, a module's function of plain things: it is done where the
        weights are, which may be another process (``infinity.ui.server.spaces``)."""
        yield from work(self, *arguments)

    def _stream(
        self,
        request: GenerationRequest,
        cancel: threading.Event,
        previews: PreviewPolicy,
        refine: bool,
        only: int | None,
        scorer: Scorer | None,
    ) -> Iterator[Event]:
        started_s = time.perf_counter()
        pictures, notes = self.read(request)
        text_seconds = time.perf_counter() - started_s
        schedule = self.spec.schedule(request.aspect_ratio)
        sampling = request.sampling(self.spec.sampling)
        arguments = pictures, schedule, sampling, cancel, previews
        revision = self._revision(request)
        selection = select(request, self.spec, scorer)
        is_one_pass = self._drawing.is_on_gpu and request.num_images > 1 and selection is None
        shown = slice(None) if only is None else slice(only, only + 1)
        begun = {"revision": revision, "selection": selection, "only": only}
        for event in self._drawing.draw(*arguments, **begun):
            if isinstance(event, Drawn):
                if revision is not None:
                    notes += revision.notes(event.bits)
                batch = request if is_one_pass else None
                found = request.pictures()[shown], event, text_seconds, notes, pictures[shown]
                done = finished(self._record(request), *found, batch=batch, selection=selection)
                self.recent.put(done)
                yield done
                if refine:
                    yield from self._drawing.refine(event, cancel)
            else:
                yield event

    def read(self, request: GenerationRequest) -> tuple[list[PictureInputs], tuple[str, ...]]:
        """Encode a request's prompts; the notes say what the user should know about them."""
        with memory_errors("reading the prompt", LESS_MEMORY):
            read = read_pictures(request, self.spec, self.text_encoder)
        if self.memory_mode.release_text:
            self.text_encoder.release()
        return read

    def _record(self, request: GenerationRequest) -> PictureRecord:
        return PictureRecord(
            request=request,
            model=self.spec.name,
            weights=self.fingerprint,
            device=describe_device(self.device),
            dtype=dtype_name(self.dtype),
            memory=str(self.memory_mode),
            threads=torch.get_num_threads(),
            versions={"infinity": __version__, "torch": torch.__version__},
        )
