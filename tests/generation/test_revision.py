"""Drawing on from bits: what must stay stays, for every ratio and with patches; the rest is drawn."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from infinity.errors import RequestError
from infinity.generation.revision import thresholds
from infinity.metadata import read_request
from infinity.packing import pack_bits, pack_region, unpack_bits
from infinity.request import GenerationRequest
from infinity.schedule import Scale
from infinity.start import Start
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_pipeline

PIPELINES = {spec.name: tiny_pipeline(spec) for spec in (SPEC, PATCHIFY_SPEC)}
CASES = [(name, ratio) for name in PIPELINES for ratio in SPEC.schedules]
SOURCE = {
    (name, ratio): PIPELINES[name].generate(
        GenerationRequest(prompt="a red apple", seed=1, aspect_ratio=ratio)
    )
    for name, ratio in CASES
}


def scales(name, ratio, text):
    spec = PIPELINES[name].spec
    return unpack_bits(text, spec.schedules[ratio], spec.tokenizer.bits_per_token)


def drawn(name, ratio, seed=9, prompt="snow", **start):
    start = Start(bits=SOURCE[name, ratio].bits[0], **start)
    request = GenerationRequest(prompt=prompt, seed=seed, aspect_ratio=ratio, start=start)
    return PIPELINES[name].generate(request)


@pytest.mark.parametrize(("name", "ratio"), CASES)
@pytest.mark.parametrize("softness", [0, 2])
def test_bits_outside_of_a_region_stay_at_every_scale(name, ratio, softness):
    schedule = PIPELINES[name].spec.schedules[ratio]
    last = schedule[-1]
    region = np.zeros((last.height, last.width), bool)
    region[: last.height // 2 + 1, last.width // 2 :] = True
    done = drawn(name, ratio, region=pack_region(region), softness=softness)
    before, after = (
        scales(name, ratio, text) for text in (SOURCE[name, ratio].bits[0], done.bits[0])
    )
    changed = 0
    for scale, one, other in zip(schedule, before, after, strict=True):
        rows = ((np.arange(scale.height) + 0.5) * last.height / scale.height).astype(int)
        columns = ((np.arange(scale.width) + 0.5) * last.width / scale.width).astype(int)
        inside = torch.from_numpy(region[np.ix_(rows, columns)].flatten())
        assert torch.equal(one[~inside], other[~inside])
        changed += int((one[inside] != other[inside]).sum())
    assert changed


@pytest.mark.parametrize(("name", "ratio"), CASES)
def test_kept_scales_stay_and_the_rest_is_drawn(name, ratio):
    done = drawn(name, ratio, keep_scales=2)
    before, after = (
        scales(name, ratio, text) for text in (SOURCE[name, ratio].bits[0], done.bits[0])
    )
    same = [torch.equal(one, other) for one, other in zip(before, after, strict=True)]
    assert same[:2] == [True, True] and not same[-1]


def test_keeping_everything_gives_the_picture_again():
    done = drawn("tiny", "3:2", keep_scales=len(SPEC.schedules["3:2"]))
    source = SOURCE["tiny", "3:2"]
    assert done.bits == source.bits
    assert np.array_equal(np.asarray(done.images[0]), np.asarray(source.images[0]))


def test_nothing_kept_draws_what_the_seed_draws_alone():
    done = drawn("tiny", "1:1")
    alone = PIPELINES["tiny"].generate(GenerationRequest(prompt="snow", seed=9))
    assert done.bits == alone.bits


def test_mix_takes_coarse_scales_of_one_and_fine_ones_of_the_other():
    finer = PIPELINES["tiny"].generate(GenerationRequest(prompt="a blue boat", seed=4)).bits[0]
    done = drawn("tiny", "1:1", keep_scales=3, finer_bits=finer)
    a, b, mixed = (
        scales("tiny", "1:1", text) for text in (SOURCE["tiny", "1:1"].bits[0], finer, done.bits[0])
    )
    assert all(torch.equal(m, e) for m, e in zip(mixed, (*a[:3], *b[3:]), strict=True))


@pytest.mark.parametrize("rounds", [1, 3])
def test_repair_changes_unlikely_bits_alone(rounds):
    done = drawn("tiny", "1:1", prompt="a red apple", doubt=0.0)
    assert done.bits == SOURCE["tiny", "1:1"].bits
    other = PIPELINES["tiny"].generate(GenerationRequest(prompt="snow", seed=3)).bits[0]
    start = Start(bits=other, doubt=0.1, rounds=rounds)
    changed = PIPELINES["tiny"].generate(GenerationRequest(prompt="a red apple", start=start))
    a, b = (torch.cat(scales("tiny", "1:1", text)) for text in (other, changed.bits[0]))
    assert 0 < (a != b).float().mean() < 0.5


def test_record_of_an_edit_draws_it_again():
    done = drawn("tiny", "2:3", region=pack_region(np.eye(9, 6, dtype=bool)), softness=1, doubt=0.9)
    request, _ = read_request(done.images[0])
    assert request.start == done.request.start is not None
    again = PIPELINES["tiny"].generate(
        GenerationRequest.from_dict(json.loads(json.dumps(request.to_dict())))
    )
    assert again.bits == done.bits
    assert np.array_equal(np.asarray(again.images[0]), np.asarray(done.images[0]))


def test_pictures_of_one_request_begin_from_the_same_bits():
    start = Start(bits=SOURCE["tiny", "1:1"].bits[0], keep_scales=2)
    request = GenerationRequest(prompt="snow", seed=3, num_images=2, start=start)
    together = PIPELINES["tiny"].generate(request)
    alone = PIPELINES["tiny"].generate(replace(request, seed=4, num_images=1))
    assert together.bits[1] == alone.bits[0] != together.bits[0]


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({"bits": ""}, "another model or aspect ratio"),
        ({"bits": SOURCE["tiny", "3:2"].bits[0]}, "another model or aspect ratio"),
        ({"bits": SOURCE["tiny", "1:1"].bits[0], "region": "8x8"}, "region is damaged"),
        ({"bits": SOURCE["tiny", "1:1"].bits[0], "finer_bits": "AA=="}, "another model"),
    ],
)
def test_start_that_does_not_fit_is_refused_before_anything_is_drawn(start, said):
    request = GenerationRequest(prompt="snow", start=Start(**start))
    with pytest.raises(RequestError, match=said):
        PIPELINES["tiny"].stream(request)


@pytest.mark.parametrize(
    "start", [{"bits": 1}, {"bits": "", "keep": 1}, {}, {"bits": "", "doubt": 2}]
)
def test_wrong_start_is_refused_with_what_is_right(start):
    with pytest.raises(RequestError, match=r"start|^bits must|^doubt must"):
        GenerationRequest.from_dict({"prompt": "snow", "start": start})


def test_soft_edge_rises_from_the_edge_inwards():
    region = np.zeros((8, 8), bool)
    region[:, 4:] = True
    soft = thresholds(region, Scale(8, 8), Scale(8, 8), 2).view(8, 8)[3]
    assert soft[:4].max() < 0
    torch.testing.assert_close(soft[4:], torch.tensor([1 / 3, 2 / 3, 1, 1]))


def test_bits_survive_being_written_by_hand():
    bits = scales("tiny", "1:1", SOURCE["tiny", "1:1"].bits[0])
    assert pack_bits(bits) == SOURCE["tiny", "1:1"].bits[0]
