"""The emoji world as a source: pictures that are drawn when they are asked for, each by its number."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

from training.config.settings import TrainingConfig
from training.config.world_settings import WorldSettings
from training.data.captions import Captions
from training.data.errors import DataError
from training.data.records import Record
from training.data.shards import PreparedSource
from training.world.captions import caption
from training.world.filler import with_filler
from training.world.sampling import STAGES, Stage, pick_by_share, sample_scene
from training.world.scene import Scene, Split
from training.world.sprites import SPRITE_FILE, STYLES

if TYPE_CHECKING:
    from training.world.world import World

ENDLESS = 2**60
_CHOICES = {"stage": STAGES, "split": ("train", "heldout"), "styles": STYLES}
_NUMBERS = ("seed", "pictures")

ORDER_SEED, FRESH_SEED = 1, 6
AGAIN_SEEDS: dict[Stage, int] = {"single": 3, "full": 4, "composed": 5}
"""Seeds of the pictures that come up again. All differ, so that no two purposes share a picture."""


def is_world(source: str) -> bool:
    """Whether a source names a folder that ``python -m training.world build`` wrote."""
    return (Path(source.partition("?")[0]) / SPRITE_FILE).is_file()


@cache
def _world(folder: str, styles: tuple[str, ...]) -> World:
    from training.world.world import World

    return World.load(folder, styles=styles)


class WorldSource:
    """Examples of the world by number.

    Args:
        source: its folder, then maybe "?stage=single&styles=3d,cartoon&split=train", a "seed=3" of
            its own and "pictures=1000", how many there are.
        size: side of the pictures in pixels.

    Raises:
        DataError: nothing was built there, or an option is unknown.
    """

    def __init__(self, source: str, size: int, seed: int) -> None:
        folder, _, query = source.partition("?")
        options = {name: values[-1].split(",") for name, values in parse_qs(query).items()}
        for name, values in options.items():
            wrong = set(values) - set(_CHOICES.get(name, ()))
            if name in _NUMBERS:
                wrong = {value for value in values if not value.isdecimal()}
            if name not in (*_CHOICES, *_NUMBERS) or wrong:
                known = [f"{key} ({', '.join(_CHOICES[key])})" for key in _CHOICES]
                raise DataError(
                    f"{source}: the world has no option {name}={','.join(values)}; it has "
                    f"{', '.join(known)}, seed and pictures (numbers)."
                )
        try:
            self._world = _world(folder, tuple(options.get("styles", STYLES)))
        except (OSError, ValueError) as error:
            raise DataError(f"{source} is not a built world ({error}).") from error
        self._stage: Stage = cast("Stage", options.get("stage", ["full"])[0])
        self._split: Split = cast("Split", options.get("split", ["train"])[0])
        self._size, self._seed = size, int(options.get("seed", [str(seed)])[0])
        self._pictures = int(options.get("pictures", [str(ENDLESS)])[0])

    def __len__(self) -> int:
        return self._pictures

    @property
    def fingerprint(self) -> str:
        return f"world {self._stage} {self._split} {self._world.styles} {self._seed}"

    def scene(self, index: int) -> tuple[Scene, np.random.Generator]:
        """What a picture shows, and the source that its caption is drawn from."""
        random = np.random.default_rng((self._seed, index))  # as World.example begins
        scene = sample_scene(
            random,
            concepts=self._world.concepts,
            styles=self._world.styles,
            stage=self._stage,
            split=self._split,
        )
        return scene, random

    def record(self, index: int) -> Record:
        """Its caption is read off the scene; nothing is drawn before ``load`` asks for it."""
        return Record(
            key=f"world {index}",
            captions=Captions(long=(caption(*self.scene(index)),)),
            load=lambda: self._draw(index),
            height=self._size,
            width=self._size,
        )

    def check(self, config: TrainingConfig) -> None:
        """Fits every run."""

    def _draw(self, index: int) -> Image.Image:
        example = self._world.example(
            self._seed, index, size=self._size, stage=self._stage, split=self._split
        )
        return Image.fromarray(example.image)


class StagedWorld:
    """A curriculum over the world: some pictures again and again, in other words each time, then new ones.

    Args:
        source: the world's folder.
        size: side of the pictures in pixels.
        seed: of a run; another one has other new pictures, in another order.

    Raises:
        DataError: nothing was built there; prepared features are missing or of other pictures.
    """

    def __init__(self, source: str, settings: WorldSettings, size: int, seed: int) -> None:
        self.settings = settings
        self._order_seed = ORDER_SEED + 8 * seed
        fresh_seed = FRESH_SEED + 8 * seed
        folder = source.partition("?")[0]
        stages: set[Stage] = {stage for _, shares in settings.curriculum for stage in shares}
        self._fresh: dict[Stage, WorldSource] = {
            s: WorldSource(f"{folder}?stage={s}", size, fresh_seed) for s in stages
        }
        self._again: dict[Stage, WorldSource] = {
            stage: WorldSource(source_again(folder, stage, count), size, 0)
            for stage, count in settings.pictures.items()
        }
        self._prepared: dict[Stage, PreparedSource] = {}
        if settings.features is not None:
            for stage, pictures in self._again.items():
                prepared = PreparedSource(Path(settings.features) / stage)
                if len(prepared) != len(pictures):
                    raise DataError(
                        f"{prepared.folder} has {len(prepared)} pictures and data.world.pictures "
                        f"{len(pictures)}; prepare {source_again(folder, stage, len(pictures))}."
                    )
                self._prepared[stage] = prepared

    def __len__(self) -> int:
        return ENDLESS

    @property
    def fingerprint(self) -> str:
        return f"{self.settings.model_dump_json()} {self._order_seed}"

    def check(self, config: TrainingConfig) -> None:
        """Raises DataError where features were prepared for another model."""
        for prepared in self._prepared.values():
            prepared.check(config)

    def record(self, index: int) -> Record:
        """The run's picture of this number."""
        random = np.random.default_rng((self._order_seed, index))
        shares = [shares for start, shares in self.settings.curriculum if start <= index][-1]
        stage = pick_by_share(random, shares)
        if index >= self.settings.fresh_from:
            fresh = self._fresh[stage].record(index)
            return _worded(fresh, with_filler(fresh.captions.long[0], random))
        pictures = self._again[stage]
        number = int(random.integers(len(pictures)))
        scene, _ = pictures.scene(number)
        text = with_filler(caption(scene, random), random)
        return _worded((self._prepared or self._again)[stage].record(number), text)


def source_again(folder: str, stage: Stage, pictures: int) -> str:
    """The source of the pictures of a stage that come up again, to prepare their features from."""
    return f"{folder}?stage={stage}&seed={AGAIN_SEEDS[stage]}&pictures={pictures}"


def _worded(record: Record, text: str) -> Record:
    return replace(record, captions=Captions(long=(text,)))
