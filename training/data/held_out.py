"""Which pictures are kept from training, and which of them a run is tested on: always the same ones."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from training.data.errors import DataError

Members: TypeAlias = "np.ndarray | range"
"""Numbers of the records of a bucket."""
Buckets: TypeAlias = "Mapping[str, Members]"
"""Aspect ratio -> its records."""

_SPLIT, _CHOICE = 1, 2  # keep the draws of one purpose apart from the other's


def split(buckets: Buckets, share: float) -> tuple[Buckets, Buckets]:
    """(trained on, held out): a random ``share`` of each aspect ratio is held out.

    It depends on the records alone, not on a run's seed, so that what one run is tested on the next
    one, which goes on from it, is not trained on either.

    Raises:
        DataError: the share is less than one picture.
    """
    trained: dict[str, Members] = {}
    held_out: dict[str, Members] = {}
    for number, (ratio, members) in enumerate(buckets.items()):
        size = len(members)
        count = min(round(size * share), max(0, size - 1))
        order = np.random.default_rng((_SPLIT, number, size)).permutation(size)
        records = np.asarray(members)
        held_out[ratio] = records[np.sort(order[:count])]
        trained[ratio] = records[np.sort(order[count:])]
    if not any(map(len, held_out.values())):
        total = sum(map(len, buckets.values()))
        raise DataError(
            f"data.held_out {share:g} of {total} pictures is none; raise it, or name pictures in "
            "data.held_out_sources."
        )
    return trained, held_out


def chosen(buckets: Buckets, samples: int) -> Buckets:
    """About ``samples`` records, of each aspect ratio in proportion, at least one where there is any."""
    total = sum(map(len, buckets.values()))
    if total <= samples:
        return buckets
    few: dict[str, Members] = {}
    for number, (ratio, members) in enumerate(buckets.items()):
        count = min(len(members), max(1, len(members) * samples // total))
        order = np.random.default_rng((_CHOICE, number, len(members))).permutation(len(members))
        few[ratio] = np.asarray(members)[np.sort(order[:count])]
    return few
