"""Modules from weights: sizes read off the tensors, and a strict fit of tensors to modules."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from infinity.checkpoints.convert import count_blocks
from infinity.config import TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.quantized import quantize_layers, quantized_layer
from infinity.registry import DEFAULT_MODEL_FOLDER, TEXT_ENCODER_PARAMETERS
from infinity.shared_work import Progress
from infinity.spec import CONFIG_FILE, ModelSpec
from infinity.tokenizer.tokenizer import Tokenizer
from infinity.weights import Weights, check_fit, read_safetensors

Module = TypeVar("Module", InfinityTransformer, Tokenizer)

_ENCODER_BLOCK = re.compile(r"encoder\.levels\.(\d+)\.blocks\.(\d+)\.conv2\.weight")
_REFINING_BLOCK = re.compile(r"decoder\.refinement\.blocks\.\d+\.conv2\.weight")
_FLOAT32 = re.compile(
    r"(unconditional|start|(encoder|scale_embedding|modulation|head_modulation|head)\.).*"
    r"|blocks\..*(modulation|log_scale|cross_norm\.(weight|bias))"
)


def infer_transformer(state: Mapping[str, Tensor], **flags: Any) -> TransformerConfig:
    """The configuration that a transformer's weights (our names) belong to.

    Args:
        flags: settings that shapes do not show, such as ``rope``.

    Raises:
        CheckpointError: tensors that sizes are read off are missing, or the sizes are impossible.
    """
    with _read_as("transformer"):
        width, bits = state["token_embedding.weight"].shape
        text_max_length, text_width = state["unconditional"].shape
        hidden = len(state["blocks.0.feed_forward.up.weight"])
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
    sizes["mlp_ratio"] = hidden / width
    return TransformerConfig(**{**sizes, **flags})


def infer_tokenizer(state: Mapping[str, Tensor], patchify: bool = False) -> TokenizerConfig:
    """The configuration that a tokenizer's weights (our names) belong to. Raises likewise."""
    with _read_as("tokenizer"):
        base, image_channels, *_ = state["encoder.conv_in.weight"].shape
        bits = len(state["encoder.conv_out.weight"])
    channels: dict[int, int] = {}
    blocks: set[int] = set()
    refining: list[int] = []
    for name, tensor in state.items():
        if match := _ENCODER_BLOCK.fullmatch(name):
            channels[int(match[1])] = len(tensor)
            blocks.add(int(match[2]))
        elif _REFINING_BLOCK.fullmatch(name):
            refining.append(len(tensor))
    if sorted(channels) != list(range(len(channels))) or any(c % base for c in channels.values()):
        raise CheckpointError("The tokenizer's levels are incomplete; fetch the file again.")
    return TokenizerConfig(
        bits=bits,
        base_channels=base,
        channel_multipliers=tuple(channels[i] // base for i in range(len(channels))),
        num_res_blocks=len(blocks),
        patchify=patchify,
        stem_patch=math.isqrt(image_channels // 3),
        **({"refine_blocks": len(refining), "refine_channels": refining[0]} if refining else {}),
    )


def text_parameters(spec: ModelSpec, folder: Path | None = None) -> int:
    """Numbers in a model's text encoder, as ``parameters_in`` has them; 0 where they cannot be known.

    Args:
        folder: of a model in the own format; None for the default and released models.
    """
    beside = (folder or DEFAULT_MODEL_FOLDER) / spec.text_encoder.source
    if "/" in spec.text_encoder.source and not (beside / CONFIG_FILE).is_file():
        return TEXT_ENCODER_PARAMETERS.get(spec.text_encoder.source, 0)
    return parameters_in(beside)


def parameters_in(text_encoder: Path) -> int:
    """Numbers in a text encoder's files, read off their headers; raises CheckpointError for a damaged
    file."""
    files = map(read_safetensors, text_encoder.glob("model*.safetensors"))
    return sum(tensor.numel() for tensors in files for tensor in tensors.values())


def empty_transformer(config: TransformerConfig, weights: Weights) -> InfinityTransformer:
    """A transformer on the meta device that the weights (our names) fit. Raises CheckpointError, with
    the tensors that are missing, unexpected or mis-shaped."""
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
    check_fit(transformer.state_dict(), "transformer", weights.tensors, weights.source)
    return transformer


def empty_tokenizer(config: TokenizerConfig, weights: Weights) -> Tokenizer:
    """A tokenizer, likewise."""
    with torch.device("meta"):
        tokenizer = Tokenizer(config)
    check_fit(tokenizer.state_dict(), "tokenizer", weights.tensors, weights.source)
    return tokenizer


def fill(
    module: Module,
    weights: Weights,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress | None = None,
    *,
    blocks: str = "",
) -> Module:
    """An empty module with the weights that fit it, in evaluation mode, without gradients.

    Matrices get ``dtype``. What costs little or flips bits when it is rounded stays float32: the
    transformer's unconditional text, scale embedding, modulation, head and norms, and the picture
    encoder. Weights are consumed, one tensor at a time.

    Args:
        blocks: "int8" or "fp8": the transformer's blocks keep their matrices in 8 bits.
    """
    if blocks:
        quantize_layers(module.get_submodule("blocks"), blocks)
    what = "transformer" if isinstance(module, InfinityTransformer) else "tokenizer"
    total = sum(tensor.numel() for tensor in weights.tensors.values())
    done = 0
    state: dict[str, Tensor] = {}
    for name in list(weights.tensors):
        done += weights.tensors[name].numel()
        layer = quantized_layer(module, name)
        precise = layer is not None or (stays_float32(name) and dtype.itemsize < 4)
        state[name] = weights.take(name, device, torch.float32 if precise else dtype)
        if layer is not None:
            layer.quantize(state.pop(name))
        if progress is not None:
            progress(f"Loading the {what}", done / total)
    module.load_state_dict(state, assign=True, strict=not blocks)
    return module.eval().requires_grad_(False)


def stays_float32(name: str) -> bool:
    """Whether a parameter (our names) keeps float32 when a model runs in a lower precision."""
    return _FLOAT32.fullmatch(name) is not None


@contextmanager
def _read_as(what: str) -> Iterator[None]:
    """Raises CheckpointError where a tensor that sizes are read off is missing or of another shape."""
    try:
        yield
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"These are not the weights of a {what} ({error}); fetch the file again."
        ) from error
