"""What unusable data ends with: one sentence that names the file and what to do."""

from __future__ import annotations

from infinity.errors import InfinityError


class DataError(InfinityError):
    """A source cannot be read, names what it must not, or has too little that can be used."""
