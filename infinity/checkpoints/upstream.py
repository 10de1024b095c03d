"""Upstream's checkpoints as they lie on a disk: which part is which, and what belongs together."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from infinity.checkpoints.convert import (
    Kind,
    count_blocks,
    count_chunks,
    flags_from_args,
    from_upstream,
    kind_of,
)
from infinity.checkpoints.fit import infer_tokenizer, infer_transformer
from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError, quoted
from infinity.files import is_there, special
from infinity.registry import MODEL_SPECS, released_schedules
from infinity.request import SamplingParams
from infinity.schedule import PIXEL_BUDGETS
from infinity.spec import CONFIG_FILE, ModelSpec
from infinity.weights import (
    INDEX_SUFFIX,
    WEIGHT_SUFFIXES,
    Weights,
    flat_tensors,
    read_file,
    read_shards,
)

logger = logging.getLogger(__name__)

_RELEASED = MODEL_SPECS["infinity-2b"].text_encoder
TEXT_ENCODERS = {
    768: ("google/flan-t5-base", "main"),
    1024: ("google/flan-t5-large", "main"),
    2048: (_RELEASED.source, _RELEASED.revision),
    4096: ("google/flan-t5-xxl", "main"),
}
"""Text width -> repository of the encoder upstream uses for it."""
TEXT_ENCODER_NAMES = ("text_encoder", "flan-t5-xl", "flan-t5-xl-official")


@dataclass
class FoundModel:
    """A model in files, under our names.

    Attributes:
        text_encoder: its folder where it lies beside the weights.
    """

    spec: ModelSpec
    transformer: Weights
    tokenizer: Weights
    text_encoder: Path | None


def read_upstream(path: Path, tokenizer: Path | None = None, *, ema: bool = False) -> FoundModel:
    """Upstream's transformer (a file, or a folder of shards) and the tokenizer that fits it.

    Args:
        path: released weights, a training checkpoint, or a folder with one of these.
        tokenizer: its file; None finds it in the checkpoint or beside it.
        ema: take a training checkpoint's averaged weights, where it has them.

    Raises:
        CheckpointError: missing, damaged or unfitting files; the sentence names them.
    """
    path = _transformer_path(path)
    weights = read_part(path, "transformer", ema=ema)
    args, depth = weights.extra["args"], count_blocks(weights.tensors)
    flags = flags_from_args(args, depth, weights.extra["chunks"])
    config = infer_transformer(weights.tensors, **flags)
    tokenizer_weights, tokenizer_config = _tokenizer_for(config, path, weights, tokenizer)
    spec = _spec_for(path, config, tokenizer_config, args)
    beside = (path.parent / name for name in TEXT_ENCODER_NAMES)
    text_encoder = next((folder for folder in beside if (folder / CONFIG_FILE).is_file()), None)
    return FoundModel(spec, weights, tokenizer_weights, text_encoder)


def read_part(path: Path, kind: Kind, *, ema: bool = False) -> Weights:
    """One module's weights, under our names, from a file or a folder of shards.

    ``extra`` has a training checkpoint's ``args`` and ``vae_local``, and the number of ``chunks``
    that the transformer's blocks were grouped in.

    Raises:
        CheckpointError: missing, damaged, or another module's.
    """
    if path.is_dir():
        weights = read_shards(path)
    else:
        content, mapped = read_file(path)
        tensors, beside = _unwrapped(content, path, ema)
        weights = Weights(tensors, path, mapped, beside)
    found = kind_of(weights.tensors)
    if found != kind:
        described = f"a {found}" if found else "neither a transformer nor a tokenizer"
        raise CheckpointError(f"{path} should be a {kind} but is {described}; give another file.")
    args = weights.extra.get("args")
    weights.extra["args"] = args if isinstance(args, Mapping) else {}
    weights.extra["chunks"] = count_chunks(weights.tensors)
    weights.tensors = from_upstream(weights.tensors, kind)
    return weights


def _unwrapped(content: Any, path: Path, ema: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict inside a released file or a training checkpoint, and what lies beside it."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds no named tensors; give a file of model weights.")
    if isinstance(content.get("vae"), Mapping):
        return flat_tensors(content["vae"], path), {}
    trainer = content.get("trainer")
    if not isinstance(trainer, Mapping):
        return flat_tensors(content, path), {}
    averaged = ("gpt_ema_fsdp", "gpt_ema_for_vis")
    for name in (*(averaged if ema else ()), "gpt_fsdp", "gpt_wo_ddp"):
        if isinstance(trainer.get(name), Mapping):
            if ema and name not in averaged:
                logger.warning("%s has no averaged weights; taking the plain ones", path)
            extra = {"args": content.get("args"), "vae_local": trainer.get("vae_local")}
            return flat_tensors(trainer[name], path), extra
    raise CheckpointError(f"The training checkpoint {path} holds no transformer weights.")


def _transformer_path(path: Path) -> Path:
    """The file or folder of shards that a path means."""
    if not is_there(path):
        raise CheckpointError(f"{path} does not exist; check the path.")
    if kind := special(path):
        raise CheckpointError(f"{path} is a {kind}, not a file; give the checkpoint itself.")
    if path.is_file() or any(path.glob(f"*{INDEX_SUFFIX}")):
        return path
    inside = [file for file in _weight_files(path) if not _is_tokenizer_name(file)]
    inside += [folder for folder in path.iterdir() if any(folder.glob(f"*{INDEX_SUFFIX}"))]
    inside = [candidate for candidate in inside if candidate.name not in TEXT_ENCODER_NAMES]
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(sorted(file.name for file in inside)) or "none"
    raise CheckpointError(
        f"{path} should hold one transformer, it holds {names}; give the path of the one you mean."
    )


def _tokenizer_for(
    config: TransformerConfig, path: Path, transformer: Weights, given: Path | None
) -> tuple[Weights, TokenizerConfig]:
    """The tokenizer given, else the checkpoint's own, else the one beside it that fits."""

    def configured(weights: Weights) -> tuple[Weights, TokenizerConfig]:
        made = infer_tokenizer(weights.tensors)
        return weights, replace(made, patchify=config.bits_per_token == 4 * made.bits)

    if given is not None:
        return configured(read_part(given, "tokenizer"))
    own = transformer.extra.get("vae_local")
    if isinstance(own, Mapping) and kind_of(own) == "tokenizer":
        tensors = from_upstream(flat_tensors(own, path), "tokenizer")
        return configured(Weights(tensors, path, transformer.mapped))
    candidates = [file for file in _weight_files(path.parent) if _is_tokenizer_name(file)]
    fitting = {
        file.name: (weights, made)
        for file in candidates
        for weights, made in [configured(read_part(file, "tokenizer"))]
        if made.bits_per_token == config.bits_per_token
    }
    if not fitting:
        seen = ", ".join(file.name for file in candidates) or "none"
        raise CheckpointError(
            f"No tokenizer beside {path} fits its {config.bits_per_token} bits a token (seen: "
            f"{seen}); put the tokenizer it was trained with there, or name it."
        )
    for spec in MODEL_SPECS.values():
        if spec.hub is not None and spec.transformer == config:
            for name in spec.hub.tokenizer:
                if name in fitting:
                    return fitting[name]
    if len(fitting) > 1:
        raise CheckpointError(
            f"Several tokenizers beside {path} fit: {', '.join(sorted(fitting))}; name the one it "
            "was trained with."
        )
    return next(iter(fitting.values()))


def _spec_for(
    path: Path, transformer: TransformerConfig, tokenizer: TokenizerConfig, args: Mapping[str, Any]
) -> ModelSpec:
    """The registered model's spec under the file's name, or one with upstream's usual settings."""
    name = re.sub(r"[^\w.-]+", "-", path.stem if path.is_file() else path.name) or "upstream"
    parts = (transformer, tokenizer)
    known = [spec for spec in MODEL_SPECS.values() if (spec.transformer, spec.tokenizer) == parts]
    if len(known) > 1:
        known = [spec for spec in known if ("512" in spec.name) == ("512" in name)] or known
    budget = args.get("pn")
    if known:
        spec = replace(known[0], name=name, hub=None)
        return replace(spec, schedules=_schedules(budget)) if budget else spec
    source, revision = TEXT_ENCODERS.get(transformer.text_width, (TEXT_ENCODER_NAMES[0], ""))
    return ModelSpec(
        name=name,
        title=f"{name} (upstream checkpoint)",
        transformer=transformer,
        tokenizer=tokenizer,
        text_encoder=TextEncoderConfig(
            source=source,
            revision=revision,
            width=transformer.text_width,
            max_length=transformer.text_max_length,
        ),
        schedules=_schedules(budget or "1M"),
        sampling=SamplingParams(guidance=3.0, temperature=1.0, top_k=900, top_p=0.97),
    )


def _schedules(budget: Any) -> dict[str, Any]:
    if budget not in PIXEL_BUDGETS:
        raise CheckpointError(
            f"The checkpoint was trained at the unknown pixel budget {quoted(budget)}; known are "
            f"{', '.join(PIXEL_BUDGETS)}."
        )
    return released_schedules(budget)


def _weight_files(folder: Path) -> list[Path]:
    files = (file for file in folder.iterdir() if file.suffix.lower() in WEIGHT_SUFFIXES)
    return sorted(file for file in files if file.is_file())


def _is_tokenizer_name(file: Path) -> bool:
    return "vae" in file.name.lower() or "tokenizer" in file.name.lower()
