import errno
from pathlib import Path

import pytest
import torch

from infinity.devices import (
    available_devices,
    describe_device,
    dtype_name,
    memory_errors,
    resolve_device,
    resolve_dtype,
)
from infinity.errors import RequestError, ResourceError
from infinity.files import disk_errors


def test_cpu_is_always_there_and_listed_last():
    assert available_devices()[-1] == "cpu"
    assert resolve_device("cpu") == torch.device("cpu")
    assert describe_device(torch.device("cpu")) == "cpu"


@pytest.mark.parametrize("automatic", [None, "auto"])
def test_no_device_asked_for_takes_the_best(monkeypatch, automatic):
    monkeypatch.delenv("INFINITY_DEVICE")
    assert resolve_device(automatic) == torch.device(available_devices()[0])


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "xla", "meta"])
def test_device_this_machine_lacks_is_refused_with_those_it_has(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ResourceError, match=r"has no device.*use one of cpu"):
        resolve_device(device)


def test_cuda_device_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_arch_list", list)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ResourceError, match="use one of cuda, cuda:0, cuda:1"):
        resolve_device("cuda:2")


def test_nonsense_is_not_a_device():
    with pytest.raises(ResourceError, match="'toaster' is not a device"):
        resolve_device("toaster")


def test_precision_follows_the_device_unless_asked_for():
    assert resolve_dtype(None, torch.device("cpu")) == torch.float32
    assert resolve_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert resolve_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    assert resolve_dtype(torch.float32, torch.device("cuda")) == torch.float32
    assert resolve_dtype("torch.float32", torch.device("cuda")) == torch.float32
    assert dtype_name(torch.bfloat16) == "bfloat16"


@pytest.mark.parametrize("dtype", ["int8", "float16", "", torch.float64])
def test_precision_no_model_runs_in_is_refused(dtype):
    with pytest.raises(RequestError, match="Unknown precision"):
        resolve_dtype(dtype, torch.device("cpu"))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_becomes_a_sentence(error):
    sentence = r"^Out of memory while drawing; ask for fewer\.$"
    with (
        pytest.raises(ResourceError, match=sentence),
        memory_errors("drawing", "ask for fewer"),
    ):
        raise error


def test_other_errors_pass_through_unchanged():
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("drawing", "rest"):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "may not be written"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), "could not be saved"),
    ],
)
def test_failing_write_becomes_a_sentence(error, sentence):
    with pytest.raises(ResourceError, match=sentence), disk_errors(Path("x.png")):
        raise error


@pytest.mark.parametrize("automatic", [None, "auto"])
def test_environment_settles_the_device_where_none_is_asked_for(monkeypatch, automatic):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_arch_list", list)
    monkeypatch.setenv("INFINITY_DEVICE", "cpu")
    assert resolve_device(automatic) == torch.device("cpu")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    monkeypatch.setenv("INFINITY_DEVICE", "cuda:7")
    with pytest.raises(ResourceError, match="no device 'cuda:7'"):
        resolve_device(automatic)
    for unset in ("", "auto"):
        monkeypatch.setenv("INFINITY_DEVICE", unset)
        assert resolve_device(automatic) == torch.device("cuda")
