"""NVIDIA cards that the installed torch can use, and what to do about one that it cannot."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch

DRIVER = Path("/proc/driver/nvidia")
DEVICE_FILE = Path("/dev/nvidia0")
VISIBLE = "CUDA_VISIBLE_DEVICES"
INSTALL = "https://pytorch.org/get-started/locally/"
DRIVERS = "https://www.nvidia.com/drivers"


def usable_cards() -> list[int]:
    """Numbers of the CUDA devices that the installed torch can compute on."""
    if not torch.cuda.is_available():
        return []
    return [number for number in range(torch.cuda.device_count()) if _has_kernels(number)]


def unusable_card() -> str | None:
    """A sentence that names an NVIDIA card which torch cannot use, and says what to do; None where
    there is none, or where the environment hides it."""
    if torch.cuda.is_available():
        return next(
            (
                f"{torch.cuda.get_device_name(number)} is not used: its compute capability "
                f"{'.'.join(map(str, torch.cuda.get_device_capability(number)))} is none of those of "
                f"torch {torch.__version__} ({', '.join(torch.cuda.get_arch_list())}); install "
                f"another version of torch that has it: {INSTALL}"
                for number in range(torch.cuda.device_count())
                if not _has_kernels(number)
            ),
            None,
        )
    visible = os.environ.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return None
    card = card_found()
    if card is None:
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
        + (f"; {VISIBLE} is {visible[:50]!r}, is that right?" if visible else "")
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
    for information in sorted(DRIVER.glob("gpus/*/information")):
        model = re.search(r"Model:\s*(.+)", information.read_text(encoding="utf-8"))
        version = DRIVER / "version"
        driver = version.read_text(encoding="utf-8") if version.exists() else ""
        number = re.search(r"\s(\d+(\.\d+)+)\s", driver)
        return _named(model and model[1].strip(), number and number[1])
    if (tool := shutil.which("nvidia-smi")) is not None:
        query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        try:
            asked = subprocess.run(
                query, capture_output=True, encoding="utf-8", timeout=20, check=False
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            asked = None  # a broken tool tells nothing
        if asked is not None and asked.returncode == 0 and asked.stdout.strip():
            name, _, driver = asked.stdout.splitlines()[0].partition(",")
            return _named(name.strip(), driver.strip())
    return _named(None, None) if DRIVER.exists() or DEVICE_FILE.exists() else None


def _named(name: str | None, driver: str | None) -> str:
    return (name or "An NVIDIA card") + (f" (driver {driver})" if driver else "")
