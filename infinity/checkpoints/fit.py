"""Modules from weights: sizes read off the tensors, and a strict fit of tensors to modules."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from infinity.checkpoints.convert import count_blocks
from infinity.config import TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.registry import DEFAULT_MODEL_FOLDER, TEXT_ENCODER_PARAMETERS
from infinity.shared_work import Progress
from infinity.spec import CONFIG_FILE, ModelSpec
from infinity.tokenizer.tokenizer import Tokenizer
from infinity.weights import Weights, check_fit, read_safetensors

_FLOAT32_PARAMETERS = (
    "unconditional",
    "start",
    "scale_embedding.",
    "modulation.",
    "head_modulation.",
    "head.",
)
_FLOAT32_OF_BLOCKS = ("modulation", "log_scale", "cross_norm.weight", "cross_norm.bias")


def infer_transformer(state: Mapping[str, Tensor], **flags: Any) -> TransformerConfig:
    """The configuration that a transformer's weights (our names) belong to.

    Args:
        flags: settings that shapes do not show, such as ``rope``.

    Raises:
        CheckpointError: tensors that sizes are read off are missing, or the sizes are impossible.
    """
    names = (
        "token_embedding.weight",
        "unconditional",
        "scale_embedding.weight",
        "blocks.0.attention.log_scale",
        "blocks.0.feed_forward.up.weight",
    )
    _require(state, names, "transformer")
    width, bits = state["token_embedding.weight"].shape
    hidden = len(state["blocks.0.feed_forward.up.weight"])
    text_max_length, text_width = state["unconditional"].shape
    sizes: dict[str, Any] = {
        "depth": count_blocks(state),
        "width": width,
        "num_heads": len(state["blocks.0.attention.log_scale"]),
        "bits_per_token": bits,
        "text_width": text_width,
        "text_max_length": text_max_length,
        "max_scales": len(state["scale_embedding.weight"]),
    }
    usual = TransformerConfig(**{**sizes, **flags})
    if usual.feed_forward_width == hidden:
        return usual
    return TransformerConfig(**{**sizes, "mlp_ratio": hidden / width, **flags})


def infer_tokenizer(state: Mapping[str, Tensor], patchify: bool = False) -> TokenizerConfig:
    """The configuration that a tokenizer's weights (our names) belong to.

    Raises:
        CheckpointError: tensors that sizes are read off are missing, or the sizes are impossible.
    """
    _require(state, ("encoder.conv_in.weight", "encoder.conv_out.weight"), "tokenizer")
    base, image_channels = state["encoder.conv_in.weight"].shape[:2]
    channels: dict[int, int] = {}
    blocks: set[int] = set()
    refining: list[int] = []
    for name, tensor in state.items():
        parts = name.split(".")
        if name.startswith("encoder.levels.") and name.endswith("conv2.weight"):
            channels[int(parts[2])] = len(tensor)
            blocks.add(int(parts[4]))
        if name.startswith("decoder.refinement.blocks.") and name.endswith("conv2.weight"):
            refining.append(len(tensor))
    if sorted(channels) != list(range(len(channels))) or any(c % base for c in channels.values()):
        raise CheckpointError("The tokenizer's levels are incomplete; fetch the file again.")
    return TokenizerConfig(
        bits=len(state["encoder.conv_out.weight"]),
        base_channels=base,
        channel_multipliers=tuple(channels[i] // base for i in range(len(channels))),
        num_res_blocks=len(blocks),
        patchify=patchify,
        stem_patch=math.isqrt(image_channels // 3),
        **({"refine_blocks": len(refining), "refine_channels": refining[0]} if refining else {}),
    )


def text_parameters(spec: ModelSpec, folder: Path | None = None) -> int:
    """Numbers in a model's text encoder, read off its files' headers; 0 where that cannot be known.

    Args:
        folder: of a model in the own format; None for the default and released models.

    Raises:
        CheckpointError: a file is damaged.
    """
    beside = (folder or DEFAULT_MODEL_FOLDER) / spec.text_encoder.source
    if "/" in spec.text_encoder.source and not (beside / CONFIG_FILE).is_file():
        return TEXT_ENCODER_PARAMETERS.get(spec.text_encoder.source, 0)
    return parameters_in(beside)


def parameters_in(text_encoder: Path) -> int:
    """Numbers in the files of a text encoder's folder; raises CheckpointError for a damaged one."""
    files = map(read_safetensors, text_encoder.glob("model*.safetensors"))
    return sum(tensor.numel() for tensors in files for tensor in tensors.values())


def make_transformer(
    config: TransformerConfig,
    weights: Weights,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None = None,
    make_room: Callable[[], None] | None = None,
) -> InfinityTransformer:
    """A transformer from weights (our names), in evaluation mode, without gradients.

    Its matrices get ``dtype``. The unconditional text, scale embedding, modulation, head and norms
    stay float32, which costs little and keeps the logits accurate. Weights are consumed.

    Args:
        make_room: called once the weights are found to fit, before they take memory.

    Raises:
        CheckpointError: tensors missing, unexpected or mis-shaped; it lists them.
    """
    table = weights.tensors.get("unconditional")
    if table is not None and table.dim() == 2:
        if len(table) < config.text_max_length:
            raise CheckpointError(
                f"{weights.source} knows unconditional texts of {len(table)} tokens but the "
                f"configuration asks for {config.text_max_length}; set text_max_length to "
                f"{len(table)}."
            )
        weights.tensors["unconditional"] = table[: config.text_max_length]
    with torch.device("meta"):
        transformer = InfinityTransformer(config)
    _fill(transformer, "transformer", weights, device, dtype, progress, make_room)
    return transformer


def make_tokenizer(
    config: TokenizerConfig,
    weights: Weights,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Tokenizer:
    """A tokenizer from weights (our names), in evaluation mode, without gradients.

    The decoder gets ``dtype``; the encoder stays float32, for a rounded feature flips bits.

    Raises:
        CheckpointError: tensors missing, unexpected or mis-shaped; it lists them.
    """
    with torch.device("meta"):
        tokenizer = Tokenizer(config)
    _fill(tokenizer, "tokenizer", weights, device, dtype, progress)
    return tokenizer


def stays_float32(name: str) -> bool:
    """Whether a parameter (our names) keeps float32 when a model runs in a lower precision."""
    if name.startswith(("encoder.", *_FLOAT32_PARAMETERS)):
        return True
    return name.startswith("blocks.") and name.endswith(_FLOAT32_OF_BLOCKS)


def _fill(
    module: nn.Module,
    what: str,
    weights: Weights,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None,
    make_room: Callable[[], None] | None = None,
) -> None:
    """Weights, one tensor at a time, into a module that was built on the meta device."""
    check_fit(module.state_dict(), what, weights.tensors, weights.source)
    if make_room is not None:
        make_room()
    total = sum(tensor.numel() for tensor in weights.tensors.values())
    done = 0
    state = {}
    for name in list(weights.tensors):
        precise = stays_float32(name) and dtype.itemsize < 4
        state[name] = weights.take(name, device, torch.float32 if precise else dtype)
        done += state[name].numel()
        if progress is not None:
            progress(f"Loading the {what}", done / total)
    module.load_state_dict(state, assign=True)
    module.eval().requires_grad_(False)


def _require(state: Mapping[str, Tensor], names: tuple[str, ...], what: str) -> None:
    missing = tuple(name for name in names if name not in state)
    if missing:
        raise CheckpointError(
            f"These are not the weights of a {what}: {', '.join(missing)} missing; "
            "fetch the file again.",
            missing=missing,
        )
