"""Where a manifest's paths may lead: into the data's own folders, nowhere else."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from training.data.errors import DataError
from training.data.text import printable

_ASIDE = frozenset({"splits", "annotations", "jsonls", "manifests"})
"""Folders that hold manifests beside the pictures' folder: paths may start one level above."""

_JUDGED_FOLDERS = 4096
_LONGEST_NAME, _LONGEST_PATH = 255, 3000  # bytes
_SHOWN = 200  # characters of a wrong path in a message


class PictureFolders:
    """Turns the paths of a manifest into files.

    A relative path is looked up in the manifest's folder, then in the others, then in the working
    directory (upstream's rule). Links are followed before a path is judged.

    Args:
        manifest: its folder is the first to look in.
        others: more folders that paths may lead to.
        inside: folders in each of these that paths may start from, tried in turn.
    """

    def __init__(
        self, manifest: Path, others: Sequence[str | Path] = (), inside: Sequence[str] = ("",)
    ) -> None:
        self.manifest, self.inside = manifest, inside
        folder = manifest.parent.resolve()
        above = (folder.parent,) if folder.name in _ASIDE else ()
        named = [Path(other).resolve() for other in others]
        self.bases = list(dict.fromkeys((folder, *above, *named, Path.cwd())))
        self._holds_parent = lru_cache(_JUDGED_FOLDERS)(self._judge_parent)

    def find(self, text: str, where: str) -> Path:
        """The file that ``text`` names; it may not exist.

        Args:
            where: the line or entry that names it, for messages.

        Raises:
            DataError: it lies outside of the data's folders, or is a URL.
        """
        shown = printable(text)[:_SHOWN]

        def wrong(what: str) -> DataError:
            return DataError(f"{self.manifest.name}, {where} names {what}")

        if "://" in text:
            raise wrong(
                f"the URL {shown}; download the pictures first, or give WebDataset shards, which "
                "may be streamed."
            )
        if "\0" in text:
            raise wrong("a picture with a zero byte in its path; correct the manifest.")
        try:
            text = os.fsdecode(text.encode("utf-8", "surrogateescape"))  # whatever the locale says
        except UnicodeEncodeError as error:
            raise wrong(
                "a picture in characters that no file is named in; correct the manifest."
            ) from error
        text = text.replace("\\", "/") if not Path(text).is_absolute() else text
        longest = max((len(os.fsencode(part)) for part in Path(text).parts), default=0)
        if longest > _LONGEST_NAME or len(os.fsencode(text)) > _LONGEST_PATH:
            raise wrong(f"a picture longer than files are named ({shown}); correct the manifest.")
        first: Path | None = None
        leads_out = False
        for path in (base / each / text for each in self.inside for base in self.bases):
            if not self._is_inside(path, text):
                leads_out = leads_out or path.exists()
            elif path.is_file():
                return path
            else:
                first = first or path
        if first is None or leads_out:
            raise wrong(
                f"{shown}, which lies outside of {self.bases[0]}; correct the path, or allow its "
                "folder with data.picture_folders."
            )
        return first

    def _is_inside(self, path: Path, text: str) -> bool:
        climbs = ".." in PurePosixPath(text).parts
        if path.is_symlink() or path.name == "..":
            return self._holds(Path(os.path.realpath(path)), climbs)
        return self._holds_parent(path.parent, climbs)

    def _holds(self, resolved: Path, climbs: bool) -> bool:
        allowed = self.bases[:-1] if climbs else self.bases
        return any(resolved.is_relative_to(base) for base in allowed)

    def _judge_parent(self, parent: Path, climbs: bool) -> bool:
        return self._holds(Path(os.path.realpath(parent)), climbs)
