"""The computed memory and communication, and the page that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from infinity.model.transformer import InfinityTransformer
from tests.tiny import SPEC
from training.engine.memory import Setup, needs, parameters, table

DOCS = Path(__file__).resolve().parents[3] / "docs" / "scaling.md"
CONFIG = SPEC.transformer


def setup(**changes: int) -> Setup:
    return Setup(**{"gpus": 8, "shard_size": 8, "tokens": 100, **changes})


def test_page_shows_what_the_script_computes() -> None:
    page = DOCS.read_text()
    for line in table(["2b", "8b"], [8, 64, 256], "1024"):
        assert line in page


def test_parameters_are_those_of_the_model() -> None:
    block, outside = parameters(CONFIG)
    model = InfinityTransformer(CONFIG)
    assert block * CONFIG.depth + outside == sum(p.numel() for p in model.parameters())


def test_state_is_twenty_bytes_a_parameter_shared_out() -> None:
    block, outside = parameters(CONFIG)
    total = block * CONFIG.depth + outside
    assert needs(CONFIG, setup(shard_size=1, gpus=1)).state == 20 * total
    assert needs(CONFIG, setup()).state == pytest.approx(20 * total / 8, abs=1)
    assert needs(CONFIG, Setup(gpus=8, shard_size=8, tokens=100, ema=False)).state == pytest.approx(
        16 * total / 8, abs=1
    )


def test_nothing_is_sent_alone_and_copies_only_send_gradients() -> None:
    alone = needs(CONFIG, setup(gpus=1, shard_size=1))
    assert (alone.inside, alone.between, alone.gathered) == (0, 0, 0)
    copies = needs(CONFIG, setup(shard_size=1))
    block, outside = parameters(CONFIG)
    total = block * CONFIG.depth + outside
    assert copies.inside == 0
    assert copies.between == pytest.approx(2 * 7 / 8 * 4 * total, abs=1)


def test_hybrid_sends_less_between_copies_than_copies_alone() -> None:
    hybrid, full = needs(CONFIG, setup(gpus=64)), needs(CONFIG, setup(gpus=64, shard_size=64))
    assert 0 < hybrid.between < needs(CONFIG, setup(gpus=64, shard_size=1)).between
    assert full.between == 0 and full.inside > hybrid.inside and full.state < hybrid.state


def test_checkpointing_keeps_less_and_activations_grow_with_the_batch() -> None:
    kept, all_kept = (
        needs(CONFIG, Setup(gpus=1, shard_size=1, tokens=100, checkpointing=checkpointing))
        for checkpointing in (True, False)
    )
    assert kept.activations < all_kept.activations
    double = needs(CONFIG, setup(gpus=1, shard_size=1, micro_batch=2))
    assert double.activations == 2 * kept.activations and double.state == kept.state
