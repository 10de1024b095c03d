import pytest

from infinity.generation.previews import PREVIEW_SHARE, DecodeCosts, PreviewBudget
from infinity.schedule import schedule_for

SQUARE = [scale.tokens for scale in schedule_for("1:1", "1M")]


def simulate(positions, decode_cost, model_cost, costs=None, pictures=1, expected_seconds=0.0):
    """Run a request on an invented clock: (sizes shown, preview, model, all other seconds)."""
    costs = costs or DecodeCosts()
    budget = PreviewBudget(positions, pictures, costs, expected_seconds)
    model = 0.0
    shown = []
    for index, size in enumerate(positions):
        model += model_cost(size)
        budget.step(model_cost(size), index)
        if index == len(positions) - 1:
            break
        chosen = budget.choose(index)
        shown.append(chosen)
        if chosen is not None:
            seconds = decode_cost(pictures * positions[chosen])
            costs.observe(pictures * positions[chosen], seconds)
            budget.spend(seconds)
    final = pictures * decode_cost(positions[-1])
    costs.observe(positions[-1], decode_cost(positions[-1]))
    return shown, budget.spent_seconds, model, model + final


MACHINES = {
    "decoding dear": (lambda n: 0.02 + 0.011 * n, lambda n: 0.1 + 0.005 * n),
    "decoding cheap": (lambda n: 0.002 + 1e-5 * n, lambda n: 0.05 + 0.005 * n),
    "decoding most of all": (lambda n: 0.05 + 0.02 * n, lambda n: 0.001 + 0.0001 * n),
    "all overhead": (lambda n: 0.002, lambda n: 0.02),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("pictures", [1, 4])
def test_previews_stay_within_their_share_once_costs_are_known(machine, pictures):
    decode, model = MACHINES[machine]
    costs = DecodeCosts()
    seconds = simulate(SQUARE, decode, model, costs, pictures)[2]
    for _ in range(3):
        shown, spent, _, others = simulate(SQUARE, decode, model, costs, pictures, seconds)
        assert spent <= PREVIEW_SHARE * others
    assert any(size is not None for size in shown)


@pytest.mark.parametrize("machine", MACHINES)
def test_first_request_ever_stays_within_the_share_but_for_its_first_try(machine):
    decode, model = MACHINES[machine]
    _, spent, _, others = simulate(SQUARE, decode, model)
    assert spent <= PREVIEW_SHARE * others + decode(SQUARE[0])


def test_cheap_decoding_shows_every_scale_at_its_own_size():
    decode, model = MACHINES["decoding cheap"]
    shown, *_ = simulate(SQUARE, decode, model)
    assert shown == list(range(len(SQUARE) - 1))


def test_dear_scales_are_shown_at_an_earlier_scales_size():
    decode, model = MACHINES["decoding dear"]
    costs = DecodeCosts()
    seconds = simulate(SQUARE, decode, model, costs)[2]
    shown, *_ = simulate(SQUARE, decode, model, costs, expected_seconds=seconds)
    assert shown[:4] == [0, 1, 2, 3]
    assert all(size is not None and SQUARE[size] >= 36 for size in shown[4:])
    assert shown[-1] < len(SQUARE) - 2


def test_hopelessly_dear_previews_are_left_out():
    shown, spent, *_ = simulate([1, 4, 9], lambda n: 10.0, lambda n: 0.01, DecodeCosts({1: 10.0}))
    assert shown == [None, None]
    assert spent == 0


def test_decode_cost_between_known_sizes_lies_between_their_costs():
    costs = DecodeCosts()
    assert costs.predict(100) == 0
    costs.observe(16, 1.0)
    assert costs.predict(64) == pytest.approx(2.5)
    costs.observe(100, 3.0)
    assert costs.predict(58) == pytest.approx(2.0)
    assert costs.predict(400) > 3.0
    assert costs.predict(4) < 1.0


def test_decode_cost_forgets_a_slow_first_try():
    costs = DecodeCosts()
    costs.observe(16, 5.0)
    costs.observe(16, 1.0)
    assert costs.predict(16) == 1.0
    costs.observe(16, 2.0)
    assert 1.0 < costs.predict(16) < 2.0
