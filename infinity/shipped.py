"""Where the files are that come with the package: in the checkout, or inside the installed package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """A file or folder by its name in the checkout, such as "assets/default_model"."""
    installed = PACKAGE / "shipped_files" / name
    return installed if installed.exists() else PACKAGE.parent / name
