"""Looks a data set over before training, and can compute what training needs of it once.

``python -m training.prepare SOURCE...`` reads everything, says what is wrong and what is there, and
draws it. With ``--tokenize`` it also writes the tokenizer's bits and the text features as shards,
which train like the pictures they were made from. A prepared folder as SOURCE is checked against its
checksums.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infinity.checkpoints.download import fetch_text_encoder
from infinity.checkpoints.load import load_model, load_tokenizer, own_folder
from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError, ResourceError
from infinity.registry import get_spec
from infinity.schedule import ASPECT_RATIOS, ScaleSchedule, schedule_for
from infinity.spec import read_spec
from infinity.t5 import TextTokenizer
from infinity.text import TextEncoder
from infinity.tokenizer.tokenizer import Tokenizer
from training.config import TrainingConfig, load_config
from training.config.settings import RESOLUTIONS, DataSettings
from training.data.charts import plot_statistics
from training.data.errors import DataError
from training.data.preparing import SHARD_SAMPLES, Recipe, prepare
from training.data.shards import check_sums, is_prepared, read_index
from training.data.source import Source, open_source
from training.data.statistics import examine
from training.steps.build import tokenizer_of
from training.steps.text_parts import load_captions

logger = logging.getLogger(__name__)

WORLD_SIDE = 256
"""Side of the emoji world's pictures where no model says it."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Model:
    """What data is prepared for.

    Attributes:
        schedules: aspect ratio -> scales.
        token_pixels: side of a token.
        tokenizer: loads the picture tokenizer.
        text: loads the text encoder and tells its name and width; None where there is none yet.
        text_folder: of the text encoder, where it is at hand.
        text_length: most tokens that are read of a caption.
    """

    schedules: Mapping[str, ScaleSchedule]
    token_pixels: int
    tokenizer: Callable[[], Tokenizer]
    text: Callable[[], tuple[Callable[[str], Tensor], dict[str, Any]]] | None
    text_folder: Path | None
    text_length: int

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Aspect ratio -> (height, width) in pixels."""
        return {ratio: s.image_size(self.token_pixels) for ratio, s in self.schedules.items()}


def main(command_line: Sequence[str] | None = None) -> None:
    """The command; ends with one sentence where something is wrong."""
    log_to_terminal()
    logging.getLogger("training.data.report").setLevel(logging.ERROR)  # told in the summary
    try:
        _run(_parser().parse_args(command_line))
    except InfinityError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    add = parser.add_argument
    add(
        "source", nargs="*", help="folders, files, patterns, URLs or names; none: those of --config"
    )
    add("--format", default="auto", help="how to read them, where that is not evident")
    add("--split", default="train", help="of a Hugging Face dataset or a folder; all: everything")
    add("--image-field", help="column or key of the picture")
    add("--caption-field", help="column or key of the caption")
    add("--short-caption-field", help="column or key of the short caption")
    add("--no-captions", action="store_true", help="pictures are enough, to train a tokenizer")
    add("--picture-folder", action="append", default=[], help="where else paths may lead")
    add("--config", type=home_path, help="settings of the run the data is for")
    add("--model", type=expand_home, help="name or folder of the model the data is for")
    add("--resolution", choices=list(RESOLUTIONS), help="of the released models' schedules")
    add("--quick", action="store_true", help="believe the heads of the picture files")
    add("--output", type=home_path, default=Path("outputs/data"), help="folder for what is written")
    add("--tokenize", action="store_true", help="write bits and text features to --output")
    add("--no-text", action="store_true", help="leave captions to the training")
    add("--bits-only", action="store_true", help="smaller shards, without self-correction")
    add("--text-dtype", choices=list(DTYPES), default="float32", help="text is kept in")
    add("--batch-size", type=int, default=16, help="pictures tokenized at once")
    add("--shard-samples", type=int, default=SHARD_SAMPLES, help="records a shard")
    add("--device", default="cpu", help="to tokenize on")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config) if arguments.config is not None else None
    model = _model(arguments, config)
    if arguments.tokenize and model is None:
        raise DataError("Tokenizing needs a tokenizer; name a model with --model, or --config.")
    settings = _settings(arguments, config)
    for name in settings.sources:
        if is_prepared(Path(name)):
            check_sums(Path(name), read_index(Path(name)))
            logger.info("%s: every shard is as it was written", name)
    sizes = {} if model is None else model.sizes
    side = max((max(size) for size in sizes.values()), default=WORLD_SIDE)
    source = open_source(settings, _schedules(settings, model), picture_side=side)
    _tell(source, model, arguments)
    if arguments.tokenize and model is not None:
        _tokenize(source, model, arguments)


def _settings(arguments: argparse.Namespace, config: TrainingConfig | None) -> DataSettings:
    base = DataSettings(skip_tolerance=1.0) if config is None else config.data
    given = {
        "sources": tuple(arguments.source),
        "format": arguments.format if arguments.format != "auto" else None,
        "split": arguments.split if arguments.split != "train" else None,
        "image_field": arguments.image_field,
        "caption_field": arguments.caption_field,
        "short_caption_field": arguments.short_caption_field,
        "picture_folders": tuple(arguments.picture_folder),
        "resolution": arguments.resolution,
    }
    known = base.model_dump() | {key: value for key, value in given.items() if value}
    if arguments.resolution:
        known["schedules"] = None
    if arguments.no_captions or (config is not None and config.task == "tokenizer"):
        known["captions"] = False
    return DataSettings.model_validate(known | {"skip_tolerance": 1.0})


def _schedules(settings: DataSettings, model: Model | None) -> Mapping[str, ScaleSchedule]:
    """Aspect ratios to sort into: the model's, else those asked for, else all there are."""
    if all(is_prepared(Path(name)) for name in settings.sources) and settings.sources:
        return {
            k: v for name in settings.sources for k, v in read_index(Path(name)).schedules.items()
        }
    if model is not None:
        return model.schedules
    return settings.schedules_to_train() or {
        ratio: schedule_for(ratio, RESOLUTIONS["256"]) for ratio in ASPECT_RATIOS
    }


def _tell(source: Source, model: Model | None, arguments: argparse.Namespace) -> None:
    statistics = examine(
        source,
        None if model is None else model.sizes,
        decode=not arguments.quick,
        count_tokens=_token_counter(model),
        limit=None if model is None else model.text_length,
    )
    for line in statistics.lines():
        logger.info(line)
    if not statistics.records:
        raise DataError("Nothing in the data can be used; the lines above say why.")
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        plot_statistics(statistics, arguments.output / "statistics.png")
        text = json.dumps(statistics.to_dict(), indent=1) + "\n"
        (arguments.output / "statistics.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"{arguments.output} cannot be written ({error.strerror}); name another --output."
        ) from error
    logger.info("drawn in %s", arguments.output / "statistics.png")


def _tokenize(source: Source, model: Model, arguments: argparse.Namespace) -> None:
    encode_text = about_text = None
    if model.text is not None and not arguments.no_text:
        encode_text, about_text = model.text()
    recipe = Recipe(
        tokenizer=model.tokenizer().to(arguments.device),
        schedules=model.schedules,
        encode_text=encode_text,
        about_text=about_text,
        text_dtype=DTYPES[arguments.text_dtype],
        latents=not arguments.bits_only,
        batch_size=arguments.batch_size,
        shard_samples=arguments.shard_samples,
    )
    report = prepare(source, recipe, arguments.output)
    for line in report.lines():
        logger.info(line)
    logger.info("prepared in %s: train from it as a source", arguments.output)


def _model(arguments: argparse.Namespace, config: TrainingConfig | None) -> Model | None:
    if config is not None:
        return _model_of_config(config)
    return None if arguments.model is None else _named_model(arguments)


def _model_of_config(config: TrainingConfig) -> Model:
    """The parts of a run, as its training has them."""
    encoder = config.text_encoder

    def text() -> tuple[Callable[[str], Tensor], dict[str, Any]]:
        captions = load_captions(config)
        about = {"encoder": str(encoder.source), "width": config.transformer.text_width}
        return lambda caption: captions([caption])[0].cpu(), about

    frozen = config.task == "transformer" and not encoder.train
    folder = Path(encoder.source) if encoder.source is not None else None
    return Model(
        schedules=config.schedules,
        token_pixels=config.tokenizer.model.token_pixels,
        tokenizer=lambda: tokenizer_of(config, None).eval().requires_grad_(False),
        text=text if frozen else None,
        text_folder=folder if folder is not None and folder.is_dir() else None,
        text_length=encoder.max_length,
    )


def _named_model(arguments: argparse.Namespace) -> Model:
    """A model by its name or folder."""
    folder = own_folder(arguments.model)
    spec = get_spec(arguments.model) if folder is None else read_spec(folder)

    def tokenizer() -> Tokenizer:
        if folder is not None:
            return load_tokenizer(folder)
        return load_model(arguments.model, dtype=torch.bfloat16).tokenizer

    def text() -> tuple[Callable[[str], Tensor], dict[str, Any]]:
        place = beside if beside is not None else fetch_text_encoder(spec.text_encoder)
        encoder = TextEncoder(place, spec.text_encoder, arguments.device)
        about = {"encoder": spec.text_encoder.source, "width": spec.text_encoder.width}
        return lambda caption: encoder.encode(caption).features, about

    beside = None
    if folder is not None and (folder / spec.text_encoder.source).is_dir():
        beside = folder / spec.text_encoder.source
    schedules = spec.schedules
    if arguments.resolution is not None:
        budget = RESOLUTIONS[arguments.resolution]
        schedules = {ratio: schedule_for(ratio, budget) for ratio in ASPECT_RATIOS}
    return Model(
        schedules=schedules,
        token_pixels=spec.tokenizer.token_pixels,
        tokenizer=tokenizer,
        text=text,
        text_folder=beside,
        text_length=spec.text_encoder.max_length,
    )


def _token_counter(model: Model | None) -> Callable[[list[str]], list[int]] | None:
    """Captions -> their tokens, where the model's text tokenizer is at hand."""
    if model is None or model.text_folder is None:
        return None
    tokenizer = TextTokenizer(model.text_folder)
    return lambda captions: [len(tokenizer(caption)[0]) for caption in captions]


if __name__ == "__main__":
    main()
