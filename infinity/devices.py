"""Which device and precision to run on, and what to say when the machine cannot.

An NVIDIA card that the installed torch cannot use is named, with what to do about it.
"""

import logging
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from infinity.errors import RequestError, ResourceError, quoted

logger = logging.getLogger(__name__)

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precisions by the name a user gives."""

CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container."""

CAPTURING = threading.Lock()
"""Held while a CUDA graph is captured, and while memory is given back to the card: not both at a time."""

DEVICE_VARIABLE = "INFINITY_DEVICE"
"""Environment variable that names the device where none is given."""

NVIDIA_FILES = (Path("/proc/driver/nvidia"), Path("/dev/nvidia0"))
VISIBLE = "CUDA_VISIBLE_DEVICES"
INSTALL = "https://pytorch.org/get-started/locally/"
DRIVERS = "https://www.nvidia.com/drivers"


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
    is_cuda = resolved.type == "cuda"
    if (resolved.index or 0) in usable_cards() if is_cuda else resolved.type in available:
        return resolved
    unusable = unusable_card() if is_cuda else None
    raise ResourceError(
        f"This machine has no device {quoted(str(device))}; use one of {', '.join(available)}."
        + (f" {unusable}." if unusable else "")
    )


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
    except (AttributeError, ValueError, OSError):
        return None
    kilobytes = _number_in(Path("/proc/meminfo"), "MemAvailable:")
    free = free if kilobytes is None else 1024 * kilobytes
    limit, used = (_number_in(CONTROL_GROUP / name) for name in ("memory.max", "memory.current"))
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - (used or 0))
    return max(free, 0), total


def _number_in(path: Path, before: str = "") -> int | None:
    """The first whole number in a file, behind ``before``; None if there is no such file or number."""
    try:
        found = re.search(rf"{before}\s*(\d+)", path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None


def usable_cards() -> list[int]:
    """Numbers of the CUDA devices that the installed torch can compute on."""
    if not torch.cuda.is_available():
        return []
    return [number for number in range(torch.cuda.device_count()) if _has_kernels(number)]


def unusable_card() -> str | None:
    """A sentence that names an NVIDIA card which torch cannot use, and says what to do; None where
    there is none, or where the environment hides it."""
    if torch.cuda.is_available():
        for number in set(range(torch.cuda.device_count())).difference(usable_cards()):
            return (
                f"{torch.cuda.get_device_name(number)} is not used: its compute capability "
                f"{'.'.join(map(str, torch.cuda.get_device_capability(number)))} is none of those of "
                f"torch {torch.__version__} ({', '.join(torch.cuda.get_arch_list())}); install "
                f"another version of torch that has it: {INSTALL}"
            )
        return None
    visible = os.environ.get(VISIBLE, "0")
    if visible.strip() in ("", "-1") or (card := card_found()) is None:
        return None
    if torch.version.cuda is None:
        return (
            f"{card} is not used: torch {torch.__version__}, as installed, is not for NVIDIA cards "
            f"(on Windows, what pip brings by default is for the CPU); choose CUDA at {INSTALL} and "
            "run the command it shows"
        )
    return (
        f"{card} is not used: torch {torch.__version__} for CUDA {torch.version.cuda} cannot reach it; "
        f"update its driver ({DRIVERS}) or install torch for an older CUDA ({INSTALL}); "
        "in a container, pass the card through"
        + (f"; {VISIBLE} is {visible[:50]!r}, is that right?" if VISIBLE in os.environ else "")
    )


def _has_kernels(number: int) -> bool:
    """Whether torch was built for a card: for its generation, or in a form its driver translates."""
    built = re.findall(r"(sm|compute)_(\d+)(\d)", " ".join(torch.cuda.get_arch_list()))
    if not built or torch.version.cuda is None:
        return True
    card = torch.cuda.get_device_capability(number)
    return any(
        (int(major), int(minor)) <= card and (kind == "compute" or int(major) == card[0])
        for kind, major, minor in built
    )


@cache
def card_found() -> str | None:
    """The first NVIDIA card of the machine, independent of torch: its name and driver where known."""
    if (tool := shutil.which("nvidia-smi")) is not None:
        query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        try:
            asked = subprocess.run(
                query, capture_output=True, encoding="utf-8", timeout=20, check=True
            )
            name, driver = asked.stdout.splitlines()[0].split(", ")
            return f"{name} (driver {driver})"
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            pass  # a broken tool tells nothing
    return "An NVIDIA card" if any(path.exists() for path in NVIDIA_FILES) else None
