import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinity.errors import RequestError
from infinity.schedule import (
    ASPECT_RATIOS,
    HEIGHT_OVER_WIDTH,
    PIXEL_BUDGETS,
    Scale,
    ScaleSchedule,
    nearest_aspect_ratio,
    schedule_for,
)

EVERY = [(ratio, budget) for ratio in ASPECT_RATIOS for budget in PIXEL_BUDGETS]


@pytest.mark.parametrize(("ratio", "budget"), EVERY)
def test_table_entry_has_its_shape_and_size(ratio, budget):
    schedule = schedule_for(ratio, budget)
    assert len(schedule) == PIXEL_BUDGETS[budget]
    assert schedule[0] == Scale(1, 1)
    assert schedule.rope_grid == schedule_for(ratio, "1M")[-1]
    width, height = (float(side) for side in ratio.split(":"))
    last = schedule[-1]
    assert last.height / last.width == pytest.approx(height / width, rel=0.2)
    assert last.height / last.width == pytest.approx(HEIGHT_OVER_WIDTH[ratio], rel=0.2)


@pytest.mark.parametrize("ratio", ASPECT_RATIOS)
def test_smaller_budget_is_a_prefix_of_a_larger_one(ratio):
    full = schedule_for(ratio, "1M")
    for budget, length in PIXEL_BUDGETS.items():
        assert schedule_for(ratio, budget) == full.prefix(length)


def test_square_1m_is_the_published_one():
    schedule = schedule_for("1:1", "1M")
    assert [scale.height for scale in schedule] == [1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64]
    assert schedule.total_tokens == 10_521
    assert schedule.image_size(16) == (1024, 1024)
    assert schedule.latent_size(12, 2) == (128, 128)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6))
def test_spans_tile_the_whole_sequence(steps):
    height = width = 0
    scales = []
    for more_height, more_width in steps:
        height, width = height + more_height, width + more_width
        scales.append((height, width))
    schedule = ScaleSchedule(scales)
    positions = [
        p for i in range(len(schedule)) for p in range(schedule.total_tokens)[schedule.span(i)]
    ]
    assert positions == list(range(schedule.total_tokens))
    assert [s.stop - s.start for s in map(schedule.span, range(len(schedule)))] == [
        scale.tokens for scale in schedule
    ]
    assert ScaleSchedule.from_dict(schedule.to_dict()) == schedule


@pytest.mark.parametrize(
    ("scales", "grid", "sentence"),
    [
        ([], None, "at least one scale"),
        ([(2, 2), (1, 4)], None, "must not shrink"),
        ([(0, 1)], None, "at least one token"),
        ([(1, 1), (4, 4)], (3, 8), "rope grid 3x8 is smaller"),
    ],
)
def test_impossible_schedules_are_refused(scales, grid, sentence):
    with pytest.raises(RequestError, match=sentence):
        ScaleSchedule(scales, grid)


def test_prefix_keeps_the_rope_grid_and_refuses_other_lengths():
    schedule = ScaleSchedule([(1, 1), (2, 2), (4, 4)])
    assert schedule.prefix(2) == ScaleSchedule([(1, 1), (2, 2)], (4, 4))
    for length in (0, 4):
        with pytest.raises(RequestError, match="A prefix has 1 to 3 scales"):
            schedule.prefix(length)


def test_unknown_ratio_or_budget_is_refused_with_the_known_ones():
    with pytest.raises(RequestError, match="Unknown aspect ratio '9:16'; choose one of 1:1"):
        schedule_for("9:16", "1M")
    with pytest.raises(RequestError, match=r"'2M'; choose one of 0\.06M"):
        schedule_for("1:1", "2M")


@pytest.mark.parametrize(
    ("height", "width", "name"),
    [(512, 512, "1:1"), (1080, 1920, "7:4"), (1920, 1080, "4:7"), (10, 1, "1:3"), (1, 10, "3:1")],
)
def test_nearest_ratio_is_written_width_to_height(height, width, name):
    assert nearest_aspect_ratio(height, width) == name


@pytest.mark.parametrize("side", [0, -1, float("nan"), float("inf")])
def test_nearest_ratio_of_no_size_is_refused(side):
    with pytest.raises(RequestError, match="must be positive"):
        nearest_aspect_ratio(side, 1)
