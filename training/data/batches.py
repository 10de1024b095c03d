"""Batches for the training loop: pure functions of the step, loaded ahead by worker processes.

Legend: B samples, H W pixels, l tokens of a scale, D bits a token.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from infinity.devices import resolve_device
from infinity.errors import InfinityError, RequestError
from infinity.images import covering, rgb
from training.config.settings import DataSettings, TrainingConfig
from training.config.world_settings import WorldSettings
from training.data.captions import draw_caption, names_a_side
from training.data.catalog import Catalog
from training.data.errors import DataError
from training.data.held_out import chosen, split
from training.data.plan import BatchPlan
from training.data.records import Batch, Record, Skip, skip_of
from training.data.report import SkipReport
from training.data.source import Source, open_source

logger = logging.getLogger(__name__)

ATTEMPTS = 20
"""Records tried for one sample before the data is called unusable."""

_PREFETCHED = 2  # batches a worker


@dataclass(frozen=True)
class Order:
    """One rank's part of a step: bucket, places in it, and the first place in the global batch."""

    step: int
    aspect_ratio: str
    places: Sequence[int] | np.ndarray
    first: int


def open_data(config: TrainingConfig) -> tuple[Source, BatchPlan]:
    """The configured sources, without what is held out, and the plan of their batches.

    Raises:
        DataError: see :func:`open_source`.
    """
    source, endless = _opened(config, config.data)
    if config.data.held_out and not endless:
        source = replace(source, buckets=split(source.buckets, config.data.held_out)[0])
    source = source.repeated()
    shuffle = config.data.shuffle and not endless
    plan = BatchPlan(source.sizes, config.optimization.batch_size, config.seed, shuffle=shuffle)
    return source, plan


def open_held_out(config: TrainingConfig) -> Source:
    """The pictures a run is tested on, at most about ``logging.validation_samples`` of them.

    Of a world, which is endless, they are its last ones; no run gets that far.

    Raises:
        DataError: see :func:`open_source`; nothing is held out.
    """
    data, samples = config.data, config.logging.validation_samples
    if data.held_out_sources:
        data = data.model_copy(update={"sources": data.held_out_sources, "repeats": ()})
    data = data.model_copy(update={"world": WorldSettings()})
    source, endless = _opened(config, data)
    buckets = source.buckets
    if endless:
        buckets = {ratio: members[-samples:] for ratio, members in buckets.items()}
    elif config.data.held_out:
        buckets = split(buckets, config.data.held_out)[1]
    return replace(source, buckets=chosen(buckets, samples))


def _opened(config: TrainingConfig, settings: DataSettings) -> tuple[Source, bool]:
    """The sources of some settings, all checked against the run; whether they are endless."""
    schedules = config.schedules
    squarest = min(
        schedules, key=lambda ratio: abs(np.subtract(*config.image_size(ratio))), default=""
    )
    if config.task == "tokenizer":
        settings = settings.model_copy(update={"captions": False})
    source = open_source(
        settings,
        schedules,
        picture_side=max(config.image_size(squarest)) if squarest else 0,
        seed=config.seed,
    )
    for part in source.parts:
        if not isinstance(part, Catalog):
            part.check(config)
    if source.endless:
        return replace(source, buckets={squarest: range(len(source))}), True
    missing = len(source) - sum(source.sizes.values())
    if missing:
        raise DataError(
            f"{missing} prepared samples have aspect ratios that are not trained; prepare the data "
            "for this resolution, or train all of its aspect ratios."
        )
    return source, False


def batches(
    config: TrainingConfig,
    *,
    start_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
    report: SkipReport | None = None,
) -> Iterator[Batch]:
    """This rank's slices of the global batches of steps ``start_step`` to the last.

    Args:
        report: filled with what this rank skips while loading (``Source.report`` has what listing
            skipped); logged after every pass and at the end.

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
    report = SkipReport() if report is None else report
    if rank == 0:
        for line in source.report.lines():
            logger.info("data listed: %s", line)
    share, steps = size // world_size, range(start_step, config.optimization.steps)
    loader: DataLoader[Batch | InfinityError] = DataLoader(
        BatchBuilder(config, source, plan),
        sampler=_orders(plan, steps, rank * share, share),
        batch_size=None,
        num_workers=config.data.workers,
        prefetch_factor=_PREFETCHED if config.data.workers else None,
        pin_memory=resolve_device().type == "cuda",
    )
    return _checked(loader, plan, report, config.data.skip_tolerance)


def _checked(
    loader: DataLoader[Batch | InfinityError], plan: BatchPlan, report: SkipReport, tolerance: float
) -> Iterator[Batch]:
    now = None
    try:
        for batch in loader:
            if isinstance(batch, InfinityError):
                raise batch
            if now is not None and plan.cycle(batch.step) != now:
                logger.info("pass %d ends: %s", now + 1, "; ".join(report.lines()))
            now = plan.cycle(batch.step)
            report.add(len(batch) + len(batch.skipped), batch.skipped)
            report.require(tolerance, complete=False)
            yield batch
    finally:
        logger.info("data loaded: %s", "\n".join(report.lines()))


def _orders(plan: BatchPlan, steps: range, first: int, share: int) -> Iterator[Order]:
    """The steps of one rank, in turn."""
    for step in steps:
        ratio, places = plan.indices(step)
        yield Order(step, ratio, places[first : first + share], first)


@dataclass(frozen=True)
class _Sample:
    record: Record
    caption: tuple[int, str]
    pixels_HWC: np.ndarray | None


class BatchBuilder(Dataset["Batch | InfinityError"]):
    """Orders -> batches. Runs in worker processes; errors come back as values, in one sentence."""

    def __init__(self, config: TrainingConfig, source: Source, plan: BatchPlan) -> None:
        self.config, self.source, self.plan = config, source, plan

    def __getitem__(self, order: Order) -> Batch | InfinityError:
        skips: list[Skip] = []
        try:
            samples = [
                self._sample(order, order.first + number, int(place), skips)
                for number, place in enumerate(order.places)
            ]
            return self._batch(order, samples, tuple(skips))
        except InfinityError as error:
            return error

    def _sample(self, order: Order, position: int, place: int, skips: list[Skip]) -> _Sample:
        members = self.source.buckets[order.aspect_ratio]
        for attempt in range(ATTEMPTS):
            if attempt:
                place = self.plan.replacement(order.aspect_ratio, order.step, position, attempt)
            record = self.source.record(int(members[place]))
            random = self.plan.sample_random(order.step, position)
            caption = draw_caption(
                record.captions, self.config.data.short_caption_probability, random
            )
            if record.load is None:
                return _Sample(record, caption, None)
            try:
                pixels = self._pixels(record.load(), order.aspect_ratio, caption[1], random)
                return _Sample(record, caption, pixels)
            except (RequestError, DataError) as error:
                skips.append(skip_of(record.key, error))
        raise DataError(
            f"{ATTEMPTS} records in a row cannot be used (last: {skips[-1]}); "
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

    def _batch(self, order: Order, samples: list[_Sample], skips: tuple[Skip, ...]) -> Batch:
        prepared = [sample.record.prepared for sample in samples]
        pictures = [sample.pixels_HWC for sample in samples]
        bits = latents = features = None
        ready = [part for part in prepared if part is not None]
        if ready:
            schedule = self.config.schedules[order.aspect_ratio]
            bits_BLD = torch.stack([part.bits for part in ready])
            bits = tuple(bits_BLD[:, schedule.span(i)] for i in range(len(schedule)))
            latents = _stacked([part.latent_dyx for part in ready])
            texts = [part.texts for part in ready]
            if all(text is not None for text in texts) and not self.config.text_encoder.train:
                features = tuple(
                    text[sample.caption[0]]  # type: ignore[index]
                    for text, sample in zip(texts, samples, strict=True)
                )
        shown = [torch.from_numpy(pixels) for pixels in pictures if pixels is not None]
        return Batch(
            step=order.step,
            aspect_ratio=order.aspect_ratio,
            captions=tuple(sample.caption[1] for sample in samples),
            keys=tuple(sample.record.key for sample in samples),
            positions=tuple(range(order.first, order.first + len(samples))),
            pictures_u8=torch.stack(shown).permute(0, 3, 1, 2).contiguous() if shown else None,
            bits=bits,
            latents=latents,
            features=features,
            skipped=skips,
        )


def _stacked(tensors: list[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(present) if len(present) == len(tensors) else None
