"""The emoji world as a source: endless pictures, each fixed by the run's seed and its number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

from training.data.captions import Captions
from training.data.errors import DataError
from training.data.records import Record
from training.world.captions import caption
from training.world.sampling import STAGES, Stage, sample_scene
from training.world.scene import Split
from training.world.sprites import SPRITE_FILE, STYLES

if TYPE_CHECKING:
    from training.world.world import World

ENDLESS = 2**60
_OPTIONS = {"stage": STAGES, "split": ("train", "heldout"), "styles": STYLES}


def is_world(source: str) -> bool:
    """Whether a source names a folder that ``python -m training.world build`` wrote."""
    return (Path(source.partition("?")[0]) / SPRITE_FILE).is_file()


class WorldSource:
    """Examples of the world by number.

    Args:
        source: its folder, then maybe "?stage=single&styles=3d,cartoon&split=train".
        size: side of the pictures in pixels.

    Raises:
        DataError: nothing was built there, or an option is unknown.
    """

    def __init__(self, source: str, size: int, seed: int) -> None:
        from training.world.world import World

        folder, _, query = source.partition("?")
        options = {name: values[-1].split(",") for name, values in parse_qs(query).items()}
        for name, values in options.items():
            wrong = set(values) - set(_OPTIONS.get(name, ()))
            if name not in _OPTIONS or wrong:
                known = ", ".join(f"{key} ({', '.join(_OPTIONS[key])})" for key in _OPTIONS)
                raise DataError(
                    f"{source}: the world has no option {name}={','.join(values)}; it has {known}."
                )
        try:
            self._world: World = World.load(folder, styles=tuple(options.get("styles", STYLES)))
        except (OSError, ValueError) as error:
            raise DataError(f"{source} is not a built world ({error}).") from error
        self._stage: Stage = cast("Stage", options.get("stage", ["full"])[0])
        self._split: Split = cast("Split", options.get("split", ["train"])[0])
        self._size, self._seed = size, seed

    def __len__(self) -> int:
        return ENDLESS

    @property
    def fingerprint(self) -> str:
        return f"world {self._stage} {self._split} {self._world.styles} {self._seed}"

    def record(self, index: int) -> Record:
        """Its caption is read off the scene; nothing is drawn before ``load`` asks for it."""
        random = np.random.default_rng((self._seed, index))  # as World.example begins
        scene = sample_scene(
            random,
            concepts=self._world.concepts,
            styles=self._world.styles,
            stage=self._stage,
            split=self._split,
        )
        return Record(
            key=f"world {index}",
            captions=Captions(long=(caption(scene, random),)),
            load=lambda: self._draw(index),
            height=self._size,
            width=self._size,
        )

    def _draw(self, index: int) -> Image.Image:
        example = self._world.example(
            self._seed, index, size=self._size, stage=self._stage, split=self._split
        )
        return Image.fromarray(example.image)
