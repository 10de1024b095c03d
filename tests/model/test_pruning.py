"""Token pruning: none at all is exact, and what is left out takes what the scale before had."""

import pytest
import torch

from infinity.model.cache import KVCache
from infinity.model.pruning import PRUNED_SCALES, Pruning
from infinity.request import SamplingParams
from infinity.schedule import ScaleSchedule
from tests.generation.test_generate import GUIDED, SCHEDULE, bits_of, run
from tests.tiny import SPEC

SIDES = ScaleSchedule([(1, 1), (2, 2), (4, 4), (8, 8)])


def test_nothing_pruned_is_every_bit_of_a_model_without_pruning(monkeypatch):
    steps = list(run(SamplingParams(guidance=3.0, pruning=0.0), keep_logits=True))
    monkeypatch.setattr(Pruning, "chosen", lambda *_: None)
    monkeypatch.setattr(Pruning, "refilled", lambda _, index, hidden, chosen: hidden)
    for one, other in zip(steps, run(GUIDED, keep_logits=True), strict=True):
        assert torch.equal(one.bits_BlD, other.bits_BlD)
        assert torch.equal(one.logits_BlD2, other.logits_BlD2)


def test_share_is_left_out_at_the_last_scales_alone():
    assert Pruning(SIDES, 0.0).counts == [1, 4, 16, 64]
    assert Pruning(SIDES, 0.25).counts == [1, 4, 12, 48]
    assert Pruning(ScaleSchedule([(1, 1)]), 0.9).counts == [1]
    assert PRUNED_SCALES == 2


def test_tokens_farthest_from_the_mean_are_computed():
    x = torch.zeros(2, 16, 3)
    x[0, [3, 7]], x[1, [0, 9]] = 5.0, -5.0
    assert Pruning(SIDES, 0.875).chosen(2, x).tolist() == [[3, 7], [0, 9]]
    assert Pruning(SIDES, 0.875).chosen(1, x[:, :4]) is None


def test_others_take_what_the_scale_before_had_there():
    pruning = Pruning(SIDES, 0.5)
    before = torch.arange(4.0).expand(1, 3, 4).mT.clone()
    assert pruning.refilled(1, before, None) is before
    chosen = torch.arange(8, 16)[None]
    whole = pruning.refilled(2, torch.full((1, 8, 3), 9.0), chosen)
    assert (whole[:, 8:] == 9).all()
    assert whole[0, :4, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_cache_holds_the_computed_tokens_alone():
    cache = KVCache(SPEC.transformer, SIDES, 2, pruning=0.5)
    assert cache.spans[-1] == slice(13, 45)
    assert cache.kept.shape[4] == 13


@pytest.mark.parametrize("in_int8", [False, True])
def test_pruned_pictures_of_a_batch_do_not_mix(in_int8):
    from tests.tiny import tiny_transformer

    model = tiny_transformer()
    model.int8_cache = in_int8
    sampling = SamplingParams(guidance=3.0, pruning=0.6, temperature=0)
    prompts, seeds = ["a red apple", "a blue car"], [1, 2]
    options = {"keep_logits": True, "transformer": model}
    together = list(run(sampling, prompts, seeds, **options))
    for row, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        alone = list(run(sampling, [prompt], [seed], **options))
        for one, both in zip(alone, together, strict=True):
            assert torch.equal(one.bits_BlD[0], both.bits_BlD[row])
    assert not torch.equal(bits_of(together), bits_of(list(run(GUIDED, prompts, seeds))))


def test_pruning_goes_with_guidance_that_ends_and_other_shapes():
    sampling = SamplingParams(guidance=3.0, guided_scales=3, pruning=0.5, guidance_layers=(0, -1))
    for schedule in SPEC.schedules.values():
        assert bits_of(list(run(sampling, schedule=schedule))).shape[1] == schedule.total_tokens
    assert len(SCHEDULE) > PRUNED_SCALES
