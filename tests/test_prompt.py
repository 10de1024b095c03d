import pytest

from infinity.errors import RequestError
from infinity.prompt import PromptPart, parse, words


def test_plain_prompt_is_one_part_as_it_stands():
    text = "a (small) robot [sic], 3:2, (16:9), (at 12:30), :-) [a:b] (x:y) (: 1"
    assert parse(text, 7) == (PromptPart(0, text),)
    assert words(text) == text


def test_words_are_all_that_is_named():
    assert words(r"a [(old:1.2) castle:ruin:5] in \(fog\)") == "a old castle ruin in (fog)"


def test_weight_belongs_to_its_words():
    (part,) = parse("a (red:1.4) car and a (very big:.5) dog", 7)
    assert part.text == "a red car and a very big dog"
    assert [(part.text[a:b], w) for a, b, w in part.weights] == [("red", 1.4), ("very big", 0.5)]


@pytest.mark.parametrize(("number", "first"), [("5", 4), ("0.5", 4), ("1", 0), ("7", 6)])
def test_change_begins_at_its_scale(number, first):
    parts = parse(f"a [castle:watercolor:{number}]", 7)
    expected = {0: "a castle"} | {first: "a watercolor"}
    assert {part.first_scale: part.text for part in parts} == expected


def test_changes_and_weights_go_together():
    parts = parse("[a (red:2) cat:a dog:2] [in snow::4]", 7)
    assert [(part.first_scale, part.text) for part in parts] == [
        (0, "a red cat in snow"),
        (1, "a dog in snow"),
        (3, "a dog "),
    ]
    assert parts[0].weights == ((2, 5, 2.0),) and not parts[1].weights


def test_backslash_leaves_brackets_alone():
    assert parse(r"a \(red:1.4) \[x:y:2]", 7) == (PromptPart(0, "a (red:1.4) [x:y:2]"),)


@pytest.mark.parametrize("prompt", ["[a:b:8]", "[a:b:0]", "[a:b:2.5]", "(a:11)", "[a:b:99999999]"])
def test_what_the_picture_has_not_is_refused_with_what_it_has(prompt):
    with pytest.raises(RequestError, match=r"scales 1 to 7|from 0 to 10"):
        parse(prompt, 7)
