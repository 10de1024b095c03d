"""A whole model by its name, by the folder of the own format, or by upstream's files.

Weights go from their file straight into their device and dtype: modules are built on the meta
device, and no copy of the model in another precision exists at any time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from infinity.checkpoints.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    Adapter,
    merge_adapter,
    read_adapter,
)
from infinity.checkpoints.download import fetch_model, fetch_text_encoder, fetch_tokenizer
from infinity.checkpoints.fingerprint import fingerprint
from infinity.checkpoints.fit import empty_tokenizer, empty_transformer, fill, infer_tokenizer
from infinity.checkpoints.save import save_model
from infinity.checkpoints.upstream import FoundModel, read_part, read_upstream
from infinity.errors import CheckpointError
from infinity.files import is_there
from infinity.memory_modes import NO_SAVING, MemoryMode
from infinity.model.transformer import InfinityTransformer
from infinity.registry import DEFAULT_MODEL, DEFAULT_MODEL_FOLDER, get_spec, model_names
from infinity.shared_work import Progress
from infinity.spec import CONFIG_FILE, ModelSpec, is_spec_folder, read_spec, read_tokenizer_config
from infinity.text import TextEncoder
from infinity.tokenizer.strips import STRIP_ELEMENTS
from infinity.tokenizer.tokenizer import Tokenizer
from infinity.weights import WEIGHT_SUFFIXES, read_own_part, require_finite


@dataclass
class LoadedModel:
    """A model in memory; the text encoder loads itself at the first prompt.

    Attributes:
        fingerprint: of all its weights, the adapter's too.
        memory_mode: how it is placed and kept.
    """

    spec: ModelSpec
    transformer: InfinityTransformer
    tokenizer: Tokenizer
    text_encoder: TextEncoder
    fingerprint: str
    memory_mode: MemoryMode


def load_model(
    name_or_path: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
    *,
    tokenizer: str | Path | None = None,
    memory_mode: Callable[[ModelSpec, Path], MemoryMode] | None = None,
    adapter: str | Path | None = None,
    make_room: Callable[[], None] | None = None,
) -> LoadedModel:
    """A model by name, own-format folder, or upstream file or folder.

    Args:
        device, dtype: of transformer and tokenizer; None is float32. In a lower precision the
            picture encoder and the transformer's embeddings, head and modulation stay float32.
        progress: called with what is being done and the part done, 0 to 1.
        tokenizer: upstream's tokenizer file, where it is not beside the transformer.
        memory_mode: given what the model is and its text encoder's folder, how it is placed and kept; its
            ``dtype`` replaces the one given.
        adapter: folder or file of a low-rank adapter to merge into the transformer; the model's
            name then ends in "_" and the adapter's.
        make_room: called once all files are found to be there and to fit, before they are read into
            memory.

    Raises:
        RequestError: a name that is neither a model nor a path.
        CheckpointError: missing, damaged, unsafe or unfitting files.
        ResourceError: released weights cannot be downloaded.
    """
    device = torch.device(device)
    change = None if adapter is None else read_adapter(adapter)
    folder = own_folder(name_or_path)
    found = (
        _read_own(folder)
        if folder
        else _find_upstream(name_or_path, tokenizer, progress, ema=False)
    )
    spec = found.spec
    encoder_folder = _text_encoder_folder(spec, found.text_encoder, progress)
    mode = NO_SAVING if memory_mode is None else memory_mode(spec, encoder_folder)
    dtype = torch.bfloat16 if mode.dtype else dtype or torch.float32
    mark = _fingerprint(found, encoder_folder, change)
    pictures = empty_tokenizer(spec.tokenizer, found.tokenizer)
    transformer = empty_transformer(spec.transformer, found.transformer)
    if make_room is not None:
        make_room()
    fill(transformer, found.transformer, device, dtype, progress, blocks=mode.weights)
    transformer.int8_cache = "int8-cache" in mode.parts
    if change is not None and adapter is not None:
        merge_adapter(transformer, change)
        spec = replace(spec, name=adapted_name(spec.name, adapter))
    fill(pictures, found.tokenizer, device, dtype, progress)
    require_finite(transformer, "transformer" if change is None else "transformer with its adapter")
    require_finite(pictures, "tokenizer")
    if "strips" in mode.parts:
        pictures.strip_elements = STRIP_ELEMENTS
    texts = TextEncoder(
        encoder_folder,
        spec.text_encoder,
        "cpu" if "text-on-cpu" in mode.parts else device,
        dtype,
        in_int8="int8-text" in mode.parts,
    )
    return LoadedModel(spec, transformer, pictures, texts, mark, mode)


def fingerprint_of(name_or_path: str | Path, adapter: str | Path | None = None) -> str:
    """What ``load_model`` would give as fingerprint, by a look at the files; "" where only loading
    tells, as for models of the hub, or tells what is wrong with them."""
    folder = own_folder(name_or_path)
    try:
        found = None if folder is None else _read_own(folder)
        if found is None or found.text_encoder is None or not found.text_encoder.is_dir():
            return ""
        change = None if adapter is None else read_adapter(adapter)
        return _fingerprint(found, found.text_encoder, change)
    except CheckpointError:
        return ""


def adapted_name(model: str, adapter: str | Path) -> str:
    """What a model is called with an adapter merged into it: after its folder, or its own file."""
    path = Path(adapter).resolve()
    is_file = path.suffix.lower() in (*WEIGHT_SUFFIXES, ".json")
    if is_file and path.stem in (Path(ADAPTER_CONFIG).stem, Path(ADAPTER_WEIGHTS).stem):
        path, is_file = path.parent, False
    name = re.sub(r"[^\w.-]+", "-", path.stem if is_file else path.name)
    return f"{model}_{name}"


def load_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """A tokenizer alone, on the CPU: of a model by name, of an own-format folder, or upstream's file.
    Raises as ``load_model``."""
    folder, path = own_folder(name_or_path), Path(name_or_path)
    if folder is not None:
        weights, config = read_own_part(folder, "tokenizer"), read_tokenizer_config(folder)
    elif path.is_file() or path.suffix or len(path.parts) > 1:
        weights = read_part(path, "tokenizer")
        config = infer_tokenizer(weights.tensors)
    else:
        spec = get_spec(str(name_or_path))
        if spec.hub is None:
            raise CheckpointError(f"{spec.name} is a configuration without a released tokenizer.")
        weights, config = read_part(fetch_tokenizer(spec.hub), "tokenizer"), spec.tokenizer
    return fill(empty_tokenizer(config, weights), weights, torch.device("cpu"), torch.float32)


def convert(
    upstream: str | Path,
    output: str | Path,
    *,
    tokenizer: str | Path | None = None,
    dtype: torch.dtype | None = None,
    ema: bool = False,
    progress: Progress | None = None,
) -> ModelSpec:
    """Upstream's checkpoint, or a released model by name, as a folder of the own format.

    Args:
        output: new or empty folder, or an earlier conversion, which is replaced.
        dtype: of the transformer's weights; None keeps upstream's.

    Returns:
        What was written; a text encoder of the hub stays there.

    Raises as ``load_model`` and ``save_model``.
    """
    if own_folder(upstream) is not None:
        raise CheckpointError(f"{upstream} is in this package's format already.")
    found = _find_upstream(upstream, tokenizer, progress, ema)
    empty_transformer(found.spec.transformer, found.transformer)  # so they fit
    empty_tokenizer(found.spec.tokenizer, found.tokenizer)
    if progress is not None:
        progress("Writing the converted model", 0.5)
    save_model(
        output,
        found.spec,
        found.transformer.tensors,
        found.tokenizer.tensors,
        None if "/" in found.spec.text_encoder.source else found.text_encoder,
        dtype=dtype,
    )
    return found.spec


def own_folder(name_or_path: str | Path) -> Path | None:
    """The folder of the own format that a name or path means, if it means one."""
    if str(name_or_path) == DEFAULT_MODEL:
        return DEFAULT_MODEL_FOLDER
    path = Path(name_or_path)
    if str(name_or_path) in model_names() or not (is_there(path) and path.is_dir()):
        return None
    return path if any(path.glob("transformer*.safetensors")) or is_spec_folder(path) else None


def _read_own(folder: Path) -> FoundModel:
    spec = read_spec(folder)
    transformer, tokenizer = (read_own_part(folder, part) for part in ("transformer", "tokenizer"))
    return FoundModel(spec, transformer, tokenizer, folder / spec.text_encoder.source)


def _fingerprint(found: FoundModel, text_encoder: Path, change: Adapter | None) -> str:
    return fingerprint(found.transformer.tensors, found.tokenizer.tensors, text_encoder, change)


def _text_encoder_folder(spec: ModelSpec, beside: Path | None, progress: Progress | None) -> Path:
    """Where a model's text encoder is: beside its weights, else on the hub."""
    if beside is not None and (beside / CONFIG_FILE).is_file():
        for pattern in ("model*.safetensors", "tokenizer.json"):
            if not any(beside.glob(pattern)):
                raise CheckpointError(
                    f"The text encoder's folder {beside} has no {pattern}; fetch the folder again."
                )
        return beside
    source = spec.text_encoder.source
    if "/" in source:
        return fetch_text_encoder(spec.text_encoder, progress)
    raise CheckpointError(
        f"{spec.name} needs a text encoder of width {spec.text_encoder.width} in a folder called "
        f"{source} beside its weights; put it there."
    )


def _find_upstream(
    name_or_path: str | Path, tokenizer: str | Path | None, progress: Progress | None, ema: bool
) -> FoundModel:
    name, path = str(name_or_path), Path(name_or_path)
    given = None if tokenizer is None else Path(tokenizer)
    if name not in model_names() and (is_there(path) or path.suffix or len(path.parts) > 1):
        return read_upstream(path, given, ema=ema)
    spec = get_spec(name)
    if spec.hub is None:
        raise CheckpointError(
            f"{name} is a configuration whose weights were never released; train it, or choose "
            "another model."
        )
    transformer, released_tokenizer = fetch_model(spec.hub, progress)
    found = read_upstream(transformer, given or released_tokenizer, ema=ema)
    found.spec = spec
    return found
