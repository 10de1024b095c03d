"""Captured graphs on the CPU: a replay is a closure over the same buffers, run again."""

import gc
import logging
import weakref

import pytest
import torch

from infinity.generation import graphs, recorder
from infinity.generation.generate import text_condition
from infinity.generation.graphs import ScaleGraphs
from infinity.generation.recorder import CudaRecorder
from infinity.generation.scale import TEXT_STEP, Plan
from infinity.model.layers import Block
from infinity.request import SamplingParams
from tests.generation.test_generate import GUIDED, SCHEDULE, run, text
from tests.replayer import Replayer
from tests.tiny import SPEC, tiny_transformer

TRANSFORMER = tiny_transformer()
ENDING = SamplingParams(guidance=(3.0, 1.0, 2.0, 1.0), temperature=(1.0, 0.0, 0.5, 1.0))
"""Guided, read without its other half, guided again, and without it from there on."""


def recorded(transformer=TRANSFORMER, **options):
    options = {"eager_runs": 0, **options}
    return ScaleGraphs(transformer, Replayer(), **options)


def never_recorded(transformer=TRANSFORMER):
    return recorded(transformer, eager_runs=10**9)


def plan(sampling=GUIDED, batch=1, schedule=SCHEDULE):
    return Plan.of(schedule, batch, sampling, TEXT_STEP)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.logits_BlD2, other.logits_BlD2)
        assert torch.equal(one.bits_BlD, other.bits_BlD)
        assert torch.equal(one.canvas.latent_Bdyx, other.canvas.latent_Bdyx)


REQUESTS = [
    {"prompts": ("a red apple",), "seeds": (1,)},
    {"prompts": ("snow", "two cats on a mat today"), "seeds": (2, 3), "negatives": ("a dog", None)},
    {"sampling": ENDING},
    {"sampling": SamplingParams(guidance=1.0, top_p=0.9)},
    {"sampling": SamplingParams(guidance=3.0, guidance_layers=(0, -2), confidence=0.7)},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_replays_give_every_bit_of_eager_mode(dtype):
    transformer = tiny_transformer().to(dtype)
    here = recorded(transformer)
    for request in (*REQUESTS, *REQUESTS):
        options = {**request, "transformer": transformer, "keep_logits": True}
        expected = list(run(**options, graphs=never_recorded(transformer)))
        assert_same(list(run(**options, graphs=here)), expected)
    assert here._recorder.replayed > here._recorder.recorded > 0


def test_prompts_filled_up_change_logits_by_rounding_alone():
    for request in REQUESTS[:3]:
        filled = run(**request, keep_logits=True, graphs=never_recorded())
        for one, other in zip(filled, run(**request, keep_logits=True), strict=True):
            torch.testing.assert_close(one.logits_BlD2, other.logits_BlD2, atol=2e-3, rtol=1e-4)


def test_prompt_that_changes_on_the_way_is_read_by_the_graphs():
    def draw(here):
        later = text_condition(TRANSFORMER, [text("snow")], [None], SamplingParams(), len(SCHEDULE))
        return list(run(later={2: later}, keep_logits=True, graphs=here))

    here = recorded()
    for _ in range(2):
        assert_same(draw(here), draw(never_recorded()))
    assert not torch.equal(draw(here)[2].bits_BlD, list(run(graphs=here))[2].bits_BlD)


def test_first_pictures_of_a_plan_are_drawn_in_eager_mode():
    here = recorded(eager_runs=1)
    counts = []
    for seed in (1, 2, 3):
        list(run(seeds=(seed,), graphs=here))
        counts.append((here._recorder.recorded, here._recorder.replayed))
    assert counts == [(0, 0), (len(SCHEDULE), len(SCHEDULE)), (len(SCHEDULE), 2 * len(SCHEDULE))]


def test_warming_up_records_all_scales_and_tells_of_it():
    here, told = recorded(eager_runs=10**9), []
    assert not here.is_recorded(plan())
    assert here.warm_up(plan(), lambda what, part: told.append(part))
    assert told == [index / len(SCHEDULE) for index in range(len(SCHEDULE))]
    assert_same(
        list(run(keep_logits=True, graphs=here)),
        list(run(keep_logits=True, graphs=never_recorded())),
    )
    assert here._recorder.replayed == len(SCHEDULE)


def test_second_run_at_once_is_drawn_in_eager_mode():
    here = recorded()
    expected = list(run(keep_logits=True, graphs=never_recorded()))
    first, second = (run(keep_logits=True, graphs=here) for _ in range(2))
    pairs = list(zip(first, second, strict=True))
    assert_same([one for one, _ in pairs], expected)
    assert_same([other for _, other in pairs], expected)
    assert here._recorder.replayed == len(SCHEDULE)


def test_run_stopped_half_way_gives_the_buffers_back():
    here = recorded()
    stopped = run(graphs=here)
    next(stopped)
    next(stopped)
    assert here._recorder.recorded == 2
    stopped.close()
    expected = list(run(seeds=(7,), keep_logits=True, graphs=never_recorded()))
    assert_same(list(run(seeds=(7,), keep_logits=True, graphs=here)), expected)
    assert here._recorder.recorded == len(SCHEDULE)


def test_recording_that_fails_is_one_line_and_eager_mode(monkeypatch, caplog):
    here = recorded()

    def record(compute):
        if here._recorder.recorded == 2:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return Replayer.record(here._recorder, compute)

    monkeypatch.setattr(here._recorder, "record", record)
    expected = list(run(keep_logits=True, graphs=never_recorded()))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert_same(list(run(keep_logits=True, graphs=here)), expected)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("operation not permitted when stream is capturing")
    assert not here.is_recorded(plan())
    assert not here.warm_up(plan())


def test_weights_that_change_are_used_at_once():
    transformer = tiny_transformer(seed=1)
    here = recorded(transformer)

    def draw(here):
        return list(run(transformer=transformer, keep_logits=True, graphs=here))

    draw(here)
    transformer.head.weight.mul_(1.5)
    assert_same(draw(here), draw(never_recorded(transformer)))
    assert here._recorder.recorded == len(SCHEDULE)
    transformer.head.weight = torch.nn.Parameter(transformer.head.weight * 2, requires_grad=False)
    assert_same(draw(here), draw(never_recorded(transformer)))
    assert here._recorder.recorded == 2 * len(SCHEDULE)


def test_plans_are_bounded_and_share_the_memory_of_their_caches(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_PLANS", 2)
    here = recorded()
    shapes = [("3:2", 2), ("2:3", 2), ("3:2", 1)]
    for ratio, batch in shapes:
        options = {"schedule": SPEC.schedules[ratio], "prompts": ("snow",) * batch}
        list(run(**options, seeds=range(batch), graphs=here))
    kept = [plan(batch=batch, schedule=SPEC.schedules[ratio]) for ratio, batch in shapes]
    assert [here.is_recorded(each) for each in kept] == [False, True, True]
    assert here._recorder.settled
    memory = {buffers.cache.kept.data_ptr() for buffers in here._plans.values()}
    assert len(memory) == 1
    list(run(prompts=("snow",) * 3, seeds=range(3), graphs=here))
    assert len(here._plans) == 1, "larger memory is in another place"


def test_graphs_go_with_their_model_and_leave_another_alone():
    first, second = tiny_transformer(seed=3), tiny_transformer(seed=4)
    graphs_of = {model: recorded(model) for model in (first, second)}
    for model, here in graphs_of.items():
        options = {"transformer": model, "keep_logits": True}
        expected = list(run(**options, graphs=never_recorded(model)))
        assert_same(list(run(**options, graphs=here)), expected)
    gone = weakref.ref(graphs_of.pop(first)), weakref.ref(first)
    del model, here, first, options, expected
    gc.collect()
    assert [each() for each in gone] == [None, None]
    list(run(transformer=second, graphs=graphs_of[second]))


def test_plans_tell_apart_what_launches_other_kernels():
    samplings = [SamplingParams(), SamplingParams(guidance=1.0), ENDING]
    samplings.append(SamplingParams(guidance_layers=(-1,)))
    plans = {plan(sampling, batch) for sampling in samplings for batch in (1, 2)}
    assert len(plans) == 2 * len(samplings)
    assert plan(SamplingParams(guidance=2.0, temperature=0.5, top_p=0.9)) == plan()


def test_fused_blocks_compile_without_a_break_and_round_as_eager_ones(monkeypatch):
    compiled = [
        torch.compile(part, backend="aot_eager", fullgraph=True, dynamic=False)
        for part in (Block.begin, Block.finish)
    ]
    monkeypatch.setattr(recorder, "_compiled", lambda: compiled)
    here = recorded(mode="fused")
    here.warm_up(plan())
    expected = list(run(keep_logits=True, graphs=never_recorded()))
    for one, other in zip(run(keep_logits=True, graphs=here), expected, strict=True):
        torch.testing.assert_close(one.logits_BlD2, other.logits_BlD2, atol=2e-3, rtol=1e-4)
    assert here._recorder.replayed == len(SCHEDULE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_captured_graphs_on_a_card_give_every_bit_of_eager_mode():
    for seed in (0, 1):  # the second after the first has gone
        transformer = tiny_transformer(seed=seed).to("cuda", torch.bfloat16)
        here, eager = (
            ScaleGraphs(transformer, CudaRecorder(transformer.device), eager_runs=runs)
            for runs in (0, 10**9)
        )
        for request in (*REQUESTS, *REQUESTS):
            options = {**request, "transformer": transformer, "keep_logits": True}
            assert_same(run(**options, graphs=here), list(run(**options, graphs=eager)))
        assert not here.is_broken
        here.clear()
