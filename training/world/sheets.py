"""Sheets to look the world over: all things in every art set and color, places, layouts, spots and shapes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from infinity.world.scene import FACINGS, RELATIONS, SIZES, SPOTS, TILTS, Background, Scene, Thing
from infinity.world.wording import written
from training.drawing import sheet
from training.world.captions import world_vocabulary
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS
from training.world.places import PLACES
from training.world.world import World

TILE, COLUMNS = 144, 10
SHAPES = (208, 208), (256, 168), (168, 256)
PAGE = 120

Labeled = tuple[str, Scene]


def write_sheets(world: World, folder: Path) -> None:
    """Write PNGs, a few a subject."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scenes in {
        "things": _things(world),
        "colors": _colors(),
        "backgrounds": _backgrounds(),
        "layouts": _layouts(),
        "looks": _looks(world),
    }.items():
        _write(world, folder / name, scenes, (TILE, TILE), COLUMNS)
    for width, height in SHAPES:
        samples = (world.sample(1, index) for index in range(64))
        scenes = ((caption, scene) for scene, caption, _ in samples)
        _write(world, folder / f"samples-{width}x{height}", scenes, (width, height), 8)


def _write(
    world: World, path: Path, scenes: Iterable[Labeled], size: tuple[int, int], columns: int
) -> None:
    labels, pictures = [], []
    for label, scene in scenes:
        labels.append(label)
        pictures.append(world.draw(scene, size, np.random.default_rng(0))[0])
    for page, first in enumerate(range(0, len(labels), PAGE)):
        part = slice(first, first + PAGE)
        whole = sheet(pictures[part], labels[part], columns=columns, size=size)
        whole.save(path.with_name(f"{path.name}-{page}.png"))


def _things(world: World) -> Iterator[Labeled]:
    for name in world.concepts:
        for style in world.styles:
            yield f"{name}, {style}", Scene(things=(Thing(name=name),), style=style)


def _colors() -> Iterator[Labeled]:
    for concept in CONCEPTS.values():
        for color in HUES if concept.colorable else ():
            yield f"{color} {concept.name}", Scene(things=(Thing(name=concept.name, color=color),))


def _backgrounds() -> Iterator[Labeled]:
    things = (Thing(name="dog"),), (Thing(name="cat", count=4),), (Thing(name="bird", size="tiny"),)
    for place in PLACES:
        for each in things:
            yield place, Scene(things=each, background=Background(kind="place", names=(place,)))
    for color in BACKGROUNDS:
        yield color, Scene(things=things[0], background=Background(kind="plain", names=(color,)))
    names = (*BACKGROUNDS, *BACKGROUNDS)
    for first, second in zip(BACKGROUNDS, names[5:], strict=False):
        gradient = Background(kind="gradient", names=(first, second))
        yield f"{first} to {second}", Scene(things=things[0], background=gradient)


def _layouts() -> Iterator[Labeled]:
    for background in (None, Background(kind="place", names=("meadow",))):
        groups: list[tuple[Thing, ...]] = []
        for count in range(1, 7):
            groups.append((Thing(name="fox", count=count),))
        for first, second in ((1, 2), (2, 3), (4, 4), (3, 1)):
            groups.append((Thing(name="apple", count=first, relation="and"),
                           Thing(name="fox", count=second)))  # fmt: skip
        for relation in RELATIONS[:-1]:
            for name, other in (("cat", "car"), ("balloon", "horse")):
                groups.append((Thing(name=name, relation=relation), Thing(name=other)))
            for second in ("and", "right of", "above", "on"):
                groups.append((Thing(name="cat", relation=relation),
                               Thing(name="car", relation=second), Thing(name="tree")))  # fmt: skip
        groups.append((Thing(name="cat", relation="between"),
                       Thing(name="car", relation="and"), Thing(name="tree")))  # fmt: skip
        for things in groups:
            scene = Scene(things=things, background=background)
            yield written(scene, world_vocabulary()), scene


def _looks(world: World) -> Iterator[Labeled]:
    for background in (None, Background(kind="place", names=("beach",))):
        for spot in SPOTS:
            for size in SIZES:
                thing = Thing(name="duck", spot=spot, size=size)
                yield f"{size}, {spot}", Scene(things=(thing,), background=background)
    for concept in CONCEPTS.values():
        for style in world.styles if concept.faces else ():
            thing = Thing(name=concept.name, facing="right")
            yield f"{concept.name} facing right", Scene(things=(thing,), style=style)
    for tilt in TILTS:
        for facing in FACINGS:
            for name in ("car", "duck", "house", "umbrella"):
                thing = replace(Thing(name=name, tilt=tilt), facing=facing)
                yield f"{name}, {tilt}, {facing}", Scene(things=(thing,))
