"""Every map against numbers worked out by hand, and numbers against their colors."""

import numpy as np
import pytest
from PIL import Image

from infinity.generation.inspection import InspectedScale
from infinity.inside import maps
from infinity.inside.drawing import colored
from infinity.schedule import Scale

NOTHING = np.zeros((1, 1, 2), np.float32)


def scale(bits, probability, conditional=None, unconditional=None, attention=None):
    """One row of tokens."""
    filled = [np.array(probability if each is None else each, np.float32) for each in
              (probability, conditional, unconditional)]  # fmt: skip
    return InspectedScale(
        height=1,
        width=len(bits),
        bits_lD=np.array(bits, bool),
        probability_lD=filled[0],
        conditional_lD=filled[1],
        unconditional_lD=filled[2],
        latent_dyx=NOTHING,
        attention_Tl=np.array([[0]] if attention is None else attention, np.float32),
        words=("",),
        seconds=0.0,
    )


TWO = scale(
    bits=[[1, 0], [1, 1]],
    probability=[[0.5, 0.5], [0.75, 0.25]],
    conditional=[[0.9, 0.4], [0.2, 0.5]],
    unconditional=[[0.5, 0.6], [0.6, 0.5]],
    attention=[[0.1, 0.2], [0.3, 0.5], [0.6, 0.3]],
)
QUARTER = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (maps.entropy(TWO), [1.0, QUARTER]),
        (maps.confidence(TWO), [0.5, 0.75]),
        (maps.likelihood(TWO), [0.5, 0.5]),
        (maps.prompt_effect(TWO), [(0.4 + 0.2) / 2, (-0.4 + 0.0) / 2]),
        (maps.attention(TWO, (0, 2)), [0.7, 0.5]),
        (maps.differing(TWO, scale([[1, 0], [0, 0]], TWO.probability_lD)), [0.0, 1.0]),
    ],
    ids=["entropy", "confidence", "likelihood", "prompt", "word", "differs"],
)
def test_map_is_what_the_numbers_say(found, expected):
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def picture(left, right):
    """Two halves of one brightness each."""
    pixels = np.full((4, 8, 3), left, np.uint8)
    pixels[:, 4:] = right
    return Image.fromarray(pixels)


def test_added_is_the_signed_change_of_brightness():
    change = maps.added(picture(100, 100), picture(130, 90))
    assert change.shape == (4, 8)
    assert (change[:, :4] == 30).all() and (change[:, 4:] == -10).all()
    red = Image.new("RGB", (1, 1), (30, 0, 0))
    assert maps.added(Image.new("RGB", (1, 1)), red).item() == 10


def test_place_is_decided_where_it_stays_near_the_end_from_then_on():
    end, near, far = 100, 100 + maps.DECIDED_LEVELS, 101 + maps.DECIDED_LEVELS
    # The left is there at once and leaves again; the right comes near at the third scale.
    pictures = [picture(end, 0), picture(far, far), picture(near, near), picture(end, end)]
    assert maps.decided(pictures, Scale(1, 2)).tolist() == [[3, 3]]
    assert maps.decided([picture(near, far), picture(end, end)], Scale(1, 2)).tolist() == [[1, 2]]


def test_limits_are_fixed_or_hold_for_all_maps():
    values = [np.array([[-0.2, 0.1]]), np.array([[0.3]])]
    assert maps.KINDS["prompt"].limits(values) == (-0.3, 0.3)
    assert maps.KINDS["word"].limits(values) == (0.0, 0.3)
    assert maps.KINDS["confidence"].limits(values) == (0.5, 1.0)
    assert maps.KINDS["prompt"].limits([np.zeros((1, 1))]) == (-1.0, 1.0)


def test_numbers_become_colors_between_and_beyond_the_stops():
    values = np.array([[-9, -1, -0.5], [0, 0.5, 9]])
    image = colored(values, (-1, 1), ("#000000", "#646464", "#ffffff"))
    assert image.size == (3, 2)
    assert np.asarray(image)[..., 0].tolist() == [[0, 0, 50], [100, 178, 255]]
    assert np.asarray(colored(np.ones((1, 1)), (1, 1), maps.SEQUENTIAL)).tolist() == [[[68, 1, 84]]]
