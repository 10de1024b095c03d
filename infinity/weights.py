"""Reading weight files safely: no code in them is run, and tensors are read when they are needed.

Tensors come memory-mapped, so opening a file of many gigabytes costs nothing and a tensor whose
dtype changes on the way never has its siblings in memory beside it.
"""

import ctypes
import mmap
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from safetensors import SafetensorError, safe_open
from torch import Tensor

from infinity.errors import CheckpointError, listed
from infinity.files import read_json, special
from infinity.int8 import dequantized

_NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")),
    *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Upstream's trainer leaves numpy's numbers among its settings: plain values, which run nothing."""
PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
WEIGHT_SUFFIXES = (*PICKLE_SUFFIXES, ".safetensors")
INDEX_SUFFIX = ".index.json"


@dataclass
class Weights:
    """Named tensors from files.

    Attributes:
        tensors: by name; ``take`` removes them one by one.
        mapped: all of them lie in files, not in memory.
        source: for messages.
        extra: what else a checkpoint held, such as a training run's arguments.
    """

    tensors: dict[str, Tensor]
    source: Path
    mapped: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        """A tensor on ``device`` in ``dtype``, removed from here, its file pages released."""
        tensor = self.tensors.pop(name)
        converted = tensor.to(device=device, dtype=dtype)
        if self.mapped and converted.data_ptr() != tensor.data_ptr():
            _forget_pages(tensor)
        return converted.contiguous()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        CheckpointError: it is missing, truncated or damaged.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_notes(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; {} for other files.

    Raises:
        CheckpointError: missing or damaged.
    """
    if path.suffix.lower() != ".safetensors":
        return {}
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error}); fetch or save it again."
        ) from error


def _read_pickle(path: Path) -> tuple[Any, bool]:
    """What ``torch.save`` wrote, tensors and plain containers only; and whether it is mapped.

    Raises:
        CheckpointError: truncated, damaged, or holding objects that could run code.
    """
    mapped = zipfile.is_zipfile(path)
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped), mapped
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Unsupported class" in str(error):
            raise CheckpointError(
                f"{path} holds objects other than weights and was not opened, because reading them "
                "could run code; only open checkpoints of plain weights."
            ) from error
        raise CheckpointError(f"{path} is damaged or truncated; fetch it again.") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged or truncated; fetch it again.") from error


def read_file(path: Path) -> tuple[Any, bool]:
    """A weights file of either format: what it holds, and whether it is mapped."""
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path), True
    _require_file(path)
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return _read_pickle(path)
    raise CheckpointError(
        f"{path} is not a weights file; its name should end in .safetensors or "
        f"{' or '.join(PICKLE_SUFFIXES)}."
    )


def read_shards(folder: Path) -> Weights:
    """A folder of shards with their index (transformers' layout), or of one weights file.

    Raises:
        CheckpointError: no index, a shard missing or damaged, tensors the index does not name.
    """
    indexes = sorted(folder.glob(f"*{INDEX_SUFFIX}"))
    if len(safe := [index for index in indexes if ".safetensors." in index.name]) == 1:
        indexes = safe  # the same weights in both formats, as the hub keeps them
    if len(indexes) != 1:
        raise CheckpointError(
            f"{folder} should have one {INDEX_SUFFIX} file, it has {len(indexes)}; "
            "give the folder of a sharded checkpoint, or a weights file."
        )
    return _read_indexed(indexes[0])


def read_own_part(folder: Path, part: str) -> Weights:
    """One part's weights in a folder of safetensors files: "transformer" or "tokenizer" of the own
    format, "model" of transformers'. What is kept as int8 comes as float32.

    Raises:
        CheckpointError: a file is missing, damaged, or lacks what the index names or a scale.
    """
    index = folder / f"{part}.safetensors{INDEX_SUFFIX}"
    if index.is_file():
        weights = _read_indexed(index)
    else:
        weights = Weights(read_safetensors(folder / f"{part}.safetensors"), folder)
    tensors = dequantized(weights.tensors, folder)
    is_whole = tensors.keys() == weights.tensors.keys()
    return Weights(tensors, folder, mapped=weights.mapped and is_whole)


def _read_indexed(index: Path) -> Weights:
    """The shards that an index names, which lie beside it."""
    folder = index.parent
    try:
        names = read_json(index)["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{index} is not an index of shards; fetch it again.") from error
    shards = names.values() if isinstance(names, dict) else [None]
    if not all(isinstance(shard, str) and Path(shard).name == shard[:255] for shard in shards):
        raise CheckpointError(f"{index} names files outside its own folder; do not use it.")
    weights = Weights({}, folder)
    for shard in sorted(set(names.values())):
        content, mapped = read_file(folder / shard)
        tensors = flat_tensors(content, folder / shard)
        if repeated := tensors.keys() & weights.tensors.keys():
            raise CheckpointError(
                f"{folder / shard} repeats tensors of another file ({min(repeated)}); remove the "
                "stray file."
            )
        weights.tensors.update(tensors)
        weights.mapped &= mapped
    if missing := sorted(names.keys() - weights.tensors.keys()):
        raise CheckpointError(
            f"The shards in {folder} lack {len(missing)} tensors that the index names (first: "
            f"{missing[0]}); fetch the folder again."
        )
    return weights


def check_fit(
    expected: Mapping[str, Tensor],
    what: str,
    tensors: Mapping[str, Tensor],
    source: Path,
    *,
    allows_more: bool = False,
) -> None:
    """Compare tensors with a module's state.

    Args:
        what: "transformer", "tokenizer" or "text encoder".
        source: of the tensors, for the message.
        allows_more: tensors that the module lacks are left aside.

    Raises:
        CheckpointError: tensors are missing, unexpected, of another shape, or no floating-point
            numbers; it lists them.
    """
    kinds = {
        "missing": [name for name in expected if name not in tensors],
        "unexpected": [name for name in tensors if name not in expected and not allows_more],
        "mis-shaped": [
            f"{name}: found {tuple(found.shape)} {found.dtype}, expected {tuple(wanted.shape)} floats"
            for name, wanted in expected.items()
            if (found := tensors.get(name)) is not None
            and not (found.shape == wanted.shape and found.is_floating_point())
        ],
    }
    complaints = "; ".join(
        f"{len(names)} {kind} ({listed(names)})" for kind, names in kinds.items() if names
    )
    if complaints:
        raise CheckpointError(
            f"The {what} weights in {source} do not fit the configuration: {complaints}; use the "
            "configuration they were trained with, or fetch them again."
        )


def require_finite(module: torch.nn.Module, what: str) -> None:
    """Raises CheckpointError for weights that are infinite or not numbers: all pictures would be."""
    with torch.inference_mode():
        bad = [
            name
            for name, part in module.named_parameters()
            if not part.sum(dtype=torch.float32).isfinite()
        ]
    if bad:
        raise CheckpointError(
            f"{len(bad)} tensors of the {what} hold infinite values or none (first: {bad[0]}); its "
            "training failed or the file is damaged: take an earlier checkpoint, or fetch it again."
        )


def flat_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """A state dict as it is. Raises CheckpointError where it is anything else."""
    named = isinstance(content, Mapping) and content
    if not named or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in named.items()):
        raise CheckpointError(f"{path} holds no named tensors; give a file of model weights.")
    return dict(content)


def _require_file(path: Path) -> None:
    if not path.is_file():
        kind = special(path) or ("folder" if path.is_dir() else "")
        state = f"is a {kind}, not a file" if kind else "does not exist"
        raise CheckpointError(f"{path} {state}; check the path, or fetch the file again.")


def _forget_pages(tensor: Tensor) -> None:
    """Releases a mapped tensor's pages, so that converting a file needs no memory for the file.

    Only for tensors in a private, unmodified file mapping: their pages are read again if needed.
    """
    if sys.platform != "linux" or tensor.device.type != "cpu":
        return
    page = mmap.PAGESIZE
    begin = -(-tensor.data_ptr() // page) * page
    end = (tensor.data_ptr() + tensor.nbytes) // page * page
    if tensor.is_contiguous() and end > begin:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), end - begin, mmap.MADV_DONTNEED)
