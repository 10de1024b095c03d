"""The world itself: endless pictures with exact captions, each fixed by a seed and an index."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from infinity.world.scene import Scene, Thing, Tilt
from training.world.backgrounds import background_of, painted
from training.world.canvas import glow
from training.world.captions import caption
from training.world.color import Body
from training.world.concepts import CONCEPTS
from training.world.layout import Box, boxes_of
from training.world.places import PLACES
from training.world.sampling import Split, Stage, sample_scene
from training.world.sprites import SPRITE_FILE, crop

Art = tuple[str, str, str | None, bool, str]
"""Art set, concept, color, whether it is mirrored, and which way it is tilted."""

TILTS = {"left": 12.0, "none": 0.0, "right": -12.0}  # degrees
LOWEST_HORIZON = 0.66  # an object standing above this would throw its shadow into the sky
SIZE = 256
ART_KEPT = 256 * 2**20
"""Bytes of repainted and scaled art that a process keeps; what was not drawn for longest goes first."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture, uint8 (height, width, 3) RGB, its caption, and what it shows."""

    image: np.ndarray
    caption: str
    scene: Scene


class World:
    """Draws scenes from sprites.

    What a scene leaves open is drawn as usual: upright, of normal size, in the middle, as its art
    faces, in the first art set, on a light blue background.

    Args:
        sprites: uint8 (height, width, 4) RGBA, tightly cropped, by (style, concept name).
        styles: the styles to draw from; the first is the main one.
    """

    def __init__(
        self, sprites: dict[tuple[str, str], np.ndarray], styles: tuple[str, ...] = ("3d",)
    ) -> None:
        self.styles = styles
        self._sprites = sprites
        self._scaled: dict[tuple[Art, int, int], Image.Image] = {}
        self._free = ART_KEPT
        self._halves: dict[tuple[str, str], np.ndarray] = {}
        self._bodies: dict[tuple[str, str, bool], Body] = {}
        self._shapes: dict[Art, tuple[int, int]] = {}

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
        size: int | tuple[int, int] = SIZE,
        stage: Stage = "full",
        split: Split = "train",
    ) -> Example:
        """The picture with this seed and index; the same on every call, in any order."""
        scene, text, rng = self.sample(seed, index, stage=stage, split=split)
        image, _ = self.draw(scene, size, rng)
        return Example(image=np.asarray(image), caption=text, scene=scene)

    def draw(
        self, scene: Scene, size: int | tuple[int, int], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Box]]:
        """A scene, RGB, and the place of each thing, back to front.

        Args:
            size: width and height in pixels, or the side of a square.
            rng: settles small details of the background.
        """
        width, height = size if isinstance(size, tuple) else (size, size)
        image = painted(background_of(scene), (width, height), rng)
        boxes = self.boxes(scene, (width, height))
        for box in boxes:
            _draw_shadow(image, box, scene)
        for box in boxes:
            sprite = self._sprite(self._art(scene, box.item), box.width, box.height)
            image.paste(sprite, (box.x0, box.y0), sprite)
        return image, boxes

    def boxes(self, scene: Scene, size: tuple[int, int]) -> list[Box]:
        """Where each thing of a scene is drawn, back to front."""
        place = PLACES.get(background_of(scene).names[0])
        floor = None if place is None else place.floor
        return boxes_of(scene, size, floor, lambda thing: self._shape(self._art(scene, thing)))

    def mean_color(self, style: str, name: str, color: str | None = None) -> np.ndarray:
        """Mean RGB (3,) in [0, 255] of a concept's art where it is opaque."""
        pixels = self._painted(style, name, color).reshape(-1, 4).astype(np.float64)
        return (pixels[:, :3] * pixels[:, 3:]).sum(0) / pixels[:, 3].sum()

    def art(
        self, style: str, name: str, color: str | None, mirrored: bool, tilt: Tilt
    ) -> np.ndarray:
        """A thing's art at full size, uint8 (height, width, 4) RGBA."""
        kept = color if CONCEPTS[name].colorable else None
        return _turned(self._painted(style, name, kept), mirrored, tilt)

    def _art(self, scene: Scene, thing: Thing) -> Art:
        style = scene.style or self.styles[0]
        concept = CONCEPTS[thing.name]
        faces = concept.faces.get(style)
        mirrored = None not in (faces, thing.facing) and faces != thing.facing
        color = thing.color if concept.colorable else None
        return style, thing.name, color, mirrored, thing.tilt or "none"

    def _shape(self, art: Art) -> tuple[int, int]:
        """Width and height of a thing's art."""
        style, name, _, mirrored, tilt = art
        key = (style, name, None, mirrored, tilt)
        if key not in self._shapes:
            half = self._painted(style, name, None, half=True)
            self._shapes[key] = _turned(half, mirrored, tilt).shape[1::-1]
        return self._shapes[key]

    def _painted(self, style: str, name: str, color: str | None, half: bool = False) -> np.ndarray:
        """The art, uint8 (height, width, 4), repainted if the scene says so; at half its size, maybe."""
        sprite = self._sprites[style, name]
        if half:
            key = (style, name)
            if key not in self._halves:
                self._halves[key] = np.asarray(Image.fromarray(sprite).reduce(2))
            sprite = self._halves[key]
        if color is None:
            return sprite
        body = self._bodies.get((style, name, half)) or Body(sprite)
        self._bodies[style, name, half] = body
        return body.painted(color)

    def _sprite(self, art: Art, width: int, height: int) -> Image.Image:
        """The art at the size of its box; kept for the next time."""
        key = (art, width, height)
        sprite = self._scaled.pop(key, None)
        if sprite is None:
            style, name, color, mirrored, tilt = art
            half = 2 * max(width, height) <= max(self._sprites[style, name].shape)
            whole = _turned(self._painted(style, name, color, half), mirrored, tilt)
            resample = Image.Resampling.LANCZOS
            sprite = Image.fromarray(whole).resize((width, height), resample, reducing_gap=3.0)
            self._free -= 4 * width * height
            while self._free < 0 and self._scaled:
                oldest = self._scaled.pop(next(iter(self._scaled)))
                self._free += 4 * oldest.width * oldest.height
        self._scaled[key] = sprite
        return sprite


def _turned(art: np.ndarray, mirrored: bool, tilt: str) -> np.ndarray:
    """uint8 (height, width, 4), mirrored or not, then tilted to a side."""
    if mirrored:
        art = np.ascontiguousarray(art[:, ::-1])
    if tilt == "none":
        return art
    turned = Image.fromarray(art).rotate(TILTS[tilt], Image.Resampling.BICUBIC, expand=True)
    return crop(np.asarray(turned))


def _draw_shadow(image: Image.Image, box: Box, scene: Scene) -> None:
    """A soft contact shadow under what stands on the ground."""
    if not box.grounded or box.bottom < LOWEST_HORIZON * image.height:
        return
    color = PLACES[background_of(scene).names[0]].shadow
    y = box.bottom - 0.005 * image.height
    glow(image, box.center[0], y, 0.62 * box.width, 0.12 * box.width, color, 0.62)
