"""The held-out pictures as batches: the same samples in the same order on any number of processes."""

from collections.abc import Iterator

from infinity.errors import InfinityError
from training.config.settings import TrainingConfig
from training.data.batches import BatchBuilder, Order, open_held_out
from training.data.plan import BatchPlan
from training.data.records import Batch
from training.data.report import SkipReport


class HeldOut:
    """This process's slices of the held-out pictures, again and again.

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

    def __len__(self) -> int:
        """Samples over all processes."""
        return sum(self._builder.source.sizes.values())

    def __iter__(self) -> Iterator[tuple[Batch, bool]]:
        """(slice, whether it counts) pairs.

        Raises:
            DataError: hardly any of the pictures can be used.
        """
        position = 0
        for ratio, size in self._builder.source.sizes.items():
            for start in range(0, size, self._size):
                count = min(self._size, size - start)
                first, last = ((self._rank + one) * count // self._world_size for one in range(2))
                counts = first < last
                places = range(start + first, start + last) if counts else range(start, start + 1)
                order = Order(0, ratio, places, position + (first if counts else 0))
                batch = self._builder[order]
                if isinstance(batch, InfinityError):
                    raise batch
                if self._report is not None:
                    self._report.add(len(batch) + len(batch.skipped), batch.skipped)
                yield batch, counts
                position += count
        self._report = None  # broken pictures are reported once
