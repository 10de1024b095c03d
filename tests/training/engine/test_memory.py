"""The computed memory against what tiny runs really allocate, and the pages that show it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from infinity.devices import DTYPES
from infinity.model.attention import attend_scale_causally
from infinity.model.rope import rope_table
from infinity.model.transformer import InfinityTransformer
from tests.tiny import SPEC
from tests.training.engine.tiny_run import RATIO, build_tiny_step, tiny_batch, tiny_config
from tests.training.steps.helpers import picture_batch
from tests.training.steps.helpers import tiny_config as picture_config
from training.config import TrainingConfig, load_config
from training.engine.fit import table
from training.engine.memory import block_bytes, needs, saved_bytes
from training.engine.optimization import Average, Optimizer
from training.engine.parallelize import Whole
from training.finetune.lora import add_lora
from training.steps.build import build_step
from training.steps.draws import TransformerDraws
from training.steps.step import MODEL, Step
from training.text_encoder import build_encoder

DOCS = Path(__file__).resolve().parents[3] / "docs" / "scaling.md"
SCHEDULE = SPEC.schedules[RATIO]


def config(**changes: Any) -> TrainingConfig:
    return tiny_config("runs/computed", data={"schedules": {RATIO: SCHEDULE}}, **changes)


def test_page_shows_what_the_script_computes() -> None:
    page = DOCS.read_text()
    for line in table(["2b", "8b"], [8, 64, 256], "1024"):
        assert line in page


def allocated(step: Step, settings: TrainingConfig) -> tuple[int, int]:
    """Bytes of (what is trained, with gradients, moments and averages; the frozen rest of it)."""
    whole = Whole(step)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    tensors: list[Tensor] = []
    for phase in step.phases:
        optimizer = Optimizer(settings.optimization, step, phase, scaler)
        for parameter, moments in zip(
            optimizer.parameters, optimizer.state().values(), strict=True
        ):
            parameter.grad = torch.zeros_like(parameter)
            own = [tensor for name, tensor in moments.items() if name != "step"]
            tensors += [parameter, parameter.grad, *own]
    if settings.optimization.ema_decay is not None:
        trained = [p for part in step.trained.values() for p in part.parameters()]
        average = Average((p for p in trained if p.requires_grad), 0.9)
        tensors += average.tensors.values()
    still = [p for p in whole.parameters() if not p.requires_grad]
    return (
        sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        sum(tensor.numel() * tensor.element_size() for tensor in still),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": None},
        {"optimizer": "muon"},
        {"optimizer": "muon", "ema_decay": None, "dtype": "bfloat16"},
    ],
)
def test_state_is_what_a_run_allocates(changes: dict[str, Any]) -> None:
    settings = config(optimization=changes)
    state, _ = allocated(build_tiny_step(settings), settings)
    assert needs(settings, device="cpu").state == state


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_state_of_an_adapter_is_small_and_its_base_is_frozen(dtype: str) -> None:
    given = config(optimization={"dtype": dtype}).model_dump() | {"lora": {}, "start_from": "tiny"}
    settings = TrainingConfig.model_validate(given)
    step = build_tiny_step(settings)
    assert settings.lora is not None
    add_lora(step.transformer, settings.lora, 0, DTYPES[dtype])
    state, still = allocated(step, settings)
    need = needs(settings, device="cpu")
    beside = needs(config(optimization={"dtype": dtype}), device="cpu").frozen
    assert (need.state, need.frozen - beside) == (state, still)


@pytest.mark.parametrize("losses", [{}, {"perceptual": 1.0, "adversarial": 1.0}])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_tokenizer_s_state_and_activations_are_what_a_step_has(
    losses: dict[str, float], checkpointing: bool
) -> None:
    settings = picture_config(
        "tokenizer",
        tokenizer_losses=losses,
        optimization={"activation_checkpointing": checkpointing},
    )
    step = build_step(settings)
    need = needs(settings, device="cpu")
    assert need.state == allocated(step, settings)[0]
    if checkpointing:
        without = settings.optimization.model_copy(update={"activation_checkpointing": False})
        everything = needs(settings.model_copy(update={"optimization": without}), device="cpu")
        assert need.sample < everything.sample
        return
    batch = picture_batch().slice(0, 2)
    own = [*step.modules.parameters(), *step.frozen.parameters()]
    generators = [torch.Generator().manual_seed(place) for place in range(2)]
    real = saved_bytes(lambda: step.loss(MODEL, batch, generators, 10**6), own)
    assert 0.98 * real <= 2 * need.sample <= 1.1 * real


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("text", [1, 24])
def test_block_keeps_what_is_computed(dtype: str, text: int) -> None:
    """On a CPU, where it can be looked at; the estimate may be a little above."""
    transformer = InfinityTransformer(SPEC.transformer)
    transformer.init_weights(torch.Generator().manual_seed(0))
    table = rope_table(SCHEDULE, SPEC.transformer.head_width, "nearest", transformer.device)
    spans = tuple(SCHEDULE.span(index) for index in range(len(SCHEDULE)))
    hidden = torch.randn(4, SCHEDULE.total_tokens, SPEC.transformer.width, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        condition = transformer.share_text([torch.randn(text, SPEC.transformer.text_width)] * 4)
        block = transformer.blocks[0]
        attend = partial(attend_scale_causally, spans=spans)
        work = partial(block, hidden, condition.blocks[0], table, attend)
        one, four = (saved_bytes(work, block.parameters()) for _ in range(2))
    copies = 0 if dtype == "float32" else 2 * sum(p.numel() for p in block.parameters())
    real = (four - copies) / 4
    assert one == four
    found = block_bytes(SPEC.transformer, SCHEDULE, text, dtype, "cpu")
    assert real <= found <= 1.35 * real


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_of_a_sample_are_what_a_step_keeps(dtype: str) -> None:
    settings = config(optimization={"dtype": dtype})
    step = build_tiny_step(settings)
    batch = tiny_batch(0, range(6))
    draws = TransformerDraws((False,) * 6)
    real = saved_bytes(lambda: step.bit_loss(batch, draws), step.transformer.parameters())
    assert real <= 6 * needs(settings, device="cpu").sample + 2 * sum(
        p.numel() for p in step.transformer.parameters()
    )


def test_text_encoder_that_is_trained_is_counted() -> None:
    given = config().model_dump()
    given["text_encoder"] |= {"source": None, "train": True}
    settings = TrainingConfig.model_validate(given)
    encoder = settings.text_encoder
    width = SPEC.transformer.text_width
    text = build_encoder(encoder.vocabulary, width, encoder.layers, encoder.heads)
    alone, together = needs(config(), device="cpu"), needs(settings, device="cpu")
    assert together.state - alone.state == 20 * sum(p.numel() for p in text.parameters())
    tokens = torch.ones(1, encoder.max_length, dtype=torch.long)
    kept = saved_bytes(lambda: text(input_ids=tokens).last_hidden_state, text.parameters())
    assert together.sample - alone.sample >= kept


def test_frozen_patterns_have_neither_gradients_nor_moments() -> None:
    settings = config().model_copy(update={"freeze": ("blocks.*",)})
    blocks: nn.Module = build_tiny_step(settings).transformer.blocks
    size = 4 * sum(p.numel() for p in blocks.parameters())
    whole, part = needs(config(), device="cpu"), needs(settings, device="cpu")
    assert whole.state - part.state == 5 * size
    assert part.frozen - whole.frozen == size


def shared(settings: TrainingConfig, processes: int, **parallel: Any) -> Any:
    spread = settings.parallel.model_copy(update=parallel)
    return needs(settings.model_copy(update={"parallel": spread}), processes)


def test_sharing_out_divides_the_state_and_sends_instead() -> None:
    settings = config(optimization={"batch_size": 64})
    alone, copies = needs(settings), shared(settings, 8)
    assert (alone.inside, alone.between, alone.gathered) == (0, 0, 0)
    assert copies.inside == 0 and copies.state == alone.state
    full, hybrid = (
        shared(settings, 64, shard="full"),
        shared(settings, 64, shard="hybrid", shard_size=8),
    )
    assert full.state == pytest.approx(alone.state / 64, abs=1)
    assert hybrid.state == pytest.approx(alone.state / 8, abs=1)
    assert 0 < hybrid.between < shared(settings, 64).between
    assert full.between == 0 and full.inside > hybrid.inside


def test_checkpointing_keeps_less_and_activations_grow_with_the_micro_batch() -> None:
    kept, every = (
        needs(config(optimization={"activation_checkpointing": recomputes, "micro_batch_size": 2}))
        for recomputes in (True, False)
    )
    assert kept.activations < every.activations
    double = needs(config(optimization={"activation_checkpointing": True, "micro_batch_size": 4}))
    assert double.activations == 2 * kept.activations and double.state == kept.state


@pytest.mark.parametrize(
    ("preset", "batch", "measured"), [("2b-256", 16, 36.5), ("125m-256", 64, 23.0)]
)
def test_estimate_is_a_little_above_what_an_h100_took(
    preset: str, batch: int, measured: float
) -> None:
    """Measured in GB with one aspect ratio, short captions and no text encoder on the card."""
    settings = load_config(
        overrides={
            "preset": preset,
            "output": "runs/computed",
            "data": {"aspect_ratios": ["1:1"]},
            "optimization": {"batch_size": batch},
            "parallel": {"shard": "none"},
        }
    )
    need = needs(settings)
    assert measured <= (need.state + need.gathered + need.activations) / 1e9 <= 1.15 * measured
