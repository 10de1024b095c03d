"""The emoji world as a source: pictures that are drawn when they are asked for, each by its number."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast, get_args
from urllib.parse import parse_qs

import numpy as np
from PIL import Image

from infinity.world.scene import Scene
from training.config.sections import WorldSettings
from training.config.settings import TrainingConfig
from training.data.captions import Captions
from training.data.errors import DataError
from training.data.records import Record
from training.data.shards import PreparedSource
from training.world.captions import caption
from training.world.concepts import STYLES
from training.world.sampling import STAGES, Split, Stage, pick_by_share
from training.world.sprites import SPRITE_FILE
from training.world.world import World

ENDLESS = 2**60
_CHOICES = {"stage": STAGES, "split": get_args(Split), "styles": STYLES}
_NUMBERS = ("seed", "pictures")

ORDER_SEED, FRESH_SEED = 1, 6
AGAIN_SEEDS: dict[Stage, int] = {"single": 3, "full": 4, "composed": 5}
"""Seeds of the pictures that come up again. All differ, so that no two purposes share a picture."""

_world = cache(World.load)


def is_world(source: str) -> bool:
    """Whether a source names a folder that ``python -m training.world build`` wrote."""
    return (Path(source.partition("?")[0]) / SPRITE_FILE).is_file()


class WorldSource:
    """Examples of the world by number.

    Args:
        source: its folder, then maybe "?stage=single&styles=3d,cartoon&split=train", a "seed=3" of
            its own and "pictures=1000", how many there are.
        size: width and height of the pictures in pixels.

    Raises:
        DataError: nothing was built there, or an option is unknown.
    """

    def __init__(self, source: str, size: tuple[int, int], seed: int) -> None:
        folder, _, query = source.partition("?")
        options = {name: values[-1].split(",") for name, values in parse_qs(query).items()}
        for name, values in options.items():
            known = (
                set(filter(str.isdecimal, values)) if name in _NUMBERS else _CHOICES.get(name, ())
            )
            if not set(values) <= set(known):
                choices = [f"{key} ({', '.join(words)})" for key, words in _CHOICES.items()]
                raise DataError(
                    f"{source}: the world has no option {name}={','.join(values)}; it has "
                    f"{', '.join(choices)}, seed and pictures (numbers)."
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

    def sample(self, index: int) -> tuple[Scene, str, np.random.Generator]:
        """See :meth:`World.sample`."""
        return self._world.sample(self._seed, index, stage=self._stage, split=self._split)

    def record(self, index: int) -> Record:
        """Its caption is read off the scene; nothing is drawn before ``load`` asks for it."""
        return self.captioned(index, self.sample(index)[1])

    def captioned(self, index: int, text: str) -> Record:
        """As ``record``, with another caption."""
        return Record(
            key=f"world {index}",
            captions=Captions(long=(text,)),
            load=lambda: self._draw(index),
            height=self._size[1],
            width=self._size[0],
        )

    def check(self, config: TrainingConfig) -> None:
        """Fits every run."""

    def _draw(self, index: int) -> Image.Image:
        scene, _, rng = self.sample(index)
        return self._world.draw(scene, self._size, rng)[0]


class StagedWorld:
    """A curriculum over the world: some pictures again and again, in other words each time, then new ones.

    Args:
        source: the world's folder.
        size: width and height of the pictures in pixels.
        seed: of a run; another one has other new pictures, in another order.
        ratio: name of this shape, of which features were prepared.

    Raises:
        DataError: nothing was built there; prepared features are missing or of other pictures.
    """

    def __init__(
        self,
        source: str,
        settings: WorldSettings,
        size: tuple[int, int],
        seed: int,
        ratio: str = "1:1",
    ) -> None:
        self.settings = settings
        self._order_seed = ORDER_SEED + 8 * seed
        folder = source.partition("?")[0]
        stages: set[Stage] = {stage for _, shares in settings.curriculum for stage in shares}
        self._fresh: dict[Stage, WorldSource] = {
            s: WorldSource(f"{folder}?stage={s}", size, FRESH_SEED + 8 * seed) for s in stages
        }
        self._again: dict[Stage, WorldSource] = {}
        self._prepared: dict[Stage, PreparedSource] = {}
        self._numbers: dict[Stage, np.ndarray] = {}
        for stage, count in settings.pictures.items():
            again = source_again(folder, stage, count)
            self._again[stage] = WorldSource(again, size, 0)
            if settings.features is None:
                continue
            prepared = PreparedSource(Path(settings.features) / stage)
            self._numbers[stage] = np.flatnonzero(prepared.aspect_ratios({}) == ratio)
            if (found := len(self._numbers[stage])) != count:
                raise DataError(
                    f"{prepared.folder} has {found} pictures of {ratio} and data.world.pictures "
                    f"{count}; prepare {again}."
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
            return self._fresh[stage].record(index)
        pictures = self._again[stage]
        number = int(random.integers(len(pictures)))
        text = caption(pictures.sample(number)[0], random)
        if not self._prepared:
            return pictures.captioned(number, text)
        prepared = self._prepared[stage].record(int(self._numbers[stage][number]))
        return replace(prepared, captions=Captions(long=(text,)))


def source_again(folder: str, stage: Stage, pictures: int) -> str:
    """The source of the pictures of a stage that come up again, to prepare their features from."""
    return f"{folder}?stage={stage}&seed={AGAIN_SEEDS[stage]}&pictures={pictures}"
