"""A T5 encoder and its tokenizer from a folder in transformers' format, nothing of which is run.

Only sizes are taken from its config.json, tensors from safetensors files and pieces from tokenizer.json:
no class, kernel, adapter or code that the folder names is ever looked up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from tokenizers import Tokenizer

from infinity.checks import Blocks, Checked, whole
from infinity.errors import CheckpointError, quoted
from infinity.files import first_line, read_object, read_text
from infinity.weights import check_fit, read_own_part, require_finite

if TYPE_CHECKING:
    from transformers import T5EncoderModel

PIECES = "tokenizer.json"
END = "</s>"
DECODER = ("decoder.", "lm_head.")
"""Of a whole T5, whose encoder alone reads prompts."""

_EMBEDDING, _TIED = "shared.weight", "encoder.embed_tokens.weight"
_MODEL_TYPES = ("t5", "mt5")
Width = Annotated[int, whole(1, 2**17)]
Distance = Annotated[int, whole(4, 2**17)]


@dataclass(frozen=True, kw_only=True)
class T5Sizes(Checked):
    """What a T5's config.json says of its encoder; transformers' names and defaults."""

    called = "The text encoder's config.json"

    vocab_size: Annotated[int, whole(1, 10**7)] = 32128
    d_model: Width = 512
    d_kv: Width = 64
    d_ff: Width = 2048
    num_layers: Blocks = 6
    num_heads: Width = 8
    relative_attention_num_buckets: Distance = 32
    relative_attention_max_distance: Distance = 128
    layer_norm_epsilon: Annotated[float, Field(ge=0, le=1)] = 1e-6
    feed_forward_proj: Annotated[str, Field(pattern="^(gated-)?(relu|gelu|gelu_new|silu)$")] = (
        "relu"
    )


class TextTokenizer:
    """Prompt -> token ids, by the ``tokenizers`` library alone.

    Args:
        folder: with tokenizer.json.

    Raises:
        CheckpointError: a file is missing or damaged, or of pieces that T5 does not read.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / PIECES
        if not path.is_file():
            raise CheckpointError(
                f"The text tokenizer in {folder} has no {PIECES} (a spiece.model alone is not read); "
                "fetch the folder again."
            )
        try:
            text = read_text(path)
            self._tokenizer = Tokenizer.from_str(text)
            model = json.loads(text)["model"]
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            ends = self._tokenizer.encode("").ids
            self._tokenizer.encode("\U0010fffd 0")  # which fails without an unknown piece
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(
                f"The text tokenizer in {folder} cannot be read ({first_line(error)}); "
                "fetch the folder again."
            ) from error
        if ends != [self._tokenizer.token_to_id(END)]:
            raise CheckpointError(
                f"The text tokenizer in {folder} does not end prompts with {END}, as T5's does; "
                "fetch the folder again."
            )
        number = model.get("unk_id")
        named = self._tokenizer.token_to_id(model.get("unk_token") or "<unk>")
        self.unknown: int | None = named if number is None else number

    def __len__(self) -> int:
        """Pieces, and so rows that the encoder needs."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def __call__(self, prompt: str) -> tuple[list[int], list[tuple[int, int]]]:
        """(ids with the end token, (start, end) of each in the prompt)."""
        encoded = self._tokenizer.encode(prompt)
        return encoded.ids, encoded.offsets

    def decode(self, ids: list[int]) -> str:
        """The text of ids, without special tokens."""
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def read_sizes(folder: Path) -> T5Sizes:
    """Raises CheckpointError where config.json is missing, damaged or no T5's."""
    data = read_object(folder / "config.json", "fetch the text encoder's folder again")
    if data.get("model_type") not in _MODEL_TYPES:
        raise CheckpointError(
            f"The text encoder in {folder} is no T5 but {quoted(data.get('model_type'))}; use the one "
            "the model was trained with."
        )
    known = {field.name for field in fields(T5Sizes)}
    return T5Sizes.from_dict({name: data[name] for name in known & data.keys()})


def load_encoder(folder: Path, device: torch.device, dtype: torch.dtype) -> T5EncoderModel:
    """A T5 encoder in evaluation mode, without gradients. As upstream's, a float16 one keeps the
    outputs of its feed-forward layers in float32, which float16 does not hold.

    Raises:
        CheckpointError: files are missing, damaged, or do not fit each other.
    """
    from transformers import T5Config, T5EncoderModel

    sizes = read_sizes(folder)
    weights = read_own_part(folder, "model")
    tensors = weights.tensors
    if _EMBEDDING not in tensors and _TIED in tensors:
        tensors[_EMBEDDING] = tensors[_TIED]
    with torch.device("meta"):
        model = T5EncoderModel(T5Config(**sizes.to_dict()))
    expected = {name: part for name, part in model.named_parameters() if name != _TIED}
    check_fit(expected, "text encoder", tensors, folder, allows_more=True)
    state: dict[str, Any] = {}
    for name in expected:
        precise = dtype == torch.float16 and name.endswith(".wo.weight")
        state[name] = weights.take(name, device, torch.float32 if precise else dtype)
    state[_TIED] = state[_EMBEDDING]
    model.load_state_dict(state, assign=True)
    model.set_input_embeddings(model.shared)
    require_finite(model, "text encoder")
    return model.eval().requires_grad_(False)
