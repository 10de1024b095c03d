"""Saving a model in the own format: all of it or nothing, an earlier one kept until the end.

A folder with ``config.json``, ``transformer*.safetensors``, ``tokenizer*.safetensors``; where
the text encoder is not on the hub, ``text_encoder/``; of a small world, ``world.json``. Large parts are sharded, with an index.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from infinity.config import TokenizerConfig
from infinity.errors import CheckpointError
from infinity.files import disk_errors
from infinity.int8 import quantized
from infinity.spec import CONFIG_FILE, FORMAT_VERSION, ModelSpec, is_spec_folder
from infinity.weights import INDEX_SUFFIX
from infinity.world.vocabulary import VOCABULARY_FILE, write_vocabulary

SHARD_BYTES = 4 * 10**9
TEXT_ENCODER_FOLDER = "text_encoder"


def save_model(
    folder: str | Path,
    spec: ModelSpec,
    transformer: nn.Module | Mapping[str, Tensor],
    tokenizer: nn.Module | Mapping[str, Tensor],
    text_encoder: str | Path | None = None,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    int8: bool = False,
) -> None:
    """Writes a model as a folder of the own format.

    Args:
        folder: new, empty, or a model of this format, which is replaced once all is written.
        transformer, tokenizer: modules or their state dicts (our names).
        text_encoder: its folder, copied along; None where ``spec.text_encoder`` is on the hub.
        dtype: convert the transformer's weights; None keeps each as it is.
        shard_bytes: most bytes a file.
        int8: the tokenizer's large weights as int8 (see ``infinity.int8``), its small ones as bfloat16;
            bits that are drawn stay the same, pixels differ a little.

    Raises:
        CheckpointError: the folder holds something else, or the text encoder is missing.
        ResourceError: full disk or no permission. The folder is as it was before.
    """
    spec = replace(spec, hub=None)
    if text_encoder is not None:
        if not Path(text_encoder).is_dir():
            raise CheckpointError(
                f"The text encoder's folder {text_encoder} does not exist; give one that does."
            )
        local = replace(spec.text_encoder, source=TEXT_ENCODER_FOLDER, revision="")
        spec = replace(spec, text_encoder=local)
    elif "/" not in spec.text_encoder.source:
        raise CheckpointError(
            f"{spec.name}: the text encoder is a folder of the model, so give it to save it along."
        )
    with _replacing(folder, spec.to_dict()) as draft:
        _write_part(draft, "transformer", _state(transformer), dtype, shard_bytes)
        _write_part(draft, "tokenizer", _state(tokenizer, int8), None, shard_bytes)
        if text_encoder is not None:
            shutil.copytree(text_encoder, draft / TEXT_ENCODER_FOLDER)
        if spec.vocabulary is not None:
            write_vocabulary(spec.vocabulary, draft)


def save_tokenizer(
    folder: str | Path,
    config: TokenizerConfig,
    tokenizer: nn.Module | Mapping[str, Tensor],
    *,
    int8: bool = False,
) -> None:
    """Writes a tokenizer alone, for training transformers; ``load_tokenizer`` reads it.

    ``int8`` and errors as in ``save_model``.
    """
    content = {"format": FORMAT_VERSION, "tokenizer": config.to_dict()}
    with _replacing(folder, content) as draft:
        _write_part(draft, "tokenizer", _state(tokenizer, int8), None, SHARD_BYTES)


def _state(part: nn.Module | Mapping[str, Tensor], int8: bool = False) -> Mapping[str, Tensor]:
    state = part.state_dict() if isinstance(part, nn.Module) else part
    if not int8:
        return state
    return {
        name: tensor.bfloat16() if tensor.dtype == torch.float32 else tensor
        for name, tensor in quantized(state).items()
    }


def _write_part(
    folder: Path,
    part: str,
    state: Mapping[str, Tensor],
    dtype: torch.dtype | None,
    shard_bytes: int,
) -> None:
    """One file, or shards and their index; in memory is one converted shard at most."""
    split = split_state_dict_into_shards_factory(
        dict(state),
        get_storage_size=lambda tensor: tensor.numel() * (dtype or tensor.dtype).itemsize,
        filename_pattern=part + "{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    for file, names in split.filename_to_tensors.items():
        chosen = {name: state[name].detach() for name in names}
        tensors = {n: t.to("cpu", dtype or t.dtype).contiguous() for n, t in chosen.items()}
        try:
            save_file(tensors, folder / file, metadata={"format": "pt"})
        except SafetensorError as error:  # the system's error, as text
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from error
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / f"{part}.safetensors{INDEX_SUFFIX}").write_text(
            json.dumps(index, indent=1), encoding="utf-8"
        )


@contextmanager
def _replacing(target: str | Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """A draft folder beside ``target`` that takes its place when all went well, else vanishes. Raises
    CheckpointError where saving would lose something that is not a model of ours."""
    folder = Path(target).absolute()
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give the name of a folder.")
    before = list(folder.iterdir()) if folder.is_dir() else []
    has_folders = any(path.is_dir() and path.name != TEXT_ENCODER_FOLDER for path in before)
    if before and (has_folders or not is_spec_folder(folder)):
        raise CheckpointError(
            f"{folder} holds something else than a model; give an empty or new folder, so that "
            "nothing is lost."
        )
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.saving-", dir=folder.parent))
        try:
            yield draft
            for path in before:  # licences, notes and the like are kept
                is_config = path.name in (CONFIG_FILE, VOCABULARY_FILE)
                is_ours = is_config or path.name.startswith(("transformer", "tokenizer"))
                if path.is_file() and not is_ours:
                    shutil.copy2(path, draft / path.name)
            text = json.dumps(config, indent=2, ensure_ascii=False)
            (draft / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
            draft.chmod(0o755)
            _swap(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _swap(draft: Path, folder: Path) -> None:
    """Puts the draft in the folder's place; the old one comes back if that fails."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = draft.with_name(draft.name.replace(".saving-", ".replaced-"))
    folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
