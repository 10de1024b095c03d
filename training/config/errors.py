"""What a wrong setting ends with: one sentence that names the setting and what to write instead."""

from __future__ import annotations

from infinity.errors import InfinityError


class SettingsError(InfinityError):
    """An unknown, ill-typed or contradictory setting."""
