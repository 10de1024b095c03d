"""The art: every concept in every style as a tightly cropped RGBA picture.

The styles are "3d" (Microsoft Fluent Emoji) and "cartoon" (Google Noto Emoji).
"""

import io
import json
import logging
from pathlib import Path

import numpy as np
from PIL import Image

from training.world.concepts import CONCEPTS, Concept
from training.world.fetch import FLUENT_3D, NOTO, fetch

logger = logging.getLogger(__name__)

STYLES = ("3d", "cartoon")
SPRITE_SIZE = 256
SPRITE_FILE = "sprites.npz"
_OPAQUE = 8  # alpha up to this counts as empty when cropping


def build_sprites(output: Path, cache: Path) -> Path:
    """Fetch the art and write `output`/sprites.npz, one array a style and concept.

    Each array is uint8 (height, width, 4), longest side at most `SPRITE_SIZE`, not
    premultiplied, and its key is "style/concept".
    """
    fluent = fetch(FLUENT_3D, cache)
    noto = fetch(NOTO, cache)
    noto_names = json.loads((noto / "chars.json").read_text(encoding="utf-8"))
    noto_icons = json.loads((noto / "icons.json").read_text(encoding="utf-8"))["icons"]
    arrays: dict[str, np.ndarray] = {}
    for concept in CONCEPTS.values():
        arrays[f"3d/{concept.name}"] = crop(_fluent(fluent / "assets", concept))
        svg = noto_icons[noto_names[concept.codepoint]]["body"]
        arrays[f"cartoon/{concept.name}"] = crop(_rasterize(svg))
    output.mkdir(parents=True, exist_ok=True)
    path = output / SPRITE_FILE
    np.savez(path, allow_pickle=False, **arrays)
    logger.info("wrote %d sprites to %s", len(arrays), path)
    return path


def ensure_sprites(folder: Path) -> None:
    """Build them unless they are there; the packages are kept beside the folder.

    Raises:
        FetchError: the art could not be fetched.
    """
    if not (folder / SPRITE_FILE).exists():
        build_sprites(folder, folder.with_name("packages"))


def load_sprites(folder: Path, styles: tuple[str, ...]) -> dict[tuple[str, str], np.ndarray]:
    """Read the built sprites of some styles, by (style, concept)."""
    path = folder / SPRITE_FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: run `python -m training.world build --output {folder}` first."
        )
    sprites = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            style, name = key.split("/", 1)
            if style in styles:
                sprites[style, name] = arrays[key]
    return sprites


def crop(rgba: np.ndarray) -> np.ndarray:
    """Cut away the empty border of a uint8 (height, width, 4) picture."""
    visible = rgba[..., 3] > _OPAQUE
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _fluent(assets: Path, concept: Concept) -> np.ndarray:
    names = (f"{concept.codepoint}.webp", f"{concept.codepoint}-fe0f.webp")
    path = next(assets / name for name in names if (assets / name).exists())
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def _rasterize(svg_body: str) -> np.ndarray:
    import resvg_py  # needed to build only, not to train

    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{svg_body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SPRITE_SIZE, height=SPRITE_SIZE)
    with Image.open(io.BytesIO(bytes(png))) as image:
        return np.asarray(image.convert("RGBA"))
