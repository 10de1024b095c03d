"""The settings of the shipped default model: what its recipe (``training.default_model``) does with what."""

from __future__ import annotations

from pathlib import Path

from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.request import SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from training.train_tokenizer import TokenizerTraining
from training.train_transformer import TransformerTraining
from training.world.sampling import Stage

WORLD = Path("data/world")
RUNS = Path("runs/default")
ATTRIBUTION = Path(__file__).parent / "world" / "ATTRIBUTION.md"
SIZE = 192
SCALES = tuple((side, side) for side in (1, 2, 3, 4, 6, 9, 12))
HELD_OUT = 128
LATENTS: dict[Stage, int] = {"single": 30_720, "full": 122_880, "composed": 49_152}


TOKENIZER = TokenizerTraining(
    model=TokenizerConfig(
        bits=32, base_channels=256, channel_multipliers=(1,), num_res_blocks=1, stem_patch=16
    ),
    scales=SCALES,
    steps=9_500,
    cooldown=0.3,
)

TRANSFORMER = TransformerTraining(
    model=TransformerConfig(
        depth=6, width=320, num_heads=5, bits_per_token=32, text_width=256, text_max_length=64
    ),
    scales=SCALES,
    steps=33_600,
    batch_size=24,
    learning_rate=3e-3,
    cooldown=0.14,
    compiled=True,
    save_every=300,
    prefixes=(
        *((0, 6), (9_000, 7), (10_200, 6), (15_000, 7)),
        *((16_800, 5), (24_150, 7)),
    ),
)
CURRICULUM: tuple[tuple[int, dict[Stage, float]], ...] = (  # from a step on
    (0, {"single": 0.7, "full": 0.3}),
    (2_500, {"single": 0.2, "full": 0.8}),
    (10_200, {"single": 0.15, "full": 0.4, "composed": 0.45}),
    (16_800, {"single": 0.1, "full": 0.3, "composed": 0.6}),
    (27_450, {"single": 0.2, "full": 0.35, "composed": 0.45}),
    (30_900, {"single": 0.35, "full": 0.3, "composed": 0.35}),
    (32_400, {"single": 0.55, "full": 0.2, "composed": 0.25}),
)
FRESH_FROM = 30_900
"""From this step on every picture is a new one."""
SHIPPED_STEPS = 33_600
"""Of the transformer in assets/."""
CAPTIONS, VOCABULARY = 40_000, 2048
SHARD_BYTES = 9_500_000
EXAM_SEEDS, QUIZ_EACH = 4, 12

SPEC = ModelSpec(
    name="default",
    title="Infinity Emoji, 192x192",
    transformer=TRANSFORMER.model,
    tokenizer=TOKENIZER.model,
    text_encoder=TextEncoderConfig(width=256, max_length=64),
    schedules={"1:1": ScaleSchedule(SCALES)},
    sampling=SamplingParams(guidance=3.0, temperature=0.9),
)
CURVES = {
    "tokenizer": ("loss", "held_out_psnr"),
    "transformer": ("loss", "validation_loss", "bit_accuracy"),
}
