"""The steps that make the default model. Each goes on where it stopped when it is run again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infinity.devices import resolve_device
from infinity.pipeline import InfinityPipeline
from training.config.load import load_config
from training.config.settings import DataSettings, TrainingConfig
from training.config.sources import merged
from training.data.preparing import Recipe, prepare
from training.data.source import open_source
from training.data.world import source_again
from training.drawing import read_prompts
from training.engine.loop import train
from training.evaluation.exam import examine
from training.evaluation.judge import WEIGHTS, save_judge
from training.evaluation.judge_training import train_judge
from training.export import export
from training.pages.examples import PROMPTS, contact_sheet
from training.steps.build import tokenizer_of
from training.world.concepts import STYLES
from training.world.sprites import ensure_sprites
from training.world.world import World

SHARD_BYTES = 9_500_000

RECIPES = ("default", "next")
"""The shipped model, and the one to come: 256x256 and two shapes more, the larger world."""
PARTS = {
    "tokenizer": ("{recipe}-tokenizer", None),
    "decoder": ("{recipe}-decoder", "tokenizer"),
    "transformer": ("{recipe}", "decoder"),
}
"""Part -> the preset it is trained with, and the part whose weights are its tokenizer's."""


@dataclass(frozen=True)
class Build:
    """The parts' runs, the prepared features and the exported model, in one folder.

    Args:
        runs: the folder.
        world: of the emoji world's art.
        changes: part -> settings over those of its preset.
        sheet: pictures on the contact sheet.
        recipe: one of ``RECIPES``.
    """

    runs: Path = Path("runs/default")
    world: Path = Path("data/world")
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sheet: int = 64
    recipe: str = "default"

    def settings(self, part: str) -> TrainingConfig:
        """Of the run of a part.

        Raises:
            SettingsError: ``changes`` that do not fit.
        """
        preset, before = PARTS[part]
        given: dict[str, Any] = {
            "preset": preset.format(recipe=self.recipe),
            "output": str(self.runs / part),
            "data": {"sources": [str(self.world)]},
        }
        if before is not None:
            given["tokenizer"] = {"weights": str(self.runs / before / "exported")}
        return load_config(overrides=merged(given, self.changes.get(part, {})))

    def train_part(self, part: str) -> None:
        """Train a part of the tokenizer and export it for the next one."""
        train(self.settings(part))
        export(self.runs / part)

    def prepare_features(self) -> None:
        """What the tokenizer makes of the pictures that the transformer sees more than once."""
        config = self.settings("transformer")
        if not config.data.world.fresh_from:
            return
        tokenizer = tokenizer_of(config).eval().requires_grad_(False).to(resolve_device())
        recipe = Recipe(tokenizer=tokenizer, schedules=config.schedules)
        pixels = config.tokenizer.model.token_pixels
        for stage, count in config.data.world.pictures.items():
            source = source_again(str(self.world), stage, count)
            settings = DataSettings(sources=(source,), format="world")
            pictures = open_source(settings, config.schedules, token_pixels=pixels)
            prepare(pictures, recipe, self.runs / "features" / stage)

    def train_transformer(self) -> None:
        """With its text encoder, on prepared features first and on new pictures at the end."""
        config = self.settings("transformer")
        if config.data.world.fresh_from:
            world = config.data.world.model_copy(update={"features": str(self.runs / "features")})
            data = config.data.model_copy(update={"world": world})
            config = config.model_copy(update={"data": data})
        train(config)

    def train_judge(self) -> None:
        """Train the exam's judge, apart from the model."""
        judge = train_judge(World.load(self.world, styles=STYLES), self.runs / "judge")
        save_judge(judge, WEIGHTS)

    def export(self) -> None:
        """Write the model's folder, and a contact sheet that it drew."""
        config = self.settings("transformer")
        height, width = config.schedules["1:1"].image_size(config.tokenizer.model.token_pixels)
        folder = export(
            self.runs / "transformer",
            self.exported,
            name="default",
            title=f"Infinity Emoji, {width}x{height}",
            int8=True,
            shard_bytes=SHARD_BYTES,
        )
        pipeline = InfinityPipeline.from_pretrained(folder)
        prompts = read_prompts(PROMPTS["contact-sheet"])[: self.sheet]
        contact_sheet(pipeline, prompts, self.runs / "contact_sheet.webp")

    @property
    def exported(self) -> Path:
        return self.runs / "exported"


STEPS: dict[str, Callable[[Build], object]] = {
    "world": lambda build: ensure_sprites(build.world),
    "tokenizer": lambda build: build.train_part("tokenizer"),
    "decoder": lambda build: build.train_part("decoder"),
    "features": Build.prepare_features,
    "transformer": Build.train_transformer,
    "judge": Build.train_judge,
    "export": Build.export,
    "scores": lambda build: examine(str(build.exported), build.runs / "exam", world=build.world),
}
"""In the order in which they need each other. The decoder is sharpened with the codes frozen."""
