import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infinity.errors import RequestError
from infinity.request import (
    MAX_IMAGES,
    MAX_SEED,
    GenerationRequest,
    SamplingParams,
    parse_per_scale,
)
from infinity.wildcards import escape

PER_SCALE = st.one_of(
    st.floats(0, 100), st.lists(st.floats(0, 100), min_size=1, max_size=5).map(tuple)
)
REQUESTS = st.builds(
    GenerationRequest,
    prompt=st.text(min_size=1, max_size=40).filter(str.strip).map(escape),
    negative_prompt=st.text(max_size=20).map(escape),
    aspect_ratio=st.sampled_from(["1:1", "3:2"]),
    seed=st.integers(0, MAX_SEED),
    num_images=st.integers(1, MAX_IMAGES),
    guidance=st.none() | PER_SCALE,
    temperature=st.none() | PER_SCALE,
    top_k=st.none() | st.integers(0, 1000),
    top_p=st.none() | st.floats(0.01, 1),
    guidance_layers=st.none() | st.lists(st.integers(-8, 0), min_size=1, max_size=3).map(tuple),
    guided_scales=st.none() | st.integers(0, 13),
    pruning=st.none() | st.floats(0, 0.9),
    fp8_scales=st.none() | st.integers(0, 13),
)


@given(REQUESTS)
def test_request_round_trips_through_json(request_):
    text = json.dumps(request_.to_dict())
    assert GenerationRequest.from_dict(json.loads(text)) == request_


@given(REQUESTS)
def test_resolved_request_spells_everything_out_and_stays_so(request_):
    defaults = SamplingParams(guidance=4.0, temperature=0.5, top_p=0.97, top_k=900)
    resolved = request_.resolved(defaults)
    assert resolved.sampling(SamplingParams()) == request_.sampling(defaults)
    assert resolved.resolved(SamplingParams(guidance=9.0)) == resolved


def test_settings_not_given_are_the_models():
    request = GenerationRequest(prompt="x", temperature=0.5)
    sampling = request.sampling(SamplingParams(guidance=7.0, temperature=2.0))
    assert (sampling.guidance, sampling.temperature) == (7.0, 0.5)


@pytest.mark.parametrize("prompt", ["", " ", "\n\t  ", "\u3000"])
def test_empty_or_blank_prompt_is_refused(prompt):
    with pytest.raises(RequestError, match="The prompt is empty; describe the picture"):
        GenerationRequest(prompt=prompt)


@pytest.mark.parametrize(
    "prompt", ["🎉🎉", "ein Äpfelchen", "赤いりんご", "تفاحة حمراء", "a", "\U0001f34e" * 50]
)
def test_emoji_and_non_latin_prompts_are_fine(prompt):
    assert GenerationRequest(prompt=prompt).prompt == prompt


def test_ten_thousand_words_are_fine_until_they_are_absurdly_long():
    assert GenerationRequest(prompt="a " * 10_000)
    with pytest.raises(RequestError, match="The prompt has 60,000 characters; shorten it"):
        GenerationRequest(prompt="apple " * 10_000)
    with pytest.raises(RequestError, match="The negative prompt has 60,000 characters"):
        GenerationRequest(prompt="x", negative_prompt="apple " * 10_000)


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"]])
def test_prompt_that_is_no_text_is_refused(value):
    with pytest.raises(RequestError, match="prompt must be text"):
        GenerationRequest(prompt=value)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, "7", 1.5, math.nan, math.inf, None, True])
def test_seed_out_of_range_or_not_a_number_is_refused(seed):
    with pytest.raises(RequestError, match="seed must be a whole number from 0 to 4294967295"):
        GenerationRequest(prompt="x", seed=seed)


def test_whole_float_seed_becomes_a_whole_number():
    request = GenerationRequest(prompt="x", seed=7.0)
    assert isinstance(request.seed, int) and request.seed == 7


@pytest.mark.parametrize("name", ["guidance", "temperature"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 101, "3", True, (), (1.0, math.nan), {}])
def test_guidance_or_temperature_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(RequestError, match=f"{name} must be a number from 0 to 100"):
        GenerationRequest(prompt="x", **{name: value})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"top_p": 0}, "top_p must be above 0"),
        ({"top_p": 1.01}, "top_p must be above 0"),
        ({"top_p": math.nan}, "top_p must be above 0"),
        ({"top_k": -1}, "top_k must be a whole number"),
        ({"top_k": 1.5}, "top_k must be a whole number"),
        ({"num_images": 0}, "num_images must be a whole number from 1 to 64"),
        ({"num_images": 65}, "num_images must be a whole number from 1 to 64"),
        ({"guidance_layers": ()}, "guidance_layers must be a list"),
        ({"guidance_layers": (1,)}, "guidance_layers must be a list"),
        ({"guidance_layers": (0.5,)}, "guidance_layers must be a list"),
        ({"guided_scales": -1}, "guided_scales must be a whole number"),
        ({"pruning": 0.95}, "pruning must be a share from 0 .none. to 0.9"),
        ({"aspect_ratio": 1.5}, "aspect_ratio must be text"),
    ],
)
def test_other_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(RequestError, match=sentence):
        GenerationRequest(prompt="x", **settings)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "it has no 'prompt'"),
        ('{"prompt": "x", "guidence": 3}', "did you mean 'guidance'"),
        ('{"prompt": "x", "zzz": 3}', "known: prompt"),
        ('{"prompt": "x", "guidance": NaN}', "guidance must be"),
    ],
)
def test_bad_json_is_refused_with_what_is_wrong(text, sentence):
    with pytest.raises(RequestError, match=sentence):
        GenerationRequest.from_dict(json.loads(text))


def test_pictures_take_seeds_one_after_another_and_wrap_around():
    request = GenerationRequest(prompt="x", seed=MAX_SEED - 1, num_images=3)
    assert request.seeds == (MAX_SEED - 1, MAX_SEED, 0)


def test_lists_give_one_value_a_scale_and_the_last_repeats():
    sampling = SamplingParams(guidance=[1, 2, 3], temperature=(0.5, 0), guided_scales=4)
    assert [sampling.at_scale(i) for i in range(5)] == [
        (1, 0.5),
        (2, 0),
        (3, 0),
        (3, 0),
        (1, 0),
    ]


def test_requests_are_immutable_and_compare_by_value():
    request = GenerationRequest(prompt="x", guidance=[1, 2])
    assert request == GenerationRequest(prompt="x", guidance=(1, 2))
    assert hash(request) == hash(GenerationRequest(prompt="x", guidance=(1, 2)))
    with pytest.raises(AttributeError):
        request.prompt = "y"


def test_numbers_and_lists_of_them_are_read_from_text():
    assert parse_per_scale("3") == 3.0
    assert parse_per_scale("1, 2,3.5") == (1.0, 2.0, 3.5)
    for text in ("", "a", "1,,2"):
        with pytest.raises(RequestError, match="not a number"):
            parse_per_scale(text)


def test_wildcards_are_filled_in_by_each_pictures_own_seed():
    request = GenerationRequest(
        prompt="a {red|blue|green} car", negative_prompt="{snow|rain}", seed=7, num_images=8
    )
    pictures = request.pictures()
    assert [picture.seed for picture in pictures] == list(request.seeds)
    assert len({picture.prompt for picture in pictures}) > 1
    for picture in pictures:
        assert "{" not in picture.prompt + picture.negative_prompt
        assert picture.pictures() == (picture,)
        assert replace(request, seed=picture.seed, num_images=1).pictures() == (picture,)


def test_plain_braces_stay_in_the_picture_of_any_seed():
    (picture,) = GenerationRequest(prompt=r"a \{cat\}", seed=5).pictures()
    assert picture.pictures() == (picture,)
    assert picture.prompt == r"a \{cat\}"


@pytest.mark.parametrize("settings", [{"prompt": "a {red car"}, {"negative_prompt": "b}"}])
def test_mistaken_braces_are_refused_at_once(settings):
    with pytest.raises(RequestError, match=r"without its"):
        GenerationRequest(**{"prompt": "a cat"} | settings)


def test_wildcards_that_leave_an_empty_prompt_are_refused():
    with pytest.raises(RequestError, match="The prompt is empty"):
        GenerationRequest(prompt="{ |a cat}", num_images=30)
