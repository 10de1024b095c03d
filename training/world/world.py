"""The world itself: endless pictures with exact captions, each fixed by a seed and an index."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from training.world.canvas import glow
from training.world.captions import caption
from training.world.color import recolor
from training.world.concepts import CONCEPTS, FLOATING
from training.world.layout import Box, place, slots
from training.world.sampling import Stage, sample_scene
from training.world.scene import Scene, SceneObject, Split
from training.world.scenes import PLACES, paint_gradient, paint_place, paint_plain
from training.world.sprites import load_sprites

LOWEST_HORIZON = 0.66  # an object standing above this would throw its shadow into the sky


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
        self._painted: dict[tuple[str, str, str | None], Image.Image] = {}

    @classmethod
    def load(cls, folder: str | Path, styles: tuple[str, ...] = ("3d",)) -> "World":
        """Read what `python -m training.world build --output folder` wrote.

        Raises:
            ValueError: a concept is not in the folder in one of the styles.
            FileNotFoundError: nothing was built there.
        """
        world = cls(load_sprites(Path(folder), styles), styles)
        missing = sorted(
            f"{style}/{name}"
            for style in styles
            for name in CONCEPTS
            if (style, name) not in world._sprites
        )
        if missing:
            raise ValueError(f"not in {folder}: {', '.join(missing)}; build it again")
        return world

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """Names of the concepts that every style of this world can draw."""
        return tuple(
            name
            for name in CONCEPTS
            if all((style, name) in self._sprites for style in self.styles)
        )

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
        rng = np.random.default_rng((seed, index))
        scene = sample_scene(
            rng, concepts=self.concepts, styles=self.styles, stage=stage, split=split
        )
        text = caption(scene, rng)
        return Example(image=self.render(scene, size, rng), caption=text, scene=scene)

    def render(self, scene: Scene, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a scene: uint8 (size, size, 3) RGB. `rng` settles the background's details."""
        return self.draw(scene, size, rng)[0]

    def draw(
        self, scene: Scene, size: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Box]]:
        """As :meth:`render`, with the place of each object, back to front."""
        image = self._background(scene, size, rng)
        boxes = self.boxes(scene, size)
        for box in boxes:
            self._shadow(image, box, scene)
        for box in boxes:
            sprite = self._sprite(scene.style, box.item)
            sprite = sprite.resize(
                (box.width, box.height), Image.Resampling.LANCZOS, reducing_gap=3.0
            )
            image.paste(sprite, (box.x0, box.y0), sprite)
        return np.asarray(image), boxes

    def boxes(self, scene: Scene, size: int) -> list[Box]:
        """Where each object of a scene is drawn, back to front."""
        floor = None
        if scene.background.kind == "place":
            floor = PLACES[scene.background.names[0]].floor
        return [
            place(
                slot,
                self._sprite(scene.style, slot.item).size,
                size,
                floor=floor,
                floats=slot.item.concept in FLOATING,
            )
            for slot in slots(scene)
        ]

    def mean_color(self, style: str, item: SceneObject) -> np.ndarray:
        """Mean RGB (3,) in [0, 255] of an object's art where it is opaque."""
        pixels = np.asarray(self._sprite(style, item)).reshape(-1, 4).astype(np.float64)
        return (pixels[:, :3] * pixels[:, 3:]).sum(0) / pixels[:, 3].sum()

    def _background(self, scene: Scene, size: int, rng: np.random.Generator) -> Image.Image:
        names = scene.background.names
        if scene.background.kind in ("plain", "backdrop"):
            return paint_plain(size, names[0], rng)
        if scene.background.kind == "gradient":
            return paint_gradient(size, names[0], names[1], rng)
        return paint_place(size, names[0], rng)

    def _shadow(self, image: Image.Image, box: Box, scene: Scene) -> None:
        """A soft contact shadow under what stands on the ground."""
        bottom = box.y0 + box.height
        if not box.grounded or bottom < LOWEST_HORIZON * image.height:
            return
        color = PLACES[scene.background.names[0]].shadow
        x, _ = box.center
        glow(image, x, bottom - 0.005 * image.height, 0.62 * box.width, 0.12 * box.width, color,
             0.62)  # fmt: skip

    def _sprite(self, style: str, item: SceneObject) -> Image.Image:
        """The art at full size, repainted if the scene says so; kept for the next time."""
        color = item.color if CONCEPTS[item.concept].colorable else None
        key = (style, item.concept, color)
        if key not in self._painted:
            pixels = self._sprites[style, item.concept]
            if color is not None:
                pixels = recolor(pixels, color)
            self._painted[key] = Image.fromarray(pixels)
        return self._painted[key]
