"""Batches for the training loop: pure functions of the step, loaded ahead by worker processes.

Legend: B samples, H W pixels, l tokens of a scale, D bits a token.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from infinity.devices import resolve_device
from infinity.errors import InfinityError
from infinity.images import covering, rgb
from training.config.settings import TrainingConfig
from training.data.captions import draw_caption, names_a_side
from training.data.errors import UNREADABLE, DataError, Skip, SkipReport, skip_of
from training.data.plan import BatchPlan
from training.data.records import Batch, Record
from training.data.source import Source, open_data, open_held_out

logger = logging.getLogger(__name__)

ATTEMPTS = 20
"""Records tried for one sample before the data is called unusable."""

_PREFETCHED = 2  # batches a worker


def batches(
    config: TrainingConfig,
    *,
    start_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """This rank's slices of the global batches of steps ``start_step`` to the last.

    What listing skipped is logged first, what loading skips after the first pass and at the end.

    Raises:
        DataError: see :func:`open_source`; too many records turn out to be unusable.
    """
    size = config.optimization.batch_size
    if size % world_size:
        raise DataError(
            f"A batch of {size} cannot be shared equally by {world_size} processes; set "
            f"optimization.batch_size to a multiple of {world_size}."
        )
    source, plan = open_data(config)
    if rank == 0:
        for line in source.report.lines():
            logger.info("data listed: %s", line)
    device = resolve_device().type
    workers = config.data.workers_on(device)
    share = size // world_size
    first = rank * share
    drawn = ((step, *plan.indices(step)) for step in range(start_step, config.optimization.steps))
    loader: DataLoader[Batch | InfinityError] = DataLoader(
        BatchBuilder(config, source, plan),
        sampler=(
            Order(step, ratio, places[first : first + share], first)
            for step, ratio, places in drawn
        ),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=_PREFETCHED if workers else None,
        pin_memory=device == "cuda",
    )
    return _checked(loader, plan, config.data.skip_tolerance)


def _checked(
    loader: DataLoader[Batch | InfinityError], plan: BatchPlan, tolerance: float
) -> Iterator[Batch]:
    report, now = SkipReport(), None
    try:
        for batch in loader:
            if isinstance(batch, InfinityError):
                raise batch
            before, now = now, plan.cycle(batch.step)
            if (before, now) == (0, 1):  # a small set has thousands of passes
                logger.info("pass 1 ends: %s", "; ".join(report.lines()))
            report.add(len(batch) + len(batch.skipped), batch.skipped)
            report.require(tolerance, complete=False)
            yield batch
    finally:
        logger.info("data loaded: %s", "\n".join(report.lines()))


class Order(NamedTuple):
    """One rank's part of a step: bucket, places in it, and the first place in the global batch."""

    step: int
    aspect_ratio: str
    places: Sequence[int] | np.ndarray
    first: int


_Sample: TypeAlias = "tuple[Record, int, str, np.ndarray | None]"
"""A record, the number of the caption that was drawn of it, the caption, and (H, W, 3) pixels, if any."""


class BatchBuilder(Dataset["Batch | InfinityError"]):
    """Orders -> batches. Runs in worker processes; errors come back as values, in one sentence."""

    def __init__(self, config: TrainingConfig, source: Source, plan: BatchPlan) -> None:
        self.config, self.source, self.plan = config, source, plan

    def __getitem__(self, index: Order) -> Batch | InfinityError:
        skips: list[Skip] = []
        try:
            samples = [
                self._sample(index, position, int(place), skips)
                for position, place in enumerate(index.places, index.first)
            ]
        except InfinityError as error:
            return error
        return Batch(
            step=index.step,
            aspect_ratio=index.aspect_ratio,
            captions=tuple(caption for _, _, caption, _ in samples),
            keys=tuple(record.key for record, *_ in samples),
            positions=tuple(range(index.first, index.first + len(samples))),
            skipped=tuple(skips),
            **self._tensors(samples, index.aspect_ratio),
        )

    def _sample(self, order: Order, position: int, place: int, skips: list[Skip]) -> _Sample:
        members = self.source.buckets[order.aspect_ratio]
        data = self.config.data
        for attempt in range(ATTEMPTS):
            if attempt:
                place = self.plan.replacement(order.aspect_ratio, order.step, position, attempt)
            record = self.source.record(int(members[place]))
            random = self.plan.sample_random(order.step, position)
            drawn = draw_caption(record.captions, data.short_caption_probability, random)
            if record.load is None:
                return record, *drawn, None
            try:
                pixels = self._pixels(record.load(), order.aspect_ratio, drawn[1], random)
                return record, *drawn, pixels
            except UNREADABLE as error:
                skips.append(skip_of(record.key, error))
        raise DataError(
            f"{ATTEMPTS} records in a row cannot be used (last: {skips[-1].text}); "
            "look at the data with python -m training.prepare."
        )

    def _pixels(
        self, picture: Image.Image, ratio: str, caption: str, random: np.random.Generator
    ) -> np.ndarray:
        """(H, W, 3) uint8: cut to size, mirrored or not, by the sample's own draws."""
        data = self.config.data
        mirrored, across, down = random.random(3).tolist()
        place = (across, down) if data.random_crops else (0.5, 0.5)
        pixels = np.array(covering(rgb(picture), *self.config.image_size(ratio), place))
        if mirrored < data.horizontal_flips and not names_a_side(caption):
            pixels = pixels[:, ::-1].copy()
        return pixels

    def _tensors(self, samples: list[_Sample], ratio: str) -> dict[str, Any]:
        """Those of a batch: pictures, or what was prepared of them; all samples have the same."""
        pictures = [pixels for *_, pixels in samples if pixels is not None]
        if pictures:
            pictures_u8 = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
            return {"pictures_u8": pictures_u8}
        schedule = self.config.schedules[ratio]
        bits_BLD = torch.stack([each.bits for each, *_ in samples if each.bits is not None])
        latents = [each.latent_dyx for each, *_ in samples if each.latent_dyx is not None]
        texts = [each.texts[number] for each, number, *_ in samples if each.texts is not None]
        with_texts = len(texts) == len(samples) and not self.config.text_encoder.train
        return {
            "bits": tuple(bits_BLD[:, schedule.span(i)] for i in range(len(schedule))),
            "latents": torch.stack(latents) if len(latents) == len(samples) else None,
            "features": tuple(texts) if with_texts else None,
        }


class HeldOut:
    """This process's slices of the held-out pictures, again and again, alike on any number of processes.

    Every pass gives every process the same number of batches, which sharded models need: where
    there are fewer samples than processes, some get one that is another's and must not count.
    Pictures are read anew in every pass; a broken one is replaced by another, always the same.

    Args:
        config: of a run with ``data.held_out`` or ``data.held_out_sources``.

    Raises:
        DataError: nothing to test on, or unreadable sources.
    """

    def __init__(self, config: TrainingConfig, *, rank: int = 0, world_size: int = 1) -> None:
        as_they_are = {"horizontal_flips": 0.0, "random_crops": False}
        config = config.model_copy(update={"data": config.data.model_copy(update=as_they_are)})
        source = open_held_out(config)
        plan = BatchPlan(source.sizes, 1, config.seed, shuffle=False)
        self._builder = BatchBuilder(config, source, plan)
        self._rank, self._world_size = rank, world_size
        settings = config.optimization
        share = max(1, settings.batch_size // world_size)
        self._size = world_size * min(settings.micro_batch_size or share, share)
        self._report: SkipReport | None = SkipReport()

    def __iter__(self) -> Iterator[tuple[Batch, bool]]:
        """(slice, whether it counts) pairs.

        Raises:
            DataError: hardly any of the pictures can be used.
        """
        before = 0
        for ratio, size in self._builder.source.sizes.items():
            for start in range(0, size, self._size):
                places = range(start, min(start + self._size, size))
                ends = (self._rank, self._rank + 1)
                mine = places[slice(*(end * len(places) // self._world_size for end in ends))]
                read = mine or places[:1]
                batch = self._builder[Order(0, ratio, read, before + read.start)]
                if isinstance(batch, InfinityError):
                    raise batch
                if self._report is not None:
                    self._report.add(len(batch) + len(batch.skipped), batch.skipped)
                yield batch, bool(mine)
            before += size
        self._report = None  # broken pictures are reported once
