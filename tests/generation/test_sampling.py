import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infinity.generation.sampling import at_confidence, sample_bits, seeded_generator
from tests.reference_sampling import bit_probabilities

FINITE = st.floats(-8, 8, allow_nan=False, width=32)
TEMPERATURES = st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.0])
TOP_P = st.sampled_from([0.4, 0.6, 0.9, 0.97, 0.999, 1.0])
TOP_K = st.sampled_from([0, 1, 2, 3, 900])


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(FINITE, min_size=5, max_size=5), min_size=1, max_size=4),
    temperature=TEMPERATURES,
    top_k=TOP_K,
    top_p=TOP_P,
)
def test_probabilities_sum_to_one_and_keep_the_likeliest(rows, temperature, top_k, top_p):
    logits = torch.tensor(rows)
    probabilities = bit_probabilities(logits, temperature, top_k, top_p)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(len(rows)))
    assert (probabilities >= 0).all()
    likeliest = probabilities.gather(-1, logits.argmax(-1, keepdim=True))
    assert (likeliest > 0).all() or top_p < 0.6  # of a tie, a small top_p may keep another value


def test_top_k_keeps_all_values_tied_with_the_kth():
    probabilities = bit_probabilities(torch.tensor([1.0, 3.0, 3.0, 0.0]), top_k=1)
    torch.testing.assert_close(probabilities, torch.tensor([0.0, 0.5, 0.5, 0.0]))


def test_top_p_drops_the_unlikely_tail_up_to_its_mass():
    logits = torch.tensor([0.02, 0.03, 0.05, 0.9]).log()
    torch.testing.assert_close(
        bit_probabilities(logits, top_p=0.94)[:3], torch.tensor([0, 0, 0.05 / 0.95])
    )
    torch.testing.assert_close(bit_probabilities(logits, top_p=0.9), torch.tensor([0.0, 0, 0, 1]))


def test_zero_temperature_is_greedy():
    logits = random_logits(50, 4)
    assert torch.equal(bit_probabilities(logits, 0.0), bit_probabilities(logits, 1.0, top_k=1))


def test_probabilities_leave_their_input_alone():
    logits = random_logits(3, 2)
    before = logits.clone()
    bit_probabilities(logits, 0.5, 1, 0.9)
    assert torch.equal(logits, before)


@settings(max_examples=40, deadline=None)
@given(temperature=TEMPERATURES, top_k=TOP_K, top_p=TOP_P, seed=st.integers(0, 2**32 - 1))
def test_drawn_bits_equal_multinomial_on_the_general_probabilities(temperature, top_k, top_p, seed):
    logits = random_logits(1, 37, 6, 2, seed=seed % 1000)
    logits[0, 0, 0] = 0.25  # a tie
    bits = sample_bits(logits, temperature, top_k, top_p, [seeded_generator(seed)])
    rows = bit_probabilities(logits, temperature, top_k, top_p).view(-1, 2)
    expected = torch.multinomial(rows, 1, generator=seeded_generator(seed)).view(1, 37, 6).bool()
    assert torch.equal(bits, expected)


def test_drawn_bits_of_a_row_depend_on_its_own_generator_only():
    logits = random_logits(3, 20, 8, 2)
    together = sample_bits(logits, 1.0, 0, 0.97, [seeded_generator(s) for s in (5, 6, 7)])
    for row, seed in enumerate((5, 6, 7)):
        alone = sample_bits(logits[row : row + 1], 1.0, 0, 0.97, [seeded_generator(seed)])
        assert torch.equal(together[row : row + 1], alone)


def test_drawing_takes_the_same_random_numbers_whatever_the_settings():
    states = []
    for temperature, top_k, top_p in ((0.0, 0, 1.0), (1.0, 1, 1.0), (0.7, 900, 0.97)):
        generator = seeded_generator(1)
        sample_bits(random_logits(1, 9, 4, 2), temperature, top_k, top_p, [generator])
        states.append(generator.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


def test_drawn_bits_follow_the_probabilities():
    logits = torch.tensor([0.0, 1.0]).expand(1, 20_000, 1, 2)
    share = sample_bits(logits, 1.0, 0, 1.0, [seeded_generator(0)]).float().mean().item()
    assert share == pytest.approx(torch.tensor(1.0).sigmoid().item(), abs=0.01)


def test_top_p_forces_the_bits_it_should_and_no_others():
    likely, unsure = torch.logit(torch.tensor(0.975)), torch.logit(torch.tensor(0.96))
    logits = torch.stack((torch.zeros(2), torch.stack((likely, unsure))), -1)
    drawn = sample_bits(logits.expand(1, 5000, 2, 2), 1.0, 0, 0.97, [seeded_generator(0)])
    assert drawn[..., 0].all()
    assert not drawn[..., 1].all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_extreme_logits_draw_the_certain_bit(dtype):
    logits = torch.tensor([[[[-1e4, 1e4], [1e4, -1e4]]]], dtype=dtype)
    bits = sample_bits(logits, 1.0, 0, 1.0, [seeded_generator(3)])
    assert bits.tolist() == [[[True, False]]]


@pytest.mark.parametrize("confidence", [0.65, 0.75, 0.85])
def test_confidence_is_what_the_likelier_values_come_down_to(confidence):
    logits = torch.randn(2, 50, 8, 2, generator=torch.Generator().manual_seed(1)) * 3
    logits[1] *= 0.01  # as undecided as can be: stays as it is
    cooled = at_confidence(logits, confidence)
    likelier = cooled.softmax(-1).amax(-1).mean((1, 2))
    assert likelier[0] == pytest.approx(confidence, abs=1e-3)
    assert torch.equal(cooled[1], logits[1])
    assert torch.equal(at_confidence(logits[:1], confidence), cooled[:1])
