"""Which device and precision to run on, and what to say when the machine cannot."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from infinity.errors import RequestError, ResourceError, quoted
from infinity.nvidia import unusable_card, usable_cards

logger = logging.getLogger(__name__)

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precisions by the name a user gives."""

CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container."""


DEVICE_VARIABLE = "INFINITY_DEVICE"
"""Environment variable that names the device where none is given."""


def available_devices() -> tuple[str, ...]:
    """Names a user may give, best first; every CUDA device by number if there are several."""
    cards = usable_cards()
    names = ["cuda"] if 0 in cards else []
    if cards and torch.cuda.device_count() > 1:
        names.extend(f"cuda:{i}" for i in cards)
    if torch.backends.mps.is_available():
        names.append("mps")
    return (*names, "cpu")


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """A device by name; None or "auto" takes that of $INFINITY_DEVICE, else the best there is.

    An NVIDIA card that torch cannot use is logged once, or named in the error.

    Raises:
        ResourceError: this machine has no such device.
    """
    if device is None or device == "auto":
        device = os.environ.get(DEVICE_VARIABLE) or "auto"
    if device in ("cpu", torch.device("cpu")):
        return torch.device("cpu")  # no card is asked anything
    available = available_devices()
    if device == "auto":
        if available[0] == "cpu" and (unusable := unusable_card()):
            _warn_once(unusable)
        return torch.device(available[0])
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ResourceError(
            f"{quoted(device)} is not a device; use one of {', '.join(available)}."
        ) from error
    if resolved.type == "cuda":
        found = (resolved.index or 0) in usable_cards()
    else:
        found = resolved.type in available
    if not found:
        unusable = unusable_card() if resolved.type == "cuda" else None
        raise ResourceError(
            f"This machine has no device {quoted(str(device))}; use one of {', '.join(available)}."
            + (f" {unusable}." if unusable else "")
        )
    return resolved


@cache
def _warn_once(unusable: str) -> None:
    logger.warning("%s", unusable)


def resolve_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """A precision; None or "auto" is bfloat16 on CUDA and float32 elsewhere.

    Raises:
        RequestError: not a precision a model can run in.
    """
    if dtype is None or dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    resolved = DTYPES.get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else dtype
    if resolved is None or resolved not in DTYPES.values():
        raise RequestError(f"Unknown precision {quoted(dtype)}; use one of {', '.join(DTYPES)}.")
    return resolved


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def describe_device(device: torch.device) -> str:
    """For a picture's record: "cpu", or "cuda" with the name of the card."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


@contextmanager
def memory_errors(what: str, advice: str) -> Iterator[None]:
    """Turn running out of memory into one sentence. Never hold it across a yield.

    Raises:
        ResourceError: the device or the machine ran out of memory inside the block.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(f"Out of memory while {what}; {advice}.") from error
    except RuntimeError as error:
        # The CPU allocator raises a plain RuntimeError.
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise ResourceError(f"Out of memory while {what}; {advice}.") from error


def memory_of(device: torch.device) -> tuple[int, int] | None:
    """(free, all) bytes of a device's memory; None where the system does not tell.

    A container's limit counts as all there is.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total)
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
        free = page * os.sysconf("SC_AVPHYS_PAGES")
        meminfo = (
            Path("/proc/meminfo").read_text(encoding="utf-8")
            if Path("/proc/meminfo").exists()
            else ""
        )
    except (AttributeError, ValueError, OSError):
        return None
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            free = 1024 * int(line.split()[1])
    limit, used = (_number_in(CONTROL_GROUP / name) for name in ("memory.max", "memory.current"))
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - (used or 0))
    return max(free, 0), total


def _number_in(path: Path) -> int | None:
    """The whole number a file holds; None if there is no such file or number."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
