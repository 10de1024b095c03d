import json
import threading

import numpy as np
import pytest
import torch

from infinity.edit.tasks import inspect_bits, kept
from infinity.errors import StoppedError
from infinity.generation.generate import text_condition
from infinity.generation.inputs import EncodedPart, PictureInputs
from infinity.generation.inspection import inspect, save
from infinity.model.cache import KVCache
from infinity.packing import unpack_bits
from infinity.request import GenerationRequest, SamplingParams
from tests.generation.test_generate import run
from tests.tiny import SPEC, WordsEncoder, tiny_pipeline, tiny_transformer

PIPELINE = tiny_pipeline()
SCHEDULE = SPEC.schedules["3:2"]
SAMPLING = SamplingParams(guidance=3.0, temperature=0.9)
PROMPT = WordsEncoder().encode("a red apple")


@pytest.fixture(scope="module")
def steps():
    return list(run(SAMPLING, keep_logits=True))


@pytest.fixture(scope="module")
def inspected(steps):
    bits = [step.bits_BlD[0] for step in steps]
    picture = PictureInputs(0, (EncodedPart(0, PROMPT.features),), None)
    return tuple(inspect(PIPELINE.transformer, SPEC.tokenizer, picture, bits, SCHEDULE, SAMPLING))


def test_probabilities_are_those_that_the_bits_were_drawn_from(steps, inspected):
    for step, scale in zip(steps, inspected, strict=True):
        expected = step.logits_BlD2[0].softmax(-1)[..., 1].numpy()
        np.testing.assert_allclose(scale.probability_lD, expected, atol=1e-5)
        assert np.array_equal(scale.bits_lD, step.bits_BlD[0].numpy())
        likely = np.where(scale.bits_lD, scale.probability_lD, 1 - scale.probability_lD)
        assert np.array_equal(scale.likelihood_lD, likely)
        assert scale.entropy_lD.min() >= 0 and scale.entropy_lD.max() <= 1


def test_guided_logits_are_the_mix_of_the_prompt_and_of_no_prompt(inspected):
    for scale in inspected:
        prompt, none = (
            np.log(p.astype(np.float64) / (1 - p.astype(np.float64)))
            for p in (scale.conditional_lD, scale.unconditional_lD)
        )
        mixed = 1 / (1 + np.exp(-(3 * prompt - 2 * none) / 0.9))
        np.testing.assert_allclose(scale.probability_lD, mixed, atol=2e-3)


def test_attention_on_the_prompt_adds_up_to_one_and_follows_weights(inspected):
    for scale in inspected:
        assert scale.attention_Tl.shape == (len(PROMPT.features), scale.height * scale.width)
        np.testing.assert_allclose(scale.attention_Tl.sum(0), 1, atol=1e-5)


def test_latent_is_the_sum_of_codes(steps, inspected):
    assert np.array_equal(inspected[-1].latent_dyx, steps[-1].canvas.latent_Bdyx[0].numpy())


def test_file_holds_every_array_and_what_it_is_of(inspected, tmp_path):
    request = GenerationRequest(prompt="a red apple")
    save(tmp_path / "deep" / "inside.npz", inspected, request, "tiny", "0abc")
    with np.load(tmp_path / "deep" / "inside.npz") as file:
        about = json.loads(str(file["about"]))
        assert (about["model"], about["weights"]) == ("tiny", "0abc")
        assert GenerationRequest.from_dict(about["request"]) == request
        for words, scale in zip(about["words"], inspected, strict=True):
            assert len(words) == len(scale.attention_Tl)
        for number, scale in enumerate(inspected, 1):
            assert np.array_equal(file[f"scale_{number}_bits"], scale.bits_lD)
            assert np.array_equal(file[f"scale_{number}_entropy"], scale.entropy_lD)
            assert np.array_equal(file[f"scale_{number}_attention"], scale.attention_Tl)


def test_weight_on_a_word_draws_the_looks_to_it():
    transformer = tiny_transformer()
    looked = {}
    for weight in (1.0, 4.0):
        seen: list[torch.Tensor] = []
        weights = torch.ones(len(PROMPT.features))
        weights[1] = weight
        condition = text_condition(
            transformer, [PROMPT.features], [None], SamplingParams(guidance=1.0), 4, [weights]
        ).watched(seen.append)
        transformer.forward_scale(None, condition, KVCache(SPEC.transformer, SCHEDULE, 1), 0)
        looked[weight] = float(seen[0][0, 0, 1])
    share = looked[1.0]
    assert looked[4.0] == pytest.approx(4 * share / (1 + 3 * share), rel=0.2)


def test_weight_of_one_changes_no_bit_and_another_does():
    def bits(prompt):
        return PIPELINE.generate(GenerationRequest(prompt=prompt, seed=1)).bits

    assert bits("a (red:1) apple") == bits("a red apple") != bits("a (red:5) apple")


def test_prompt_that_changes_draws_the_first_scales_of_the_one_before():
    schedule, count = SPEC.schedules["1:1"], SPEC.tokenizer.bits_per_token
    changed, before, after = (
        unpack_bits(PIPELINE.generate(GenerationRequest(prompt=p, seed=2)).bits[0], schedule, count)
        for p in ("a [boat:red house:3]", "a boat", "a red house")
    )
    assert all(torch.equal(a, b) for a, b in zip(changed[:2], before[:2], strict=True))
    assert not torch.equal(changed[2], before[2]) and not torch.equal(changed[2], after[2])


def test_weights_and_changes_are_read_as_they_were_drawn():
    prompt = "a (red:3) [boat:house of snow:3]"
    request = GenerationRequest(prompt=prompt, seed=2, guidance=1.0, top_k=1)
    done = PIPELINE.generate(request)
    scales = tuple(inspect_bits(PIPELINE, request, done.bits[0]))
    for scale in scales:  # greedy, so every bit is the likelier one
        assert np.array_equal(scale.bits_lD, scale.probability_lD > 0.5)
    assert [len(scale.attention_Tl) for scale in scales] == [4, 4, 6, 6, 6]


def test_stopped_picture_is_not_read():
    done, cancel = PIPELINE.generate(GenerationRequest(prompt="a boat")), threading.Event()
    cancel.set()
    with pytest.raises(StoppedError):
        kept(tiny_pipeline(), done.images[0], cancel=cancel)
    with pytest.raises(StoppedError):
        next(inspect_bits(PIPELINE, done.request, done.bits[0], cancel))
