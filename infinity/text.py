"""Prompts -> text features.

A prompt runs at its own length: T5's relative positions make that equal to the padded run on the
real tokens (tests/test_text.py), at a fraction of the cost.

Shapes: T tokens of the prompt, W text width.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError
from infinity.t5 import TextTokenizer, load_encoder, read_sizes

if TYPE_CHECKING:
    from transformers import T5EncoderModel

logger = logging.getLogger(__name__)

CACHED_PROMPTS = 64


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
    """

    features: Tensor
    dropped_tokens: int
    kept_text: str
    unknown_tokens: int
    understood_text: str


class TextEncoder:
    """A T5 encoder and its tokenizer from a folder, loaded when the first prompt comes.

    Encoded prompts are kept (least recently used first out), so a repeated prompt costs nothing and
    needs no weights. Safe to call from several threads.

    Args:
        folder: in transformers' format: config.json, model*.safetensors, tokenizer.json.
        config: width and token limit; the folder must agree with it.
        device, dtype: of the encoder alone; features are float32 on the CPU whatever they are.
    """

    def __init__(
        self,
        folder: str | Path,
        config: TextEncoderConfig,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
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
        return EncodedPrompt(features, max(dropped, 0), kept, len(ids) - len(known), understood)

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
        return load_encoder(self.folder, self.device, self.dtype)


@torch.inference_mode()
def _run(model: T5EncoderModel, ids_1T: Tensor) -> Tensor:
    """(1, T) -> (T, W) float32 on the CPU, usable under autograd."""
    hidden_TW = model(input_ids=ids_1T).last_hidden_state[0].float().cpu()
    with torch.inference_mode(False):
        return hidden_TW.clone()
