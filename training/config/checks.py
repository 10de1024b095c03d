"""What has to fit between settings. Every contradiction is one sentence that names the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infinity.checkpoints.upstream import TEXT_ENCODERS
from infinity.config import SOURCE, TextEncoderConfig, TokenizerConfig
from infinity.errors import InfinityError, RequestError, nearest
from infinity.files import read_json
from infinity.schedule import ASPECT_RATIOS, TOKEN_PIXELS, nearest_aspect_ratio
from infinity.spec import CONFIG_FILE, ModelSpec
from training.config.errors import SettingsError

if TYPE_CHECKING:
    from training.config.settings import TrainingConfig

SCHEDULES = ("trapezoid", "constant", "cos", "lin", "lin0", "lin00", "exp")
"""Learning-rate schedules; "lin" with a fraction, such as "lin0.4", is one too."""


def check(config: TrainingConfig) -> None:
    """Raises SettingsError for the first contradiction."""
    for complaint in _complaints(config):
        raise SettingsError(complaint)


def check_width(model: Any) -> None:
    """Raises SettingsError where a transformer's width does not divide into its heads."""
    if not isinstance(model, Mapping):
        return
    try:
        width, heads = int(model["width"]), int(model["num_heads"])
    except (KeyError, TypeError, ValueError):
        return  # missing or ill-typed, which validation says better
    if heads > 0 and width % (step := 4 * heads):
        best = max(step, round(width / step) * step)
        raise SettingsError(
            f"model.width {width} must be a multiple of 4 x model.num_heads ({heads}), for 2D "
            f"rotary positions; the nearest is {best}."
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


def _complaints(config: TrainingConfig) -> Iterable[str]:
    yield from _data(config)
    yield from _optimization(config)
    if config.task == "transformer":
        yield from _transformer(config)
    elif config.lora is not None:
        yield "lora adapts transformers only; set lora to null to train a tokenizer."
    yield from _parallel(config)
    if config.optimization.optimizer == "muon":
        yield from _muon(config)
    if config.logging.sample_every and config.task == "transformer":
        if not config.logging.sample_prompts:
            yield "logging.sample_every needs pictures to draw; set logging.sample_prompts."
        if not config.logging.sample_seeds:
            yield "logging.sample_every needs pictures to draw; set logging.sample_seeds."


def _data(config: TrainingConfig) -> Iterable[str]:
    data, tokenizer = config.data, config.tokenizer.model
    if data.resolution is None and data.schedules is None:
        yield (
            'data.resolution is missing; set it to "256", "512", "768" or "1024", or give '
            "data.schedules of your own."
        )
    if data.resolution is not None and data.schedules is not None:
        yield "data.resolution and data.schedules exclude each other; set one of them to null."
    if data.schedules is not None and not data.schedules:
        yield "data.schedules is empty; name an aspect ratio and its scales, or set it to null."
    if data.schedules is not None and data.aspect_ratios:
        yield (
            "data.aspect_ratios chooses among the schedules of data.resolution; leave it empty "
            "beside data.schedules."
        )
    if data.held_out and data.held_out_sources:
        yield (
            "data.held_out and data.held_out_sources exclude each other; set data.held_out to 0, or "
            "data.held_out_sources to []."
        )
    if data.repeats and len(data.repeats) != len(data.sources):
        yield (
            f"data.repeats has {len(data.repeats)} numbers for {len(data.sources)} data.sources; give "
            "one a source."
        )
    for same in set(data.sources) & set(data.held_out_sources):
        yield (
            f"data.held_out_sources: {same} is trained on too; set data.held_out to 0.05 instead to "
            "keep a share of it."
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
    for ratio in data.aspect_ratios:
        if ratio not in ASPECT_RATIOS:
            near = _nearest_ratio(ratio)
            hint = f"the nearest is {near}." if near else f"known: {', '.join(ASPECT_RATIOS)}."
            yield f"data.aspect_ratios: {ratio!r} is not known; {hint}"
    if data.resolution is not None and tokenizer.token_pixels != TOKEN_PIXELS:
        yield (
            f"data.resolution is for tokens of {TOKEN_PIXELS} pixels but the tokenizer's span "
            f"{tokenizer.token_pixels}; {_sixteen(tokenizer)}give data.schedules of your own."
        )


def _nearest_ratio(ratio: str) -> str | None:
    """The known "width:height" of the nearest shape; None where it is no ratio."""
    try:
        width, height = map(float, ratio.split(":"))
        return nearest_aspect_ratio(height, width)
    except (ValueError, RequestError):
        return None


def _sixteen(tokenizer: TokenizerConfig) -> str:
    if tokenizer.stride * 2 == TOKEN_PIXELS and not tokenizer.patchify:
        return "set tokenizer.model.patchify to true, or "
    if tokenizer.stride == TOKEN_PIXELS and tokenizer.patchify:
        return "set tokenizer.model.patchify to false, or "
    return ""


def _transformer(config: TrainingConfig) -> Iterable[str]:
    if config.model is None:
        yield "model is missing; name a preset, set start_from, or give the transformer's shape."
        return
    needs_tokenizer = config.data.sources and config.data.format != "prepared"
    if needs_tokenizer and config.tokenizer.weights is None and config.start_from is None:
        yield (
            "tokenizer.weights is missing; name a model, its folder, or upstream's tokenizer file: "
            "a transformer learns the bits of one trained tokenizer."
        )
    yield from _bits(config)
    yield from _text(config)
    yield from _scales(config)
    if config.lora is not None:
        yield from _lora(config)
    try:
        model_spec(config, "settings", "")
    except InfinityError as error:
        yield str(error).removeprefix("settings: ")


def _bits(config: TrainingConfig) -> Iterable[str]:
    asked, tokenizer = config.transformer.bits_per_token, config.tokenizer.model
    given = tokenizer.bits_per_token
    if asked == given:
        return
    explained = f"{tokenizer.bits} bits a latent" + ", in 2x2 patches" * tokenizer.patchify
    way_out = f"set model.bits_per_token to {given}"
    if not tokenizer.patchify and asked == 4 * tokenizer.bits:
        way_out += " or tokenizer.model.patchify to true"
    elif tokenizer.patchify and asked == tokenizer.bits:
        way_out += " or tokenizer.model.patchify to false"
    yield (
        f"model.bits_per_token is {asked} but the tokenizer gives {given} ({explained}); {way_out}."
    )


def _text(config: TrainingConfig) -> Iterable[str]:
    encoder, model = config.text_encoder, config.transformer
    if encoder.source is None:
        if not encoder.train and config.start_from is None:
            yield (
                "text_encoder.source is missing; name one, or set text_encoder.train to true for a "
                "small one from scratch."
            )
        if model.text_width % encoder.heads:
            best = min(_divisors(model.text_width), key=lambda n: abs(n - encoder.heads))
            yield (
                f"text_encoder.heads {encoder.heads} does not divide model.text_width "
                f"{model.text_width}; the nearest that does is {best}."
            )
    else:
        width = _encoder_width(encoder.source)
        if width is not None and width != model.text_width:
            yield (
                f"text_encoder.source {encoder.source} gives text of width {width} but "
                f"model.text_width is {model.text_width}; set model.text_width to {width} or choose "
                "another encoder."
            )
    if encoder.max_length > model.text_max_length:
        yield (
            f"text_encoder.max_length {encoder.max_length} is more than model.text_max_length "
            f"{model.text_max_length}; set text_encoder.max_length to {model.text_max_length}."
        )


def _encoder_width(source: str) -> int | None:
    """Of a folder or a well-known repository; None where only loading it would tell."""
    for width, (repository, _) in TEXT_ENCODERS.items():
        if source == repository:
            return width
    try:
        return int(read_json(Path(source) / CONFIG_FILE)["d_model"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scales(config: TrainingConfig) -> Iterable[str]:
    known = config.transformer.max_scales
    longest = max((len(schedule) for schedule in config.schedules.values()), default=0)
    if longest > known:
        yield (
            f"the longest schedule has {longest} scales but model.max_scales is {known}; set "
            f"model.max_scales to {longest}."
        )


def _lora(config: TrainingConfig) -> Iterable[str]:
    if config.start_from is None:
        yield "lora adapts a trained model; name it in start_from."
    if config.text_encoder.train:
        yield "lora adapts the transformer only; set text_encoder.train to false."
    if config.freeze:
        yield "lora freezes all the rest already; leave freeze empty."


def _optimization(config: TrainingConfig) -> Iterable[str]:
    settings = config.optimization
    micro, batch = settings.micro_batch_size, settings.batch_size
    if micro is not None and batch % micro:
        best = min(_divisors(batch), key=lambda n: abs(n - micro))
        yield (
            f"optimization.micro_batch_size {micro} does not divide optimization.batch_size "
            f"{batch}; the nearest that does is {best}."
        )
    name = settings.schedule
    if name not in SCHEDULES and not re.fullmatch(r"lin0?\.\d*[1-9]\d*", name):
        near = nearest(name, SCHEDULES, 0.5)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(SCHEDULES)}, lin0.4."
        yield f"optimization.schedule {name!r} is not known; {hint}"
    if name == "exp" and settings.end == 0:
        yield "optimization.schedule exp never reaches 0; set optimization.end above 0."
    if settings.warmup >= settings.steps:
        yield (
            f"optimization.warmup {settings.warmup} leaves none of the {settings.steps} steps; "
            f"set it to {settings.steps // 10} or so."
        )
    losses = config.tokenizer_losses
    if (
        config.task == "tokenizer"
        and losses.adversarial
        and losses.adversarial_start >= settings.steps
    ):
        yield (
            f"tokenizer_losses.adversarial_start {losses.adversarial_start} is after the last of "
            f"the {settings.steps} steps; start earlier, or set tokenizer_losses.adversarial to 0."
        )


def _muon(config: TrainingConfig) -> Iterable[str]:
    """Its update is made of a whole matrix at once."""
    way_out = "or optimization.optimizer to adamw."
    if config.parallel.shard != "none":
        yield (
            "optimization.optimizer muon needs whole matrices on every process, not parallel.shard "
            f"{config.parallel.shard}; set parallel.shard to none, {way_out}"
        )
    if config.optimization.dtype == "float16":
        yield (
            "optimization.optimizer muon does without the loss scaling of float16; set "
            f"optimization.dtype to bfloat16, {way_out}"
        )
    if config.lora is not None:
        yield f"optimization.optimizer muon trains whole matrices; set lora to null, {way_out}"


def _parallel(config: TrainingConfig) -> Iterable[str]:
    parallel = config.parallel
    if parallel.shard == "hybrid" and parallel.shard_size is None:
        yield "parallel.shard hybrid needs the size of a group; set parallel.shard_size."
    if parallel.shard != "hybrid" and parallel.shard_size is not None:
        yield (
            f"parallel.shard_size is for hybrid sharding; set parallel.shard to hybrid, or remove "
            f"it beside {parallel.shard}."
        )


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
