import numpy as np
import pytest

from training.data.captions import Captions, draw_caption, fixed

STORY = "A cat sits on a mat. It is red. It sleeps. The sun shines. All is well."
ELOQUENT = (
    "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen. B."
)


def draws(captions, probability, count=400):
    random = np.random.default_rng(0)
    return [draw_caption(captions, probability, random) for _ in range(count)]


def test_short_captions_come_with_their_probability():
    drawn = draws(Captions(long=("long",), short=("short",)), 0.25, 4000)
    share = sum(text == "short" for _, text in drawn) / len(drawn)
    assert share == pytest.approx(0.25, abs=0.03)
    assert {(index, text) for index, text in drawn} == {(0, "long"), (1, "short")}


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_the_only_kind_there_is_is_taken(probability):
    assert set(draws(Captions(long=("a",)), probability)) == {(0, "a")}
    assert set(draws(Captions(long=(), short=("b",)), probability)) == {(0, "b")}


def test_alternatives_are_all_drawn_with_their_index():
    captions = Captions(long=("a", "b", "c"), short=("x", "y"))
    assert set(draws(captions, 0.5)) == set(enumerate(captions.all))


def test_long_caption_is_cut_to_leading_sentences_as_upstream_does():
    captions = Captions(long=(STORY,), by_sentences=True)
    sentences = [sentence for sentence in STORY.split(".") if sentence]
    texts = {text for _, text in draws(captions, 0.0)}
    assert texts == {".".join(sentences[:count]) for count in (3, 4, 5)}
    assert {text for _, text in draws(captions, 1.0)} == {".".join(sentences[:2])}


def test_one_long_sentence_is_short_enough():
    captions = Captions(long=(ELOQUENT,), by_sentences=True)
    assert {text for _, text in draws(captions, 1.0)} == {ELOQUENT.split(".")[0]}


def test_caption_without_sentences_stays_whole():
    captions = Captions(long=("...",), by_sentences=True)
    assert {text for _, text in draws(captions, 0.5)} == {"..."}


def test_given_short_caption_is_never_cut():
    captions = Captions(long=(STORY,), short=("One. Two. Three. Four.",), by_sentences=True)
    assert {text for _, text in draws(captions, 1.0)} == {"One. Two. Three. Four."}


def test_fixed_captions_keep_the_whole_and_the_beginning():
    kept = fixed(Captions(long=(STORY, "..."), by_sentences=True))
    assert kept == Captions(long=(STORY, "..."), short=("A cat sits on a mat. It is red", "..."))
    given = Captions(long=(STORY,), short=("cat",), by_sentences=True)
    assert fixed(given) == Captions(long=(STORY,), short=("cat",))
