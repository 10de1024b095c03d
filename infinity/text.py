"""Prompts -> text features, by a T5 encoder from a folder in transformers' format.

A prompt runs at its own length: T5's relative positions make that equal to the padded run on the
real tokens (tests/test_text.py), at a fraction of the cost. Nothing in the folder is run: only sizes
are taken from its config.json, tensors from safetensors files and pieces from tokenizer.json; no
class, kernel, adapter or code that it names is ever looked up.

Shapes: T tokens of the prompt, W text width.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor

from infinity.checks import Blocks, Checked, whole
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, quoted
from infinity.files import first_line, read_object, read_text
from infinity.quantized import quantize_layers, quantized_layer
from infinity.weights import check_fit, read_own_part, require_finite

if TYPE_CHECKING:
    from transformers import T5EncoderModel

logger = logging.getLogger(__name__)

CACHED_PROMPTS = 64
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


def load_encoder(
    folder: Path, device: torch.device, dtype: torch.dtype, *, in_int8: bool = False
) -> T5EncoderModel:
    """A T5 encoder in evaluation mode, without gradients. As upstream's, a float16 one keeps the
    outputs of its feed-forward layers in float32, which float16 does not hold.

    Args:
        in_int8: keep the matrices of its blocks in 8 bits.

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
    if in_int8:
        quantize_layers(model.encoder.block, "int8")
    state: dict[str, Any] = {}
    for name in expected:
        layer = quantized_layer(model, name)
        precise = layer is not None or (dtype == torch.float16 and name.endswith(".wo.weight"))
        state[name] = weights.take(name, device, torch.float32 if precise else dtype)
        if layer is not None:
            layer.quantize(state.pop(name))
    state[_TIED] = state[_EMBEDDING]
    model.load_state_dict(state, assign=True, strict=not in_int8)
    model.set_input_embeddings(model.shared)
    require_finite(model, "text encoder")
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class EncodedPrompt:
    """What the transformer reads of a prompt.

    Attributes:
        features: (T, W) float32 on the CPU, end token included.
        dropped_tokens: tokens beyond the model's limit, which it never saw.
        kept_text: the part of the prompt the features stand for.
        unknown_tokens: how many of the tokens are pieces the encoder has no entry for, such as
            most emoji.
        understood_text: what the known tokens say; empty where nothing of the prompt is known.
        spans: (first character, character behind the last) of each token in the prompt.
    """

    features: Tensor
    dropped_tokens: int
    kept_text: str
    unknown_tokens: int
    understood_text: str
    spans: tuple[tuple[int, int], ...] = ()

    def weights(self, weighted: Sequence[tuple[int, int, float]]) -> Tensor | None:
        """(T) float32: of each token the weight of the piece of the prompt that it lies in, else 1.

        Args:
            weighted: (first character, character behind the last, weight); none: None.
        """
        if not weighted:
            return None
        weights = torch.ones(len(self.features))
        for number, (start, end) in enumerate(self.spans):
            for first, stop, weight in weighted:
                if start < stop and max(first, start) < end:
                    weights[number] = weight
        return weights


class TextEncoder:
    """A T5 encoder and its tokenizer from a folder, loaded when the first prompt comes.

    Encoded prompts are kept (least recently used first out), so a repeated prompt costs nothing and
    needs no weights. Safe to call from several threads.

    Args:
        folder: in transformers' format: config.json, model*.safetensors, tokenizer.json.
        config: width and token limit; the folder must agree with it.
        device, dtype: of the encoder alone; features are float32 on the CPU whatever they are.
        in_int8: keep the matrices of its blocks in 8 bits.
    """

    def __init__(
        self,
        folder: str | Path,
        config: TextEncoderConfig,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        in_int8: bool = False,
    ) -> None:
        self.in_int8 = in_int8
        self.folder = Path(folder)
        self.config = config
        self.device = torch.device(device)
        self.dtype = dtype
        self._lock = threading.Lock()
        self._tokenizer: TextTokenizer | None = None
        self._model: T5EncoderModel | None = None
        self._cached = lru_cache(maxsize=CACHED_PROMPTS)(self._encode)

    @property
    def is_loaded(self) -> bool:
        return self._model is not None

    @property
    def nbytes(self) -> int:
        """Bytes of the weights in memory; 0 while they are not loaded."""
        model = self._model
        parameters = () if model is None else model.parameters()
        return sum(part.numel() * part.element_size() for part in parameters)

    def release(self) -> None:
        """Frees the weights; prompts encoded before stay known, a new one loads them again."""
        with self._lock:
            self._model = None

    def encode(self, prompt: str) -> EncodedPrompt:
        """Features of one prompt; an empty one is its end token alone.

        Raises:
            CheckpointError: the folder is missing, damaged, or does not fit the configuration.
        """
        return self._cached(prompt)

    def _encode(self, prompt: str) -> EncodedPrompt:
        with self._lock:
            tokenizer, model = self._load()
            ids, offsets = tokenizer(prompt)
            kept = prompt
            dropped = len(ids) - self.config.max_length
            if dropped > 0:
                ids = [*ids[: self.config.max_length - 1], ids[-1]]
                kept = prompt[: offsets[self.config.max_length - 2][1]]
                logger.info("a prompt lost %d tokens beyond the limit of %d", dropped, len(ids))
            features = _run(model, torch.tensor([ids], device=self.device))
        known = [token for token in ids if token != tokenizer.unknown]
        understood = " ".join(tokenizer.decode(known).split())
        unknown = len(ids) - len(known)
        spans = tuple(offsets[: len(ids) - 1])
        return EncodedPrompt(features, max(dropped, 0), kept, unknown, understood, spans)

    def _load(self) -> tuple[TextTokenizer, T5EncoderModel]:
        if not self.folder.is_dir():
            raise CheckpointError(
                f"The text encoder's folder {self.folder} does not exist; "
                "put the encoder there, or correct text_encoder.source in config.json."
            )
        if self._tokenizer is None:
            self._tokenizer = TextTokenizer(self.folder)
        if self._model is None:
            self._model = self._load_encoder(len(self._tokenizer))
        return self._tokenizer, self._model

    def _load_encoder(self, pieces: int) -> T5EncoderModel:
        sizes = read_sizes(self.folder)
        if sizes.d_model != self.config.width:
            raise CheckpointError(
                f"The text encoder in {self.folder} has width {sizes.d_model}, but the model expects "
                f"{self.config.width}; use the text encoder the model was trained with."
            )
        if pieces > sizes.vocab_size:
            raise CheckpointError(
                f"The text tokenizer in {self.folder} has {pieces} pieces, but the encoder beside it "
                f"knows {sizes.vocab_size}; fetch the folder again."
            )
        return load_encoder(self.folder, self.device, self.dtype, in_int8=self.in_int8)


@torch.inference_mode()
def _run(model: T5EncoderModel, ids_1T: Tensor) -> Tensor:
    """(1, T) -> (T, W) float32 on the CPU, usable under autograd."""
    hidden_TW = model(input_ids=ids_1T).last_hidden_state[0].float().cpu()
    with torch.inference_mode(False):
        return hidden_TW.clone()
