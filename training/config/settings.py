"""The settings of a training run: one frozen, validated tree.

Each class checks its own values; what has to fit between them is in ``checks.py``. Made by
``load_config``, which asks both; saved with every run and checkpoint, and equal to itself when read back. What a
docstring says of a setting is also its text in ``--help``.
"""

import os
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from infinity.config import TransformerConfig
from infinity.request import SamplingParams
from infinity.schedule import ASPECT_RATIOS, ScaleSchedule, schedule_for
from training.config.sections import (
    Below1,
    Folder,
    LoggingSettings,
    LoraSettings,
    ParallelSettings,
    Place,
    Places,
    Schedule,
    SelfCorrectionSettings,
    Settings,
    Share,
    TextEncoderSettings,
    Texts,
    TokenizerLossSettings,
    TokenizerSettings,
    WorldSettings,
)

RESOLUTIONS = {"256": "0.06M", "512": "0.25M", "768": "0.60M", "1024": "1M"}
"""Side in pixels of the square picture -> pixel budget of the released models' schedules."""


class DataSettings(Settings):
    """Pictures and captions.

    Attributes:
        sources: folders, files, patterns, URLs or names, read as ``format`` says.
        format: kind of the sources, where it cannot be seen.
        split: of a Hugging Face dataset, or of a folder whose names tell splits apart; "all": all.
        repeats: times the pictures of each source come up in a pass, a number a source; empty: once.
        folder_repeats: pictures of folders all named like 10_cats come up 10 times a pass (kohya's).
        image_field, caption_field, short_caption_field: its column or key; None: the usual names.
        resolution: "256", "512", "768" or "1024": the released models' schedules of that size.
        aspect_ratios: of those schedules, "width:height"; empty: all fifteen.
        schedules: aspect ratio -> scales [height, width] in tokens from coarse to fine, instead of
            ``resolution``, for models with their own (docs/data.md).
        short_caption_probability: how often the short caption is taken where there are two.
        captions: skip pictures without one; a tokenizer needs none anyway.
        horizontal_flips: share of the samples that are mirrored, unless the caption names a side.
        random_crops: cut pictures at a random place, not at the center.
        picture_folders: where else a manifest's paths may lead than into its own folder.
        held_out: share of the pictures that is never trained on, for validation.
        held_out_sources: pictures for validation from elsewhere, instead.
        world: what a source of format "world" draws when.
        workers: loader processes a rank; 0 loads in the training process; None: 2, and on a card
            this rank's share of the machine's cores, at most 16.
        shuffle: in a new order every pass; else as they are listed.
        skip_tolerance: share of unusable records beyond which the run stops.
    """

    sources: Places = ()
    format: Literal[
        "auto", "folder", "json", "jsonl", "csv", "coco", "infinity", "webdataset",
        "huggingface", "world", "prepared",
    ] = "auto"  # fmt: skip
    split: str = "train"
    repeats: tuple[PositiveInt, ...] = ()
    folder_repeats: bool = True
    image_field: str | None = None
    caption_field: str | None = None
    short_caption_field: str | None = None
    resolution: Annotated[
        Literal["256", "512", "768", "1024"] | None,
        BeforeValidator(lambda side: str(side) if isinstance(side, int) else side),
    ] = None
    aspect_ratios: Texts = ()
    schedules: Annotated[dict[str, Schedule], Field(min_length=1)] | None = None
    short_caption_probability: Share = 0.2
    captions: bool = True
    horizontal_flips: Share = 0.0
    random_crops: bool = False
    picture_folders: Places = ()
    held_out: Below1 = 0.0
    held_out_sources: Places = ()
    world: WorldSettings = WorldSettings()
    workers: NonNegativeInt | None = None
    shuffle: bool = True
    skip_tolerance: Share = 0.1

    def workers_on(self, device: str) -> int:
        """``workers``, or what it means on a "cuda" or "cpu" device where it is None."""
        if self.workers is not None or device == "cpu":
            return 2 if self.workers is None else self.workers
        ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return min(16, max(2, (os.cpu_count() or 1) // ranks))

    def schedules_to_train(self) -> dict[str, ScaleSchedule]:
        """Aspect ratio -> schedule; the first is the model's default."""
        if self.resolution is None:
            return dict(self.schedules or {})
        budget = RESOLUTIONS[self.resolution]
        return {ratio: schedule_for(ratio, budget) for ratio in self.aspect_ratios or ASPECT_RATIOS}


class OptimizationSettings(Settings):
    """The optimizer and how a step is computed.

    Attributes:
        steps: updates of the weights.
        batch_size: samples a step over all processes together.
        micro_batch_size: samples a process computes at once; None: as many as fit in its memory.
        optimizer: "muon" makes the updates of a transformer's hidden matrices or a tokenizer's
            kernels orthogonal and leaves the rest to AdamW, at the same learning rate; small
            models learn faster with it.
        learning_rate: the peak, whatever the batch size (upstream multiplies by batch / 256).
        betas: decay of AdamW's two moments.
        weight_decay: of matrices; biases, norms and embeddings have none.
        weight_decay_end: where a half cosine takes the weight decay; None: it stays.
        schedule: of the learning rate: "trapezoid" (warm-up, flat, linear to zero over
            ``cooldown``), "constant", or a shape of training/schedules.py: "cos", "lin", "lin0",
            "lin00", "exp", "lin0.4".
        warmup: steps in which the learning rate rises.
        cooldown: share of the steps, "trapezoid" only.
        end: last learning rate as a fraction of the peak, not for "trapezoid" and "constant".
        clip: greatest global gradient norm; None: no limit.
        ema_decay: of the averaged weights; None: none are kept.
        dtype: of matrix products; weights, gradients and moments are float32.
        activation_checkpointing: keep only each block's input and compute the rest again, for a
            third more time and a small part of the memory.
        compile: compile the blocks, for long runs.
        text_dropout: share of samples trained without their caption, for guidance.
        scale_prefixes: (step, scales): from this step on a transformer learns only so many of the
            first scales, in less time a step; before the first entry all.
        reweight: coarse scales count more, by 1 / sqrt(area).
        bit_reduction: of a token's loss over its bits.
        drop_path: chance of skipping the last block's branches, linear from 0 at the first.
    """

    steps: PositiveInt
    batch_size: PositiveInt = 16
    micro_batch_size: PositiveInt | None = None
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: PositiveFloat = 1e-4
    betas: tuple[Below1, Below1] = (0.9, 0.97)
    weight_decay: NonNegativeFloat = 0.005
    weight_decay_end: NonNegativeFloat | None = None
    schedule: str = "trapezoid"
    warmup: NonNegativeInt = 0
    cooldown: Share = 0.2
    end: Share = 0.0
    clip: PositiveFloat | None = 5.0
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    activation_checkpointing: bool = False
    compile: bool = False
    text_dropout: Share = 0.1
    scale_prefixes: tuple[tuple[NonNegativeInt, PositiveInt], ...] = ()
    reweight: bool = True
    bit_reduction: Literal["mean", "sum"] = "mean"
    drop_path: Below1 = 0.0


class TrainingConfig(Settings):
    """One training run.

    Attributes:
        task: what is trained.
        output: the run's folder.
        seed: of every random draw.
        start_from: a model's name, its folder, or upstream's checkpoint, to fine-tune.
        model: the transformer's shape; None when a tokenizer is trained.
        tokenizer: the picture tokenizer.
        text_encoder: the text encoder.
        data: pictures and captions.
        optimization: the optimizer and how a step is computed.
        self_correction: flips that the transformer learns to repair.
        tokenizer_losses: weights of a tokenizer's losses.
        parallel: how parameters are spread over processes.
        lora: low-rank adapters instead of all weights; None: all weights.
        sampling: what the trained model draws with unless asked otherwise; sample pictures too.
        logging: what is written while training.
        freeze: names of the trained module's parameters that stay as they are, with * and ? as in
            file names, such as "blocks.0.*".
    """

    task: Literal["transformer", "tokenizer"] = "transformer"
    output: Folder
    seed: NonNegativeInt = 0
    start_from: Place | None = None
    model: TransformerConfig | None = None
    tokenizer: TokenizerSettings
    text_encoder: TextEncoderSettings = TextEncoderSettings()
    data: DataSettings = DataSettings()
    optimization: OptimizationSettings
    self_correction: SelfCorrectionSettings = SelfCorrectionSettings()
    tokenizer_losses: TokenizerLossSettings = TokenizerLossSettings()
    parallel: ParallelSettings = ParallelSettings()
    lora: LoraSettings | None = None
    freeze: Texts = ()
    sampling: SamplingParams = SamplingParams()
    logging: LoggingSettings = LoggingSettings()

    @property
    def transformer(self) -> TransformerConfig:
        """``model`` of a run that trains a transformer."""
        assert self.model is not None, "a tokenizer's run has no transformer"
        return self.model

    @property
    def schedules(self) -> dict[str, ScaleSchedule]:
        """Aspect ratio -> schedule to train; the first is the model's default."""
        return self.data.schedules_to_train()

    def image_size(self, aspect_ratio: str) -> tuple[int, int]:
        """Picture (height, width) in pixels."""
        return self.schedules[aspect_ratio].image_size(self.tokenizer.model.token_pixels)
