"""An NVIDIA card that the installed torch cannot use is named, with what to do; simulated."""

from __future__ import annotations

import logging
import stat

import pytest
import torch

from infinity import devices
from infinity.devices import resolve_device
from infinity.errors import ResourceError

LINK = "https://pytorch.org/get-started/locally/"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without any card, where nothing settles the device."""
    monkeypatch.delenv("INFINITY_DEVICE")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devices, "NVIDIA_FILES", (tmp_path / "driver", tmp_path / "nvidia0"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    devices.card_found.cache_clear()
    devices._warn_once.cache_clear()
    yield monkeypatch
    devices.card_found.cache_clear()


def tool(tmp_path, script):
    path = tmp_path / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def old_card(tmp_path):
    tool(tmp_path, "echo 'NVIDIA GeForce RTX 3060, 470.82.00'")


EVIDENCE = {
    "driver": (lambda folder: (folder / "driver").mkdir(), "An NVIDIA card"),
    "nvidia-smi": (
        lambda folder: tool(folder, "echo 'NVIDIA A10G, 535.1'; echo 'NVIDIA A10G, 535.1'"),
        r"NVIDIA A10G \(driver 535.1\)",
    ),
    "device": (lambda folder: (folder / "nvidia0").touch(), "An NVIDIA card"),
    "broken nvidia-smi": (
        lambda folder: (tool(folder, "echo NVML mismatch; exit 18"), (folder / "nvidia0").touch()),
        "An NVIDIA card",
    ),
}


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_torch_for_the_cpu_on_a_machine_with_a_card_is_told_once(
    machine, tmp_path, caplog, evidence
):
    put, name = EVIDENCE[evidence]
    put(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert resolve_device() == resolve_device("auto") == torch.device("cpu")
    (told,) = caplog.messages
    assert "not for NVIDIA cards" in told
    assert LINK in told
    with pytest.raises(ResourceError, match=f"no device 'cuda'.*{name}.*{LINK}"):
        resolve_device("cuda")


def test_driver_too_old_for_torch_is_told_with_what_to_update(machine, tmp_path):
    old_card(tmp_path)
    machine.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(ResourceError, match=r"driver 470.82.00\).*CUDA 13.0.*update its driver"):
        resolve_device("cuda")
    machine.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(ResourceError, match="CUDA_VISIBLE_DEVICES is '7'"):
        resolve_device("cuda:0")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_card_that_is_hidden_or_not_there_is_not_spoken_of(machine, tmp_path, caplog, hidden):
    resolve_device()
    old_card(tmp_path)
    devices.card_found.cache_clear()
    resolve_device("cpu")
    machine.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert resolve_device() == torch.device("cpu")
    assert not caplog.messages


def cards(machine, *capabilities, built):
    machine.setattr(torch.version, "cuda", "13.0")
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    machine.setattr(torch.cuda, "get_arch_list", built.split)
    machine.setattr(torch.cuda, "get_device_capability", lambda number: capabilities[number])
    machine.setattr(torch.cuda, "get_device_name", lambda number: f"Card {number}")


BUILT = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"


@pytest.mark.parametrize(
    ("capability", "built", "usable"),
    [
        ((6, 1), BUILT, False),
        ((7, 0), BUILT, False),
        ((8, 9), BUILT, True),
        ((9, 0), BUILT, True),
        ((9, 0), "sm_90a", True),
        ((11, 0), BUILT, False),
        ((13, 0), f"{BUILT} compute_120", True),
        ((6, 1), f"{BUILT} compute_120", False),
        ((12, 1), BUILT, True),
        ((6, 1), "", True),
    ],
)
def test_card_is_used_only_if_torch_was_built_for_it(machine, caplog, capability, built, usable):
    cards(machine, capability, built=built)
    assert resolve_device().type == ("cuda" if usable else "cpu")
    assert len(caplog.messages) == (0 if usable else 1)
    if not usable:
        with pytest.raises(ResourceError, match=f"Card 0 is not used.*{capability[0]}.*sm_120"):
            resolve_device("cuda")


def test_other_card_is_taken_where_the_first_cannot_be_used(machine):
    cards(machine, (6, 1), (8, 6), built=BUILT)
    assert resolve_device() == resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ResourceError, match=r"use one of cuda:1, cpu\. Card 0 is not used"):
        resolve_device("cuda:0")
