from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.plan import BatchPlan

SIZES = st.dictionaries(st.sampled_from(["1:1", "3:2", "2:3", "16:9"]), st.integers(0, 40)).filter(
    lambda sizes: any(sizes.values())
)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, batch_size=st.integers(1, 12), seed=st.integers(0, 5), shuffle=st.booleans())
def test_every_pass_of_a_bucket_has_each_record_once(sizes, batch_size, seed, shuffle):
    plan = BatchPlan(sizes, batch_size, seed, shuffle=shuffle)
    steps = 3 * sum(sizes.values()) // batch_size + 3
    drawn = [plan.indices(step) for step in range(steps)]
    for ratio, size in sizes.items():
        batches = [places.tolist() for name, places in drawn if name == ratio]
        assert size or not batches
        flat = [place for batch in batches for place in batch]
        for start in range(0, len(flat) - size + 1, size or 1):
            assert sorted(flat[start : start + size]) == list(range(size))
        assert len(set(flat[len(flat) // (size or 1) * size :])) == len(flat) % (size or 1)
        if not shuffle:  # bucket after bucket, in order
            assert flat == [number % size for number in range(len(flat))]


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, batch_size=st.integers(1, 12), data=st.data())
def test_step_is_the_same_in_any_order_and_from_any_start(sizes, batch_size, data):
    forward = BatchPlan(sizes, batch_size, 3)
    wanted = [forward.indices(step) for step in range(30)]
    order = data.draw(st.permutations(range(30)))
    other = BatchPlan(sizes, batch_size, 3)
    for step in order:
        ratio, places = other.indices(step)
        assert ratio == wanted[step][0]
        assert np.array_equal(places, wanted[step][1])


def test_one_bucket_is_cut_without_holes_or_duplicates():
    plan = BatchPlan({"1:1": 10}, 4, 0)
    sequence = np.concatenate([plan.indices(step)[1] for step in range(5)])
    assert sorted(sequence[:10]) == sorted(sequence[10:]) == list(range(10))
    assert not np.array_equal(sequence[:10], sequence[10:])


def test_buckets_come_up_in_proportion_within_every_cycle():
    plan = BatchPlan({"1:1": 300, "3:2": 100, "2:3": 6}, 5, 1)
    names = Counter(plan.indices(step)[0] for step in range(81))
    assert names == {"1:1": 60, "3:2": 20, "2:3": 1}
    first = [plan.indices(step)[0] for step in range(20)]
    assert len(set(first)) > 1, "buckets are mixed"


def test_seed_changes_the_order():
    first, second = (BatchPlan({"1:1": 50}, 50, seed).indices(0)[1] for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert sorted(first) == sorted(second)


def test_far_steps_and_endless_data_cost_nothing():
    plan = BatchPlan({"1:1": 2**60}, 16, 0, shuffle=False)
    assert plan.indices(10**9)[1].tolist() == list(range(16 * 10**9, 16 * 10**9 + 16))
    assert BatchPlan({"1:1": 7, "3:2": 5}, 3, 0).indices(10**12)[0] in ("1:1", "3:2")


def test_replacements_and_draws_depend_on_step_and_place_alone():
    plan = BatchPlan({"1:1": 1000}, 4, 0)
    found = [plan.replacement("1:1", 5, 2, attempt) for attempt in range(1, 5)]
    assert found == [
        BatchPlan({"1:1": 1000}, 4, 0).replacement("1:1", 5, 2, a) for a in range(1, 5)
    ]
    assert len(set(found)) > 1
    draws = {plan.sample_random(step, place).random() for step in (0, 1) for place in (0, 1)}
    assert len(draws) == 4


def test_plan_without_records_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        BatchPlan({"1:1": 0}, 4, 0)
