"""The art: every concept in every style as a tightly cropped RGBA picture.

The styles are "3d" (Microsoft Fluent Emoji) and "cartoon" (Google Noto Emoji). Their packages are
pinned, so that a build can be repeated bit for bit: they come through the ordinary `npm pack`
client, and each tarball is checked against a SHA-256 before anything is extracted from it.
"""

import hashlib
import io
import json
import logging
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from infinity.errors import InfinityError
from training.world.concepts import CONCEPTS

logger = logging.getLogger(__name__)

SPRITE_SIZE = 256
SPRITE_FILE = "sprites.npz"
FETCH_TIMEOUT_S = 600
_OPAQUE = 8  # alpha up to this counts as empty when cropping


class FetchError(InfinityError):
    """A package could not be fetched or is not the pinned one; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """One npm package at a pinned version, with the digest of its tarball."""

    name: str
    version: str
    sha256: str

    @property
    def tarball(self) -> str:
        """File name that `npm pack` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


FLUENT_3D = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
)
NOTO = Package(
    "@iconify-json/noto",
    "1.2.9",
    "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
)


def fetch(package: Package, cache: Path) -> Path:
    """Return the folder of the extracted package, downloading only what is not there yet.

    Raises:
        FetchError: npm is missing, the network is down, or the tarball is not the pinned one.
    """
    tarball = cache / package.tarball
    folder = tarball.with_suffix("")
    if folder.is_dir():
        return folder / "package"
    cache.mkdir(parents=True, exist_ok=True)
    if not tarball.exists() or _sha256(tarball) != package.sha256:
        _npm_pack(package, cache)
    found = _sha256(tarball)
    if found != package.sha256:
        tarball.unlink()
        raise FetchError(
            f"{package.name}@{package.version} has SHA-256 {found}, expected {package.sha256}; "
            "it was deleted. Try again, and do not use it if this happens twice."
        )
    partial = folder.with_name(folder.name + ".partial")  # an interrupted run leaves no half
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(partial, filter="data")
    return partial.rename(folder) / "package"


def _npm_pack(package: Package, cache: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("npm was not found: install Node.js (which brings npm) and try again.")
    logger.info("fetching %s@%s", package.name, package.version)
    command = [npm, "pack", f"{package.name}@{package.version}", "--silent"]
    try:
        subprocess.run(command, cwd=cache, capture_output=True, check=True, timeout=FETCH_TIMEOUT_S)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        detail = (error.stderr or error.stdout or b"").decode(errors="replace").strip()[-300:]
        raise FetchError(
            f"npm could not fetch {package.name}@{package.version} in {FETCH_TIMEOUT_S} s: "
            f"check the network and try again. npm said: {detail or 'nothing'}"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_sprites(output: Path, cache: Path) -> None:
    """Fetch the art and write `output`/sprites.npz, one array a style and concept.

    Each array is uint8 (height, width, 4), longest side at most `SPRITE_SIZE`, not
    premultiplied, and its key is "style/concept".

    Raises:
        FetchError: the art could not be fetched.
    """
    fluent, noto = fetch(FLUENT_3D, cache), fetch(NOTO, cache)
    names = json.loads((noto / "chars.json").read_text(encoding="utf-8"))
    icons = json.loads((noto / "icons.json").read_text(encoding="utf-8"))["icons"]
    arrays: dict[str, np.ndarray] = {}
    for name, concept in CONCEPTS.items():
        paths = [fluent / f"assets/{concept.codepoint}{end}.webp" for end in ("", "-fe0f")]
        arrays[f"3d/{name}"] = _rgba(next(path for path in paths if path.exists()))
        arrays[f"cartoon/{name}"] = _rgba(_rasterize(icons[names[concept.codepoint]]["body"]))
    output.mkdir(parents=True, exist_ok=True)
    np.savez(output / SPRITE_FILE, allow_pickle=False, **arrays)
    logger.info("wrote %d sprites to %s", len(arrays), output / SPRITE_FILE)


def ensure_sprites(folder: Path) -> None:
    """Build them unless they are there; the packages are kept beside the folder.

    Raises:
        FetchError: the art could not be fetched.
    """
    if not (folder / SPRITE_FILE).exists():
        build_sprites(folder, folder.with_name("packages"))


def crop(rgba: np.ndarray) -> np.ndarray:
    """Cut away the empty border of a uint8 (height, width, 4) picture."""
    visible = rgba[..., 3] > _OPAQUE
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _rgba(file: Path | io.BytesIO) -> np.ndarray:
    with Image.open(file) as image:
        return crop(np.asarray(image.convert("RGBA")))


def _rasterize(svg_body: str) -> io.BytesIO:
    import resvg_py  # needed to build only, not to train

    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{svg_body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SPRITE_SIZE, height=SPRITE_SIZE)
    return io.BytesIO(bytes(png))
