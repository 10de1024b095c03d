import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from infinity.errors import RequestError
from infinity.generation.generate import ScaleStep, generate, leading, text_condition
from infinity.generation.sampling import guide, seeded_generator
from infinity.model.cache import KVCache
from infinity.request import SamplingParams
from infinity.tokenizer.quantizer import ResidualCanvas
from tests.tiny import PATCHIFY_SPEC, SPEC, WordsEncoder, tiny_transformer

TRANSFORMER = tiny_transformer()
SCHEDULE = SPEC.schedules["3:2"]
WORDS = WordsEncoder()
GUIDED = SamplingParams(guidance=3.0)


def text(prompt: str) -> torch.Tensor:
    return WORDS.encode(prompt).features


def run(
    sampling: SamplingParams = GUIDED,
    prompts: Sequence[str] = ("a red apple",),
    seeds: Sequence[int] = (1,),
    negatives: Sequence[str | None] | None = None,
    transformer=TRANSFORMER,
    spec=SPEC,
    schedule=SCHEDULE,
    **options,
):
    """The generator of a run."""
    encoded = [None if n is None else text(n) for n in negatives or [None] * len(prompts)]
    condition = text_condition(
        transformer, [text(prompt) for prompt in prompts], encoded, sampling, len(schedule)
    )
    generators = [seeded_generator(seed) for seed in seeds]
    return generate(
        transformer, spec.tokenizer, condition, schedule, sampling, generators, **options
    )


def bits_of(steps: Sequence[ScaleStep]) -> torch.Tensor:
    return torch.cat([step.bits_BlD for step in steps], 1)


class CountingRows:
    """Notes how many rows each scale ran with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        original = TRANSFORMER.forward_scale

        def counted(*arguments):
            hidden = original(*arguments)
            self.rows.append(len(hidden))
            return hidden

        monkeypatch.setattr(TRANSFORMER, "forward_scale", counted)


def test_steps_cover_the_schedule_and_carry_the_canvas():
    canvas = ResidualCanvas(SPEC.tokenizer, SCHEDULE, 1)
    for index, step in enumerate(run()):
        scale = SCHEDULE[index]
        assert (step.index, step.bits_BlD.shape[1]) == (index, scale.tokens)
        assert step.bits_BlD.shape == (1, scale.tokens, 8)
        assert step.bits_BlD.dtype == torch.bool
        assert step.logits_BlD2 is None
        assert step.seconds > 0
        canvas.add(step.bits_BlD)
        assert torch.equal(step.canvas.latent_Bdyx, canvas.latent_Bdyx)
    assert index == len(SCHEDULE) - 1


@pytest.mark.parametrize("spec", [SPEC, PATCHIFY_SPEC], ids=lambda spec: spec.name)
def test_unguided_logits_equal_the_teacher_forced_ones(spec):
    transformer = tiny_transformer(spec)
    sampling = SamplingParams(guidance=1.0)
    steps = list(run(sampling, transformer=transformer, spec=spec, keep_logits=True))
    inputs = torch.cat([step.input_BlD for step in steps[1:]], 1)
    with torch.inference_mode():
        condition = transformer.encode_text([text("a red apple")])
        expected = transformer(inputs, condition, SCHEDULE)
    found = torch.cat([step.logits_BlD2 for step in steps], 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_guided_logits_equal_the_mix_of_teacher_forced_halves():
    sampling = SamplingParams(guidance=(3.0, 1.0, 2.0), temperature=0.5)
    steps = list(run(sampling, keep_logits=True))
    inputs = torch.cat([step.input_BlD for step in steps[1:]], 1)
    prompt = text("a red apple")
    with torch.inference_mode():
        rows = [prompt, TRANSFORMER.unconditional_text(len(prompt))]
        condition = TRANSFORMER.encode_text(rows)
        halves = TRANSFORMER(inputs.expand(2, -1, -1), condition, SCHEDULE) * 2.0
    for step, guidance in zip(steps, (3.0, 1.0, 2.0, 2.0), strict=True):
        expected = guide(halves[:, SCHEDULE.span(step.index)], guidance)
        torch.testing.assert_close(step.logits_BlD2, expected, atol=1e-3, rtol=1e-4)


def test_batch_of_three_equals_three_single_runs():
    prompts, seeds = ("a red apple", "two cats on a mat today", "snow"), (4, 5, 6)
    together = list(run(prompts=prompts, seeds=seeds, keep_logits=True))
    for row in range(3):
        alone = list(
            run(prompts=prompts[row : row + 1], seeds=seeds[row : row + 1], keep_logits=True)
        )
        assert torch.equal(bits_of(together)[row : row + 1], bits_of(alone))
        for one, three in zip(alone, together, strict=True):
            torch.testing.assert_close(
                three.logits_BlD2[row : row + 1], one.logits_BlD2, atol=1e-4, rtol=0
            )


def test_guidance_one_equals_no_guidance_and_runs_no_unconditional_row(monkeypatch):
    counting = CountingRows(monkeypatch)
    steps = list(run(SamplingParams(guidance=1.0)))
    assert counting.rows == [1] * len(SCHEDULE)
    everywhere = list(run(SamplingParams(guidance=(1.0, 1.0), guidance_layers=(0, -2))))
    assert torch.equal(bits_of(everywhere), bits_of(steps))


@pytest.mark.parametrize("layers", [(0,), (-1,), (-2,), (0, -2)])
@pytest.mark.parametrize(
    ("sampling", "rows"),
    [
        (SamplingParams(guidance=3.0, guided_scales=2), [2, 2, 1, 1]),
        (SamplingParams(guidance=(1.0, 4.0, 1.0)), [2, 2, 1, 1]),
        (SamplingParams(guidance=(1.0, 1.0, 4.0)), [2, 2, 2, 2]),
    ],
)
def test_ending_guidance_early_equals_carrying_both_halves_along(
    monkeypatch, sampling, rows, layers
):
    sampling = replace(sampling, guidance_layers=layers)
    counting = CountingRows(monkeypatch)
    steps = list(run(sampling, keep_logits=True))
    assert counting.rows == rows
    monkeypatch.undo()
    monkeypatch.setattr("infinity.generation.generate.guided_length", lambda *_: len(SCHEDULE))
    carried = list(run(sampling, keep_logits=True))
    assert torch.equal(bits_of(carried), bits_of(steps))
    for one, other in zip(steps, carried, strict=True):
        torch.testing.assert_close(one.logits_BlD2, other.logits_BlD2, atol=1e-4, rtol=0)


def test_guidance_on_features_differs_from_guidance_on_logits():
    runs = [
        list(run(SamplingParams(guidance=3.0, guidance_layers=layers), keep_logits=True))
        for layers in ((0,), (-1,), (-2,), (0, -1))
    ]
    first = [steps[0].logits_BlD2 for steps in runs]
    assert all(not torch.allclose(first[0], other) for other in first[1:])


def test_negative_prompt_takes_the_place_of_the_unconditional_text():
    plain = bits_of(list(run()))
    assert not torch.equal(bits_of(list(run(negatives=["blue"]))), plain)
    unconditional = TRANSFORMER.unconditional_text(len(text("a red apple")))
    condition = text_condition(TRANSFORMER, [text("a red apple")], [unconditional], GUIDED, 4)
    steps = generate(
        TRANSFORMER, SPEC.tokenizer, condition, SCHEDULE, GUIDED, [seeded_generator(1)]
    )
    assert torch.equal(bits_of(list(steps)), plain)


def test_temperature_list_is_greedy_where_it_is_zero():
    sampling = SamplingParams(guidance=1.0, temperature=(1.0, 0.0))
    for step in list(run(sampling, keep_logits=True))[1:]:
        assert torch.equal(step.bits_BlD, step.logits_BlD2[..., 1] > step.logits_BlD2[..., 0])


def test_greedy_runs_ignore_the_seed():
    sampling = SamplingParams(temperature=0.0)
    assert torch.equal(
        bits_of(list(run(sampling, seeds=(1,)))), bits_of(list(run(sampling, seeds=(2,))))
    )


def test_leading_bits_that_were_drawn_anyway_change_nothing():
    steps = list(run())
    forced = [step.bits_BlD for step in steps[:2]]
    assert torch.equal(bits_of(list(run(revise=leading(forced)))), bits_of(steps))


def test_leading_bits_are_used_and_change_what_follows():
    steps = list(run())
    forced = [~steps[0].bits_BlD]
    other = list(run(revise=leading(forced)))
    assert torch.equal(other[0].bits_BlD, forced[0])
    assert not torch.equal(bits_of(other)[:, 1:], bits_of(steps)[:, 1:])


def test_interleaved_and_abandoned_runs_do_not_disturb_each_other():
    expected = bits_of(list(run())), bits_of(list(run(prompts=("snow",), seeds=(9,))))
    first, second, abandoned = run(), run(prompts=("snow",), seeds=(9,)), run(seeds=(3,))
    next(abandoned)
    one, two = [], []
    for _ in SCHEDULE:
        one.append(next(first))
        two.append(next(second))
    abandoned.close()
    assert torch.equal(bits_of(one), expected[0])
    assert torch.equal(bits_of(two), expected[1])


def test_resuming_on_other_threads_neither_loses_nor_leaks_inference_mode():
    steps, leaked = [], []
    running = run()

    def resume() -> None:
        steps.append(next(running))
        leaked.append(torch.is_inference_mode_enabled())

    for _ in SCHEDULE:
        thread = threading.Thread(target=resume)
        thread.start()
        thread.join()
    assert leaked == [False] * len(SCHEDULE)
    assert all(step.canvas.latent_Bdyx.is_inference() for step in steps)
    assert torch.equal(bits_of(steps), bits_of(list(run())))


def test_cache_is_of_the_precision_of_the_blocks(monkeypatch):
    transformer = tiny_transformer()
    for block in transformer.blocks:
        block.attention.bfloat16()
    made = []

    class Recorded(KVCache):
        def __init__(self, config, schedule, batch, dtype, *rest, **options) -> None:
            super().__init__(config, schedule, batch, dtype, *rest, **options)
            made.append((batch, dtype))

    monkeypatch.setattr("infinity.model.transformer.KVCache", Recorded)
    next(run(transformer=transformer))
    assert made == [(2, torch.bfloat16)]


def test_bfloat16_blocks_draw_valid_bits():
    transformer = tiny_transformer().bfloat16()
    steps = list(run(transformer=transformer, keep_logits=True))
    assert bits_of(steps).shape == (1, SCHEDULE.total_tokens, 8)
    assert all(step.logits_BlD2.isfinite().all() for step in steps)
    assert all(step.logits_BlD2.dtype == torch.float32 for step in steps)


def test_layer_the_model_does_not_have_is_refused_before_any_work():
    sampling = SamplingParams(guidance_layers=(-9,))
    with pytest.raises(RequestError, match="guidance layer -9"):
        next(run(sampling))


def test_condition_of_another_batch_is_refused():
    condition = text_condition(TRANSFORMER, [text("snow")], [None], GUIDED, 4)
    steps = generate(
        TRANSFORMER,
        SPEC.tokenizer,
        condition,
        SCHEDULE,
        GUIDED,
        [seeded_generator(s) for s in (1, 2)],
    )
    with pytest.raises(ValueError, match="does not fit 2 pictures"):
        next(steps)
