"""The text encoder of a run: a frozen or a trained one from files, or a small one from scratch."""

import itertools
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from infinity.checkpoints.download import fetch_text_encoder
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError
from infinity.t5 import load_encoder, read_sizes
from training import text_encoder
from training.config.settings import TrainingConfig
from training.config.world_settings import WorldSettings
from training.data.detection import detect
from training.data.shards import PreparedSource
from training.data.source import open_source
from training.steps.captions import CaptionEncoder

logger = logging.getLogger(__name__)

TEXT_TOKENIZER_FOLDER = "text_tokenizer"
CAPTIONS_TO_LEARN = 40_000


def load_captions(config: TrainingConfig) -> CaptionEncoder:
    """The text encoder the settings ask for, on the CPU.

    Raises:
        InfinityError: no such encoder, or of another width than the transformer reads.
    """
    settings = config.text_encoder
    if settings.source is None:
        tokenizer = text_tokenizer(config)
        model = _small_encoder(config, len(tokenizer))
    else:
        tokenizer, model = _read(_folder(config), config)
    return CaptionEncoder(model, tokenizer, settings.max_length, trained=settings.train)


def needs_captions(config: TrainingConfig) -> bool:
    """Whether the run reads captions itself: not where all text comes prepared.

    Raises:
        DataError: prepared data that cannot be read.
    """
    if config.text_encoder.train or config.logging.sample_every or not config.data.sources:
        return True
    sources = (*config.data.sources, *config.data.held_out_sources)
    return not all(_has_text(source, config.data.format) for source in sources)


def _has_text(source: str, format: str) -> bool:
    if (detect(source) if format == "auto" else format) != "prepared":
        return False
    return PreparedSource(Path(source)).index.recipe["text"] is not None


def text_tokenizer(config: TrainingConfig) -> PreTrainedTokenizerFast:
    """Of a text encoder from scratch: learned from the captions once, kept in the run's folder.

    The first process learns it, the others wait for it.
    """
    folder = config.output / TEXT_TOKENIZER_FOLDER
    together = dist.is_available() and dist.is_initialized()
    if not folder.is_dir() and not (together and dist.get_rank()):
        _learn_tokenizer(config, folder)
    if together:
        dist.barrier()
    return text_encoder.read_tokenizer(folder)


def _learn_tokenizer(config: TrainingConfig, folder: Path) -> None:
    logger.info("learning the text tokenizer of %s", config.output)
    settings = config.text_encoder
    learned = text_encoder.train_tokenizer(
        itertools.islice(_captions(config), CAPTIONS_TO_LEARN),
        settings.vocabulary,
        settings.max_length,
    )
    temporary = folder.with_suffix(".writing")
    shutil.rmtree(temporary, ignore_errors=True)
    learned.save_pretrained(temporary)
    temporary.rename(folder)


def _captions(config: TrainingConfig) -> Iterator[str]:
    plainly = config.data.model_copy(update={"world": WorldSettings()})
    source = open_source(plainly, seed=config.seed)
    for index in range(len(source)):
        yield from source.record(index).captions.all


def _small_encoder(config: TrainingConfig, vocabulary: int) -> T5EncoderModel:
    settings = config.text_encoder
    with torch.random.fork_rng(devices=[]):  # transformers draws from the global source
        torch.manual_seed(config.seed)
        return text_encoder.build_encoder(
            vocabulary, config.transformer.text_width, settings.layers, settings.heads
        )


def _folder(config: TrainingConfig) -> Path:
    settings = config.text_encoder
    assert settings.source is not None
    if Path(settings.source).is_dir():
        return Path(settings.source)
    return fetch_text_encoder(
        TextEncoderConfig(
            source=settings.source,
            revision=settings.revision,
            width=config.transformer.text_width,
            max_length=settings.max_length,
        )
    )


def _read(folder: Path, config: TrainingConfig) -> tuple[PreTrainedTokenizerFast, T5EncoderModel]:
    """A frozen encoder of a reduced run is kept in bfloat16; a trained one in float32."""
    reduced = not config.text_encoder.train and config.optimization.dtype != "float32"
    width = read_sizes(folder).d_model
    if width != config.transformer.text_width:
        raise CheckpointError(
            f"The text encoder in {folder} gives text of width {width}, but model.text_width is "
            f"{config.transformer.text_width}; use the encoder the model is made for."
        )
    dtype = torch.bfloat16 if reduced else torch.float32
    return text_encoder.read_tokenizer(folder), load_encoder(folder, torch.device("cpu"), dtype)
