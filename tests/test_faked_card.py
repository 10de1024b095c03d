"""On a machine with a CUDA card the tests pass and leave the card alone, in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from infinity.errors import ResourceError
from infinity.kept_models import free_cached_memory
from tests.training.data.make import as_folder, config_for, small_set
from training.data.batches import batches
from training.engine.processes import open_processes, peak_memory_bytes

ROOT = Path(__file__).resolve().parent.parent
CARD = str(ROOT / "tests" / "faked_card")
FAST = (
    "tests/test_pipeline.py",
    "tests/test_cli.py",
    "tests/checkpoints/test_adapter.py",
    "tests/training/engine/test_train.py",
)
QUICK = "not program and not heavy and not version"
"""Without those whose own Python ends before it would look for a card."""


def test_tests_pass_where_a_card_is_and_leave_it_alone():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", QUICK, *FAST],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": CARD},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_faked_card_is_taken_where_nothing_forbids_it():
    run = "from infinity import InfinityPipeline; InfinityPipeline.from_pretrained('default')"
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": CARD, "INFINITY_DEVICE": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "the CUDA card was used" in done.stderr


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_arch_list", list)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    return monkeypatch


@pytest.mark.parametrize(
    ("variable", "local_rank", "device"),
    [
        ("cpu", None, "cpu"),
        ("cpu", "1", "cpu"),
        ("", None, "cuda:0"),
        ("", "1", "cuda:1"),
        ("cuda:1", None, "cuda:1"),
    ],
)
def test_training_process_computes_on_its_own_card_or_none(two_cards, variable, local_rank, device):
    two_cards.setenv("INFINITY_DEVICE", variable)
    if local_rank is not None:
        two_cards.setenv("LOCAL_RANK", local_rank)
    with open_processes() as processes:
        assert processes.device == torch.device(device)


def test_more_training_processes_than_cards_is_a_sentence(two_cards):
    two_cards.setenv("INFINITY_DEVICE", "")
    two_cards.setenv("LOCAL_RANK", "2")
    with pytest.raises(ResourceError, match="--nproc-per-node 2"), open_processes():
        pass


@pytest.mark.filterwarnings("error")
def test_pictures_are_not_pinned_for_a_card_that_is_not_used(two_cards, tmp_path):
    source = as_folder(tmp_path / "set", small_set(8))
    assert next(batches(config_for(source))).pictures_u8 is not None


def test_memory_told_is_that_of_the_device_used(two_cards):
    assert peak_memory_bytes(torch.device("cpu")) > 10**7


def test_freeing_memory_wakes_no_card(two_cards):
    two_cards.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("the card was used"))
    free_cached_memory()
