"""Captions -> text features inside a training step, by a frozen or a trained T5 encoder.

The encoder comes from files, or is a small one from scratch.
"""

import itertools
import logging
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, T5EncoderModel

from infinity.checkpoints.download import fetch_text_encoder
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError
from infinity.text import load_encoder, read_sizes
from training import text_encoder
from training.config.sections import WorldSettings
from training.config.settings import TrainingConfig
from training.data.formats import detect
from training.data.shards import PreparedSource
from training.data.source import open_source

logger = logging.getLogger(__name__)

TEXT_TOKENIZER_FOLDER = "text_tokenizer"
CAPTIONS_TO_LEARN = 40_000


@dataclass
class CaptionEncoder:
    """A T5 encoder with its tokenizer.

    Args:
        model: on any device; runs in evaluation mode even when trained, so that nothing is drawn.
        tokenizer: ends every caption with the end token, also a truncated one.
        max_length: most tokens of a caption, the end token included.
        trained: whether gradients reach the model.
    """

    model: T5EncoderModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    trained: bool = field(kw_only=True)

    def __post_init__(self) -> None:
        self.model.requires_grad_(self.trained).eval()

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


def load_captions(config: TrainingConfig) -> CaptionEncoder:
    """The text encoder the settings ask for, on the CPU.

    A frozen one of a run in reduced precision is kept in bfloat16, a trained one in float32.

    Raises:
        InfinityError: no such encoder, or of another width than the transformer reads.
    """
    settings, wanted = config.text_encoder, config.transformer.text_width
    if settings.source is None:
        tokenizer = _own_tokenizer(config)
        with torch.random.fork_rng(devices=[]):  # transformers draws from the global source
            torch.manual_seed(config.seed)
            model = text_encoder.build_encoder(
                len(tokenizer), wanted, settings.layers, settings.heads
            )
        return CaptionEncoder(model, tokenizer, settings.max_length, trained=settings.train)
    folder = Path(settings.source)
    if not folder.is_dir():
        folder = fetch_text_encoder(
            TextEncoderConfig(
                source=settings.source,
                revision=settings.revision,
                width=wanted,
                max_length=settings.max_length,
            )
        )
    width = read_sizes(folder).d_model
    if width != wanted:
        raise CheckpointError(
            f"The text encoder in {folder} gives text of width {width}, but model.text_width is "
            f"{wanted}; use the encoder the model is made for."
        )
    reduced = not settings.train and config.optimization.dtype != "float32"
    dtype = torch.bfloat16 if reduced else torch.float32
    model = load_encoder(folder, torch.device("cpu"), dtype)
    tokenizer = text_encoder.read_tokenizer(folder)
    return CaptionEncoder(model, tokenizer, settings.max_length, trained=settings.train)


def needs_captions(config: TrainingConfig) -> bool:
    """Whether the run reads captions itself: not where all text comes prepared.

    Raises:
        DataError: prepared data that cannot be read.
    """
    if config.text_encoder.train or config.logging.sample_every or not config.data.sources:
        return True
    return not all(
        detect(source, config.data.format) == "prepared"
        and PreparedSource(Path(source)).index.recipe["text"] is not None
        for source in (*config.data.sources, *config.data.held_out_sources)
    )


def _own_tokenizer(config: TrainingConfig) -> PreTrainedTokenizerFast:
    """Of a text encoder from scratch: learned from the captions once, kept in the run's folder.

    The first process learns it, the others wait for it.
    """
    folder = config.output / TEXT_TOKENIZER_FOLDER
    together = dist.is_available() and dist.is_initialized()
    if not folder.is_dir() and not (together and dist.get_rank()):
        logger.info("learning the text tokenizer of %s", config.output)
        plainly = config.data.model_copy(update={"world": WorldSettings()})
        source, settings = open_source(plainly, seed=config.seed), config.text_encoder
        captions = (text for i in range(len(source)) for text in source.record(i).captions.all)
        learned = text_encoder.train_tokenizer(
            itertools.islice(captions, CAPTIONS_TO_LEARN), settings.vocabulary, settings.max_length
        )
        temporary = folder.with_suffix(".writing")
        shutil.rmtree(temporary, ignore_errors=True)
        learned.save_pretrained(temporary)
        temporary.rename(folder)
    if together:
        dist.barrier()
    return text_encoder.read_tokenizer(folder)
