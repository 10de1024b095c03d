"""Looks a data set over before training, and can compute what training needs of it once.

``python -m training.prepare SOURCE...`` reads everything, says what is wrong and what is there, and
draws it. With ``--tokenize`` it also writes the tokenizer's bits and the text features as shards,
which train like the pictures they were made from. A prepared folder as SOURCE is checked against its
checksums.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError
from infinity.files import disk_errors
from infinity.schedule import ASPECT_RATIOS, schedule_for
from training.config import TrainingConfig, load_config
from training.config.settings import RESOLUTIONS, DataSettings
from training.data.errors import DataError
from training.data.preparing import SHARD_SAMPLES, Recipe, prepare
from training.data.shards import check_shards, is_prepared, read_index
from training.data.source import Source, open_source
from training.data.statistics import examine
from training.steps.build import tokenizer_of
from training.steps.captions import load_captions

logger = logging.getLogger(__name__)


def main(command_line: Sequence[str] | None = None) -> None:
    """The command; ends with one sentence where something is wrong."""
    log_to_terminal()
    logging.getLogger("training.data.errors").setLevel(logging.ERROR)  # in the summary
    arguments = _parser().parse_args(command_line)
    try:
        config = _config(arguments)
        if arguments.tokenize and config is None:
            raise DataError("Tokenizing needs a tokenizer; name a model with --model, or --config.")
        source = _open(_settings(arguments, config), config)
        _report(source, config, arguments)
        if arguments.tokenize and config is not None:
            _tokenize(source, config, arguments)
    except InfinityError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    add = parser.add_argument
    add("sources", nargs="*", help="folders, files, patterns, URLs or names; none: --config's")
    add("--format", help="how to read them, where that is not evident")
    add("--split", help="of a Hugging Face dataset or a folder (default: train); all: everything")
    add("--image-field", help="column or key of the picture")
    add("--caption-field", help="column or key of the caption")
    add("--short-caption-field", help="column or key of the short caption")
    add("--no-captions", action="store_true", help="pictures are enough, to train a tokenizer")
    add("--picture-folder", action="append", dest="picture_folders", help="where paths may lead")
    add("--config", type=home_path, help="settings of the run the data is for")
    add("--model", type=expand_home, help="name or folder of the model the data is for")
    add("--resolution", choices=list(RESOLUTIONS), help="of the released models' schedules")
    add("--quick", action="store_true", help="believe the heads of the picture files")
    add("--output", type=home_path, default=Path("outputs/data"), help="folder for what is written")
    add("--tokenize", action="store_true", help="write bits and text features to --output")
    add("--no-text", action="store_true", help="leave captions to the training")
    add("--bits-only", action="store_true", help="smaller shards, without self-correction")
    dtypes = ("float32", "float16", "bfloat16")
    add("--text-dtype", choices=dtypes, default="float32", help="text is kept in")
    add("--batch-size", type=int, default=16, help="pictures tokenized at once")
    add("--shard-samples", type=int, default=SHARD_SAMPLES, help="records a shard")
    add("--device", default="cpu", help="to tokenize on")
    return parser


def _config(arguments: argparse.Namespace) -> TrainingConfig | None:
    """The run the data is for, or one that starts from the model it is for."""
    if arguments.config is not None or arguments.model is None:
        return None if arguments.config is None else load_config(arguments.config)
    overrides = {"start_from": arguments.model, "output": str(arguments.output)}
    data = {"resolution": arguments.resolution} if arguments.resolution else {}
    return load_config(overrides={**overrides, "optimization": {"steps": 1}, "data": data})


def _settings(arguments: argparse.Namespace, config: TrainingConfig | None) -> DataSettings:
    known = (DataSettings() if config is None else config.data).model_dump()
    known |= {name: given for name in known if (given := getattr(arguments, name, None))}
    if arguments.resolution:
        known["schedules"] = None
    if arguments.no_captions or (config is not None and config.task == "tokenizer"):
        known["captions"] = False
    return DataSettings.model_validate(known | {"skip_tolerance": 1.0})


def _open(settings: DataSettings, config: TrainingConfig | None) -> Source:
    """The sources, those that are prepared checked, sorted into the aspect ratios of the model, else into
    those asked for, else into all there are."""
    schedules = settings.schedules_to_train() if config is None else config.schedules
    indices = {name: read_index(Path(name)) for name in settings.sources if is_prepared(Path(name))}
    for name, index in indices.items():
        check_shards(Path(name), index, sums=True)
        logger.info("%s: every shard is as it was written", name)
    if indices and indices.keys() == set(settings.sources):
        schedules = {k: v for index in indices.values() for k, v in index.schedules.items()}
    elif not schedules:
        logger.info(
            "no model is named (--model NAME, or --config): sorted into the released models' aspect "
            "ratios"
        )
        schedules = {ratio: schedule_for(ratio, RESOLUTIONS["256"]) for ratio in ASPECT_RATIOS}
    pixels = 16 if config is None else config.tokenizer.model.token_pixels
    return open_source(settings, schedules, token_pixels=pixels)


def _report(source: Source, config: TrainingConfig | None, arguments: argparse.Namespace) -> None:
    statistics = examine(source, config, decode=not arguments.quick)
    for line in statistics.lines():
        logger.info(line)
    if not statistics.records:
        raise DataError("Nothing in the data can be used; the lines above say why.")
    picture = arguments.output / "statistics.png"
    with disk_errors(arguments.output):
        arguments.output.mkdir(parents=True, exist_ok=True)
        statistics.plot(picture)
        text = json.dumps(statistics.to_dict(), indent=1) + "\n"
        picture.with_suffix(".json").write_text(text, encoding="utf-8")
    logger.info("drawn in %s", picture)


def _tokenize(source: Source, config: TrainingConfig, arguments: argparse.Namespace) -> None:
    encode_text = about_text = None
    encoder = config.text_encoder
    if config.task == "transformer" and not encoder.train and not arguments.no_text:
        captions = load_captions(config)
        captions.model.to(arguments.device)
        encode_text = lambda caption: captions([caption])[0].cpu()  # noqa: E731
        about_text = {"encoder": str(encoder.source), "width": config.transformer.text_width}
    tokenizer = tokenizer_of(config, None).eval().requires_grad_(False)
    recipe = Recipe(
        tokenizer=tokenizer.to(arguments.device),
        schedules=config.schedules,
        encode_text=encode_text,
        about_text=about_text,
        text_dtype=getattr(torch, arguments.text_dtype),
        latents=not arguments.bits_only,
        batch_size=arguments.batch_size,
        shard_samples=arguments.shard_samples,
    )
    for line in prepare(source, recipe, arguments.output).lines():
        logger.info(line)
    logger.info("prepared in %s: train from it as a source", arguments.output)


if __name__ == "__main__":
    main()
