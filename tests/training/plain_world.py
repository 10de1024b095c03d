"""A world whose art is plain squares, each thing in a grey of its own: no packages to fetch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.world.concepts import CONCEPTS, STYLES
from training.world.sprites import SPRITE_FILE
from training.world.world import World

SIDE = 24


def plain_sprites(
    concepts: tuple[str, ...] = tuple(CONCEPTS), styles: tuple[str, ...] = STYLES
) -> dict[tuple[str, str], np.ndarray]:
    """(style, concept) -> uint8 (24, 24, 4)."""
    sprites = {}
    for style in styles:
        for index, name in enumerate(concepts):
            sprites[style, name] = np.full((SIDE, SIDE, 4), 255, np.uint8)
            sprites[style, name][..., :3] = index % 250
    return sprites


def plain_world() -> World:
    return World(plain_sprites(), STYLES)


def write_plain_world(folder: Path) -> Path:
    """As ``python -m training.world build`` would leave it."""
    folder.mkdir(parents=True)
    files = {f"{style}/{name}": sprite for (style, name), sprite in plain_sprites().items()}
    np.savez(folder / SPRITE_FILE, allow_pickle=False, **files)
    return folder
