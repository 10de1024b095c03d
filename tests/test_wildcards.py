"""Wildcards: the same seed picks the same words, every option is reached, mistakes are explained."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinity.errors import RequestError
from infinity.wildcards import MOST_NESTED, escape, expand

SEEDS = range(400)


def variants(template: str) -> set[str]:
    return {expand(template, seed) for seed in SEEDS}


@given(st.text(), st.integers(0, 2**32 - 1))
def test_escaped_text_stands_for_itself(text, seed):
    assert expand(escape(text), seed) == text


@pytest.mark.parametrize("text", ["a red  apple", "a\nb", "x | y", "\\", "a \\| b", ""])
def test_text_without_braces_is_unchanged(text):
    assert expand(text, 3) == text


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{red|blue} car", {"red car", "blue car"}),
        ("a {red|{light |dark }blue} car", {"a red car", "a light blue car", "a dark blue car"}),
        ("{a|b}{c|d}", {"ac", "ad", "bc", "bd"}),
        ("a {very |}big  car", {"a very big car", "a big car"}),
        ("{only}", {"only"}),
        (r"{\{a\}|b\|c}", {"{a}", "b|c"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{1$$a|b}", {"a", "b"}),
        ("{cat|Katze|猫}", {"cat", "Katze", "猫"}),
    ],
)
def test_every_variant_is_drawn_and_no_other(template, expected):
    assert variants(template) == expected


def test_same_seed_same_words_for_good():
    """Records replay only while this holds: these are not to change with a Python release."""
    drawn = [expand("{red|blue|green} {car|bus}", seed) for seed in range(6)]
    assert drawn == [
        "green bus", "red bus", "green bus", "red bus", "red car", "blue bus",
    ]  # fmt: skip


def test_options_come_equally_often():
    counts = Counter(expand("{a|b|c|d}", seed) for seed in range(4000))
    assert all(850 < count < 1150 for count in counts.values())


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a {red car", r"a \{ without its \}"),
        ("a {red|{blue} car", r"a \{ without its \}"),
        ("a red} car", r"a \} without its \{"),
        ("{3$$a|b}", "asks for 3 of 2 options"),
        ("{0$$a|b}", "asks for 0 of 2 options"),
        ("{" * 20_000, f"more than {MOST_NESTED} deep"),
    ],
)
def test_mistake_is_explained_in_one_sentence(template, words):
    with pytest.raises(RequestError, match=words):
        expand(template, 0)


def test_count_of_thousands_of_digits_is_one_sentence():
    with pytest.raises(RequestError, match="ask for 1 to 2"):
        expand("{" + "9" * 5000 + "$$a|b}", 0)
