"""Captions -> text features inside a training step, by a frozen or a trained T5 encoder."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, T5EncoderModel


class CaptionEncoder:
    """A T5 encoder with its tokenizer.

    Args:
        model: on any device; runs in evaluation mode even when trained, so that nothing is drawn.
        tokenizer: ends every caption with the end token, also a truncated one.
        max_length: most tokens of a caption, the end token included.
        trained: whether gradients reach the model.
    """

    def __init__(
        self,
        model: T5EncoderModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        *,
        trained: bool,
    ) -> None:
        self.model = model.requires_grad_(trained).eval()
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.trained = trained

    def __call__(self, captions: Sequence[str]) -> list[Tensor]:
        """(T, width) float32 a caption, at its own length."""
        tokens = self.tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        ).to(self.model.device)
        with nullcontext() if self.trained else torch.no_grad():
            features = self.model(**tokens).last_hidden_state.float()
        lengths = tokens["attention_mask"].sum(1).tolist()
        return [row[:length] for row, length in zip(features, lengths, strict=True)]
