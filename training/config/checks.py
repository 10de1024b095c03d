"""What has to fit between settings. Every contradiction is one sentence that names the way out."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from infinity.checkpoints.upstream import TEXT_ENCODERS
from infinity.config import SOURCE, TextEncoderConfig
from infinity.errors import InfinityError, suggestion
from infinity.files import read_json
from infinity.schedule import ASPECT_RATIOS, TOKEN_PIXELS
from infinity.spec import CONFIG_FILE, ModelSpec
from training.config.settings import TrainingConfig

SCHEDULES = ("trapezoid", "constant", "cos", "lin", "lin0", "lin00", "exp")
"""Learning-rate schedules; "lin" with a fraction, such as "lin0.4", is one too."""


def complaints(config: TrainingConfig) -> Iterator[str]:
    """What contradicts what, and the way out."""
    yield from _data(config)
    yield from _optimization(config)
    if config.task == "transformer":
        yield from _transformer(config)
        if config.logging.sample_every and not config.logging.sample_prompts:
            yield "logging.sample_every needs pictures to draw; set logging.sample_prompts."
    elif config.lora is not None:
        yield "lora adapts transformers only; set lora to null to train a tokenizer."
    if (config.parallel.shard == "hybrid") != (config.parallel.shard_size is not None):
        yield (
            "parallel.shard_size is for hybrid sharding, which needs it; set parallel.shard to hybrid "
            "and parallel.shard_size to the size of a group, or neither."
        )


def model_spec(config: TrainingConfig, name: str, title: str) -> ModelSpec:
    """What a transformer's run makes, as a model.

    Raises:
        CheckpointError: parts that do not fit each other.
    """
    encoder = config.text_encoder
    source = encoder.source or ""
    on_hub = re.fullmatch(SOURCE, source) and "/" in source and not Path(source).is_dir()
    return ModelSpec(
        name=name,
        title=title,
        transformer=config.transformer,
        tokenizer=config.tokenizer.model,
        text_encoder=TextEncoderConfig(
            source=source if on_hub else "text_encoder",
            revision=encoder.revision if on_hub else "",
            width=config.transformer.text_width,
            max_length=encoder.max_length,
        ),
        schedules=config.schedules,
        sampling=config.sampling,
    )


def _data(config: TrainingConfig) -> Iterator[str]:
    data, tokenizer = config.data, config.tokenizer.model
    if data.resolution is None and data.schedules is None:
        yield (
            'data.resolution is missing; set it to "256", "512", "768" or "1024", or give '
            "data.schedules of your own."
        )
    if data.resolution is not None and data.schedules is not None:
        yield "data.resolution and data.schedules exclude each other; set one of them to null."
    if data.schedules is not None and data.aspect_ratios:
        yield (
            "data.aspect_ratios chooses among the schedules of data.resolution; leave it empty "
            "beside data.schedules."
        )
    for ratio in set(data.aspect_ratios) - set(ASPECT_RATIOS):
        yield f"data.aspect_ratios: {ratio!r} is not known; known: {', '.join(ASPECT_RATIOS)}."
    if data.resolution is not None and tokenizer.token_pixels != TOKEN_PIXELS:
        other = replace(tokenizer, patchify=not tokenizer.patchify)
        patchify = f"set tokenizer.model.patchify to {str(other.patchify).lower()}, or "
        yield (
            f"data.resolution is for tokens of {TOKEN_PIXELS} pixels but the tokenizer's span "
            f"{tokenizer.token_pixels}; {patchify if other.token_pixels == TOKEN_PIXELS else ''}"
            "give data.schedules of your own."
        )
    if data.held_out and data.held_out_sources:
        yield (
            "data.held_out and data.held_out_sources exclude each other; set data.held_out to 0, or "
            "data.held_out_sources to []."
        )
    for same in set(data.sources) & set(data.held_out_sources):
        yield (
            f"data.held_out_sources: {same} is trained on too; set data.held_out to 0.05 instead to "
            "keep a share of it."
        )
    if data.repeats and len(data.repeats) != len(data.sources):
        yield (
            f"data.repeats has {len(data.repeats)} numbers for {len(data.sources)} data.sources; give "
            "one a source."
        )
    world, batch = data.world, config.optimization.batch_size
    if world.curriculum and world.curriculum[0][0]:
        yield "data.world.curriculum begins with picture 0; let its first entry be [0, shares]."
    stages = {
        stage for start, shares in world.curriculum if start < world.fresh_from for stage in shares
    }
    for stage in sorted(stages - world.pictures.keys()):
        yield (
            f"data.world.pictures has no number for {stage}, which data.world.curriculum names; give "
            "one, or set data.world.fresh_from to 0."
        )
    if world.features is not None and world.fresh_from % batch:
        yield (
            f"data.world.fresh_from {world.fresh_from} must be a multiple of optimization.batch_size "
            f"{batch}: prepared and drawn pictures do not mix in a batch."
        )


def _transformer(config: TrainingConfig) -> Iterator[str]:
    if config.model is None:
        yield "model is missing; name a preset, set start_from, or give the transformer's shape."
        return
    needs_tokenizer = config.data.sources and config.data.format != "prepared"
    if needs_tokenizer and config.tokenizer.weights is None and config.start_from is None:
        yield (
            "tokenizer.weights is missing; name a model, its folder, or upstream's tokenizer file: "
            "a transformer learns the bits of one trained tokenizer."
        )
    asked, tokenizer = config.model.bits_per_token, config.tokenizer.model
    if asked != (given := tokenizer.bits_per_token):
        other = replace(tokenizer, patchify=not tokenizer.patchify)
        patchify = f" or tokenizer.model.patchify to {str(other.patchify).lower()}"
        yield (
            f"model.bits_per_token is {asked} but the tokenizer gives {given} ({tokenizer.bits} bits "
            f"a latent{', in 2x2 patches' * tokenizer.patchify}); set model.bits_per_token to "
            f"{given}{patchify if other.bits_per_token == asked else ''}."
        )
    yield from _text(config)
    if config.lora is not None:
        if config.start_from is None:
            yield "lora adapts a trained model; name it in start_from."
        if config.text_encoder.train:
            yield "lora adapts the transformer only; set text_encoder.train to false."
        if config.freeze:
            yield "lora freezes all the rest already; leave freeze empty."
    try:
        model_spec(config, "settings", "")
    except InfinityError as error:
        yield str(error).removeprefix("settings: ")


def _text(config: TrainingConfig) -> Iterator[str]:
    encoder, text_width = config.text_encoder, config.transformer.text_width
    if encoder.source is None:
        if not encoder.train and config.start_from is None:
            yield (
                "text_encoder.source is missing; name one, or set text_encoder.train to true for a "
                "small one from scratch."
            )
        yield from _indivisible("text_encoder.heads", encoder.heads, "model.text_width", text_width)
        return
    known = {repository: width for width, (repository, _) in TEXT_ENCODERS.items()}
    width = known.get(encoder.source)
    try:
        width = width or int(read_json(Path(encoder.source) / CONFIG_FILE)["d_model"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # only loading it would tell
    if width != text_width:
        yield (
            f"text_encoder.source {encoder.source} gives text of width {width} but model.text_width "
            f"is {text_width}; set model.text_width to {width} or choose another encoder."
        )


def _optimization(config: TrainingConfig) -> Iterator[str]:
    settings, losses = config.optimization, config.tokenizer_losses
    if (micro := settings.micro_batch_size) is not None:
        names = "optimization.micro_batch_size", "optimization.batch_size"
        yield from _indivisible(names[0], micro, names[1], settings.batch_size)
    name = settings.schedule
    if name not in SCHEDULES and not re.fullmatch(r"lin0?\.\d*[1-9]\d*", name):
        yield f"optimization.schedule {name!r} is not known{suggestion(name, SCHEDULES)}"
    if name == "exp" and settings.end == 0:
        yield "optimization.schedule exp never reaches 0; set optimization.end above 0."
    if settings.warmup >= settings.steps:
        yield (
            f"optimization.warmup {settings.warmup} leaves none of the {settings.steps} steps; "
            f"set it to {settings.steps // 10} or so."
        )
    late = losses.adversarial and losses.adversarial_start >= settings.steps
    if config.task == "tokenizer" and late:
        yield (
            f"tokenizer_losses.adversarial_start {losses.adversarial_start} is after the last of "
            f"the {settings.steps} steps; start earlier, or set tokenizer_losses.adversarial to 0."
        )
    if settings.optimizer == "muon":
        unfit = {
            "parallel.shard to none": config.parallel.shard != "none",
            "optimization.dtype to bfloat16": settings.dtype == "float16",
            "lora to null": config.lora is not None,
        }
        for way_out in (way for way, is_unfit in unfit.items() if is_unfit):
            yield (
                "optimization.optimizer muon needs whole matrices on every process, and no loss "
                f"scaling; set {way_out}, or optimization.optimizer to adamw."
            )


def _indivisible(name: str, part: int, of: str, whole: int) -> Iterator[str]:
    if whole % part:
        divisors = (n for n in range(1, whole + 1) if whole % n == 0)
        best = min(divisors, key=lambda n: abs(n - part))
        yield f"{name} {part} does not divide {of} {whole}; the nearest that does is {best}."
