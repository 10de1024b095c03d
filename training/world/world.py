"""The world itself: endless pictures with exact captions, each fixed by a seed and an index."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from training.world import painters
from training.world.canvas import Canvas, glow
from training.world.captions import caption
from training.world.color import Body
from training.world.concepts import CONCEPTS
from training.world.layout import Box, boxes_of
from training.world.places import PLACES
from training.world.scene import Scene, SceneObject, Split, Stage, sample_scene
from training.world.sprites import SPRITE_FILE

LOWEST_HORIZON = 0.66  # an object standing above this would throw its shadow into the sky
ART_KEPT = 256 * 2**20
"""Bytes of repainted and scaled art that a process keeps; what was not drawn for longest goes first."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture, uint8 (size, size, 3) RGB, its caption, and what it shows."""

    image: np.ndarray
    caption: str
    scene: Scene


class World:
    """Draws scenes from sprites.

    Args:
        sprites: uint8 (height, width, 4) RGBA, tightly cropped, by (style, concept name).
        styles: the styles to draw from; the first is the main one.
    """

    def __init__(
        self, sprites: dict[tuple[str, str], np.ndarray], styles: tuple[str, ...] = ("3d",)
    ) -> None:
        self.styles = styles
        self._sprites = sprites
        self._scaled: dict[tuple[str, str, str | None, tuple[int, int]], Image.Image] = {}
        self._free = ART_KEPT
        self._bodies: dict[tuple[str, str], Body] = {}

    @classmethod
    def load(cls, folder: str | Path, styles: tuple[str, ...] = ("3d",)) -> Self:
        """Read what `python -m training.world build --output folder` wrote.

        Raises:
            ValueError: a concept is not in the folder in one of the styles.
            FileNotFoundError: nothing was built there.
        """
        path = Path(folder) / SPRITE_FILE
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is missing: run `python -m training.world build --output {folder}` first."
            )
        wanted = {(style, name): f"{style}/{name}" for style in styles for name in CONCEPTS}
        with np.load(path) as arrays:
            missing = sorted(set(wanted.values()) - set(arrays.files))
            if missing:
                raise ValueError(f"not in {folder}: {', '.join(missing)}; build it again")
            return cls({key: arrays[file] for key, file in wanted.items()}, styles)

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts that every style of this world can draw."""
        styles = self.styles
        return tuple(n for n in CONCEPTS if all((style, n) in self._sprites for style in styles))

    def sample(
        self, seed: int, index: int, *, stage: Stage = "full", split: Split = "train"
    ) -> tuple[Scene, str, np.random.Generator]:
        """What the picture with this seed and index shows, its caption, and the source of the rest."""
        rng = np.random.default_rng((seed, index))
        scene = sample_scene(
            rng, concepts=self.concepts, styles=self.styles, stage=stage, split=split
        )
        return scene, caption(scene, rng), rng

    def example(
        self,
        seed: int,
        index: int,
        *,
        size: int = 192,
        stage: Stage = "full",
        split: Split = "train",
    ) -> Example:
        """The picture with this seed and index; the same on every call, in any order."""
        scene, text, rng = self.sample(seed, index, stage=stage, split=split)
        image, _ = self.draw(scene, size, rng)
        return Example(image=np.asarray(image), caption=text, scene=scene)

    def draw(
        self, scene: Scene, size: int, rng: np.random.Generator
    ) -> tuple[Image.Image, list[Box]]:
        """A scene, (size, size) RGB, and the place of each object, back to front.

        `rng` settles the background's details.
        """
        canvas = Canvas(size)
        names = scene.background.names
        if scene.background.kind == "place":
            PLACES[names[0]].paint(canvas, rng)
        elif scene.background.kind == "gradient":
            painters.gradient(canvas, rng, *names)
        else:
            painters.plain(canvas, rng, names[0])
        image = canvas.finish()
        boxes = self.boxes(scene, size)
        for box in boxes:
            self._shadow(image, box, scene)
        for box in boxes:
            sprite = self._sprite(scene.style, box)
            image.paste(sprite, (box.x0, box.y0), sprite)
        return image, boxes

    def boxes(self, scene: Scene, size: int) -> list[Box]:
        """Where each object of a scene is drawn, back to front."""
        place = PLACES.get(scene.background.names[0])
        return boxes_of(
            scene,
            size,
            None if place is None else place.floor,
            lambda item: self._sprites[scene.style, item.concept].shape[1::-1],
        )

    def mean_color(self, style: str, item: SceneObject) -> np.ndarray:
        """Mean RGB (3,) in [0, 255] of an object's art where it is opaque."""
        pixels = self._painted(style, item).reshape(-1, 4).astype(np.float64)
        return (pixels[:, :3] * pixels[:, 3:]).sum(0) / pixels[:, 3].sum()

    def _shadow(self, image: Image.Image, box: Box, scene: Scene) -> None:
        """A soft contact shadow under what stands on the ground."""
        bottom = box.y0 + box.height
        if not box.grounded or bottom < LOWEST_HORIZON * image.height:
            return
        color = PLACES[scene.background.names[0]].shadow
        y = bottom - 0.005 * image.height
        glow(image, box.center[0], y, 0.62 * box.width, 0.12 * box.width, color, 0.62)

    def _painted(self, style: str, item: SceneObject) -> np.ndarray:
        """The art at full size, uint8 (height, width, 4), repainted if the scene says so."""
        sprite = self._sprites[style, item.concept]
        if item.color is None or not CONCEPTS[item.concept].colorable:
            return sprite
        body = self._bodies.get((style, item.concept)) or Body(sprite)
        self._bodies[style, item.concept] = body
        return body.painted(item.color)

    def _sprite(self, style: str, box: Box) -> Image.Image:
        """The art at the size of its box; kept for the next time."""
        item, size = box.item, (box.width, box.height)
        key = (style, item.concept, item.color, size)
        sprite = self._scaled.pop(key, None)
        if sprite is None:
            art = Image.fromarray(self._painted(style, item))
            sprite = art.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
            self._free -= 4 * box.width * box.height
            while self._free < 0 and self._scaled:
                oldest = self._scaled.pop(next(iter(self._scaled)))
                self._free += 4 * oldest.width * oldest.height
        self._scaled[key] = sprite
        return sprite
