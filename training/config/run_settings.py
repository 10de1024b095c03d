"""Settings of how a run is spread over processes, adapted and logged."""

from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from training.config.kinds import Below1, LoraTarget, Settings, Texts


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
    sample_seeds: tuple[int, ...] = (0,)
