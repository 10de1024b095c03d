"""Which records make up the batch of a step: a pure function of the step number.

Each bucket (aspect ratio) is an endless sequence: its records in one random order, then in another,
and so on; its batches cut that sequence without gap or overlap. A cycle gives every bucket its share
of batches, about one pass over the data, in random order. So a run resumes anywhere by its step
alone, and every record comes up exactly once a pass of its bucket.
"""

from bisect import bisect_right
from collections.abc import Mapping

import numpy as np

_CYCLE, _ORDER, _SAMPLE = range(3)  # keep the draws of one purpose apart from the others'


class BatchPlan:
    """The batches of a run.

    Args:
        sizes: records a bucket, by aspect ratio; empty buckets never come up.
        batch_size: samples of a global batch.
        shuffle: else records come in the order they were read in, bucket after bucket.
        endless: every other batch is of the first bucket, and the others take turns; a step's records
            have the same places in any of them.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        batch_size: int,
        seed: int,
        *,
        shuffle: bool = True,
        endless: bool = False,
    ) -> None:
        self.sizes = {ratio: size for ratio, size in sizes.items() if size}
        if not self.sizes:
            raise ValueError("a plan needs at least one record")
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.endless = endless
        self._ratios = tuple(self.sizes)
        self._last: dict[tuple[int, ...], tuple[int, np.ndarray]] = {}

    def cycle(self, step: int) -> int:
        """The pass over the data that a step belongs to."""
        total, buckets = sum(self.sizes.values()), len(self.sizes)
        least = step * self.batch_size // total
        most = least + (buckets + 1) * self.batch_size // total + 2
        return bisect_right(range(least, most + 1), step, key=self._steps_before) - 1 + least

    def indices(self, step: int) -> tuple[str, np.ndarray]:
        """The bucket of a step and the places in it of its ``batch_size`` records, int64."""
        if self.endless:
            others = len(self._ratios) - 1
            turn = 1 + step // 2 % others if others and step % 2 else 0
            return self._ratios[turn], np.arange(self.batch_size) + step * self.batch_size
        cycle = self.cycle(step)
        number = step - self._steps_before(cycle)
        first = [self._batches_before(cycle, ratio) for ratio in self._ratios]
        last = [self._batches_before(cycle + 1, ratio) for ratio in self._ratios]
        counts = np.subtract(last, first)
        if self.shuffle:
            turns = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
            turns = self._permuted((_CYCLE,), cycle, turns)
            bucket = int(turns[number])
            batch = first[bucket] + int(np.count_nonzero(turns[:number] == bucket))
        else:
            ends = counts.cumsum()
            bucket = int(np.searchsorted(ends, number, side="right"))
            batch = last[bucket] + number - int(ends[bucket])
        return self._ratios[bucket], self._places(bucket, batch)

    def replacement(self, ratio: str, step: int, position: int, attempt: int) -> int:
        """The place in the bucket of the record that stands in for an unusable one."""
        random = np.random.default_rng((self.seed, _SAMPLE, step, position, attempt))
        return int(random.integers(self.sizes[ratio]))

    def sample_random(self, step: int, position: int) -> np.random.Generator:
        """The source of a sample's draws, such as its caption's."""
        return np.random.default_rng((self.seed, _SAMPLE, step, position))

    def _batches_before(self, cycle: int, ratio: str) -> int:
        return cycle * self.sizes[ratio] // self.batch_size

    def _steps_before(self, cycle: int) -> int:
        return sum(self._batches_before(cycle, ratio) for ratio in self._ratios)

    def _places(self, bucket: int, batch: int) -> np.ndarray:
        size = self.sizes[self._ratios[bucket]]
        numbers = np.arange(self.batch_size, dtype=np.int64) + batch * self.batch_size
        passes, places = np.divmod(numbers, size)
        if not self.shuffle:
            return places
        return np.concatenate(
            [
                self._permuted((_ORDER, bucket), int(each), size)[places[passes == each]]
                for each in np.unique(passes)
            ]
        )

    def _permuted(
        self, purpose: tuple[int, ...], number: int, items: int | np.ndarray
    ) -> np.ndarray:
        """``items``, or so many numbers, in the random order of a cycle or pass; the last one is kept."""
        if purpose not in self._last or self._last[purpose][0] != number:
            random = np.random.default_rng((self.seed, *purpose, number))
            self._last[purpose] = number, random.permutation(items)
        return self._last[purpose][1]
