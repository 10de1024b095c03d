"""The sections of a run's settings, but for data and optimizer, and the kinds of values in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
)

from infinity.config import TokenizerConfig
from infinity.errors import RequestError
from infinity.registry import TEXT_ENCODER_REPOSITORY, TEXT_ENCODER_REVISION
from infinity.schedule import ScaleSchedule
from training.config.errors import from_home
from training.world.sampling import Stage


class Settings(BaseModel):
    """Frozen; unknown settings are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def _schedule(value: Any) -> ScaleSchedule:
    """A schedule, its dict, or a plain list of [height, width]."""
    if isinstance(value, ScaleSchedule):
        return value
    try:
        if isinstance(value, Mapping):
            return ScaleSchedule.from_dict(dict(value))
        return ScaleSchedule([tuple(scale) for scale in value])
    except (RequestError, TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError("a list of [height, width] in tokens, from coarse to fine") from error


Share = Annotated[float, Field(ge=0, le=1)]
Below1 = Annotated[float, Field(ge=0, lt=1)]
Place = Annotated[str, AfterValidator(from_home)]
Folder = Annotated[Path, AfterValidator(lambda path: Path(from_home(str(path))))]
_OneOrMore = BeforeValidator(lambda text: (text,) if isinstance(text, str) else text)
"""A list of texts; one alone may be written without brackets."""
Texts = Annotated[tuple[str, ...], _OneOrMore]
Places = Annotated[tuple[Place, ...], _OneOrMore]
LoraTarget = Literal[
    "attention.qkv", "attention.output", "cross_attention.query", "cross_attention.key_value",
    "cross_attention.output", "feed_forward.up", "feed_forward.down",
]  # fmt: skip
Schedule = Annotated[
    ScaleSchedule, PlainValidator(_schedule), PlainSerializer(lambda schedule: schedule.to_dict())
]


class TokenizerSettings(Settings):
    """The picture tokenizer.

    Attributes:
        model: its shape.
        weights: a model's name, its folder, or upstream's file; None: the tokenizer of
            ``start_from``. A transformer needs one, a tokenizer's run continues from it.
    """

    model: TokenizerConfig
    weights: Place | None = None


class TextEncoderSettings(Settings):
    """The T5 text encoder.

    Attributes:
        source: a folder in transformers' format or a repository of the hub; None: the one of
            ``start_from``, or, with ``train``, a small one from scratch.
        revision: commit of the hub repository.
        max_length: most tokens of a caption, the end token included.
        train: train it along with the transformer.
        learning_rate_share: of the run's learning rate, when trained; its queries, which carry the
            attention's scale in T5, learn at 1 / sqrt(head width) of that.
        weight_decay: of its matrices, when trained; without it and at the full rate its gated
            layers outgrow the attention, and a caption is read as a bag of words.
        layers, heads, vocabulary: sizes of one from scratch; its width is ``model.text_width``.
    """

    source: Place | None = TEXT_ENCODER_REPOSITORY
    revision: str = TEXT_ENCODER_REVISION
    max_length: Annotated[int, Field(ge=2)] = 512
    train: bool = False
    learning_rate_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    weight_decay: NonNegativeFloat = 0.1
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    vocabulary: PositiveInt = 2048


class WorldSettings(Settings):
    """The emoji world in stages: pictures that come up again in other words, then new ones.

    Attributes:
        curriculum: [picture, stage -> share] pairs: what is drawn from that picture of the run on.
            Empty: the source's own stage.
        pictures: stage -> how many different ones come up until ``fresh_from``.
        features: folder that holds what the tokenizer makes of them, prepared, a folder a stage;
            None: they are drawn each time.
        fresh_from: from this picture of the run on every one is new.
    """

    curriculum: tuple[tuple[NonNegativeInt, dict[Stage, Share]], ...] = ()
    pictures: dict[Stage, PositiveInt] = {}
    features: Place | None = None
    fresh_from: NonNegativeInt = 0


class SelfCorrectionSettings(Settings):
    """Random flips the transformer learns to repair (paper section 3.4).

    Attributes:
        strength: highest share of flipped bits; 0 turns it off.
        scales: how many scales, from the coarsest, are corrupted.
        requantize: whether the flipped bits, not the right ones, make the next scale's input.
    """

    strength: Share = 0.3
    scales: NonNegativeInt = 13
    requantize: bool = True


class TokenizerLossSettings(Settings):
    """Weights of the tokenizer's losses; 0 turns one off.

    Attributes:
        l1, l2: mean absolute and squared difference of the pixels.
        gradient: mean absolute difference of neighboring pixels' differences.
        averages: mean absolute difference of the means of 4x4 pixels.
        perceptual: distance of a feature network's activations.
        adversarial: how well the discriminator is misled.
        entropy: a code's own entropy less that of the mean code.
        commitment: mean squared distance of features to their codes, by ``passed``.
        passed: how gradients pass the quantizer: "scales" (the release's: every scale's residual,
            on the unit sphere, to its own code) or "sum" (the features to the sum of all codes).
            Codes are 1 / sqrt(bits) large, so with "sum" the commitment needs a larger weight.
        adversarial_start: step at which the discriminator begins to count.
        discriminator_learning_rate: None: that of the model.
        entropy_diversity: weight of the mean code's entropy inside the entropy term.
        scale_dropout: chance of each scale but the last to be left out of a sample's code.
        scale_prefixes: chance of a sample's code to end at a scale before the last, as a preview's.
        perceptual_weights: files of a trained feature network, torchvision's VGG-16 and LPIPS'
            linear layers; empty: an untrained one, which sees edges and textures only.
    """

    l1: NonNegativeFloat = 1.0
    l2: NonNegativeFloat = 0.5
    gradient: NonNegativeFloat = 0.0
    averages: NonNegativeFloat = 0.0
    perceptual: NonNegativeFloat = 0.0
    perceptual_weights: Places = ()
    adversarial: NonNegativeFloat = 0.0
    adversarial_start: NonNegativeInt = 0
    discriminator_learning_rate: PositiveFloat | None = None
    entropy: NonNegativeFloat = 0.1
    entropy_diversity: NonNegativeFloat = 1.0
    commitment: NonNegativeFloat = 0.25
    passed: Literal["scales", "sum"] = "scales"
    scale_dropout: Share = 0.0
    scale_prefixes: Share = 0.0


class ParallelSettings(Settings):
    """How parameters are spread over processes (FSDP2).

    Attributes:
        shard: "none" (every process has all), "full" (over all processes), "hybrid" (over groups
            of ``shard_size``, copies between groups).
        shard_size: processes of a group, "hybrid" only.
    """

    shard: Literal["none", "full", "hybrid"] = "none"
    shard_size: PositiveInt | None = None


class LoraSettings(Settings):
    """Low-rank adapters instead of all weights.

    Attributes:
        rank: rows of its matrices: how much it can learn.
        alpha: its strength is alpha / rank.
        dropout: share of its inputs dropped in training.
        targets: endings of the names of the linear layers that get one.
    """

    rank: PositiveInt = 16
    alpha: PositiveFloat = 16.0
    dropout: Below1 = 0.0
    targets: Annotated[tuple[LoraTarget, ...], Field(min_length=1)] = get_args(LoraTarget)


class LoggingSettings(Settings):
    """What is written while training, in steps.

    Attributes:
        curves: a picture of all metrics in the run's folder, drawn once a minute.
        tensorboard: files for TensorBoard in the run's folder.
        trackio, wandb: log there too, where its package is installed.
        log_every: steps between lines of metrics.
        save_every: steps between checkpoints; the last step has one too.
        keep: checkpoints kept, the newest.
        validate_every: steps between validations, where pictures are held out for it; the last step
            has one too.
        validation_samples: about how many of the held-out pictures are used.
        sample_every: steps between sample pictures; 0: none.
        sample_prompts, sample_seeds: every prompt is drawn with every seed.
    """

    curves: bool = True
    tensorboard: bool = True
    trackio: bool = False
    wandb: bool = False
    log_every: PositiveInt = 10
    save_every: PositiveInt = 500
    keep: PositiveInt = 2
    validate_every: PositiveInt = 500
    validation_samples: PositiveInt = 256
    sample_every: NonNegativeInt = 0
    sample_prompts: Texts = ()
    sample_seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
