"""Memory modes: ways to run a model in less memory, each a set of named parts with what they cost.

A mode is asked for by its name, by the card it is to fit (``8GB``: ``infinity.estimate`` chooses the parts), or
by its parts with commas between. Parts that place a model, release or cut change nothing in the picture but for
rounding; those that round say so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from infinity.errors import RequestError, quoted

PARTS = {
    "bfloat16": "all is computed in bfloat16",
    "int8-text": "the text encoder is kept in 8 bits",
    "int8-cache": "keys and values are kept in 8 bits, which changes few bits in a hundred",
    "int8-weights": "the transformer is kept in 8 bits, which changes few bits in a hundred",
    "fp8-weights": "the transformer is kept in 8 bits of floating point, which changes more bits than int8",
    "text-on-cpu": "the text encoder runs on the CPU, a second or two for each new prompt",
    "no-graphs": "kernels are launched one by one, which takes a fast card about twice the time",
    "strips": "the picture is decoded in strips, about a second",
    "text-from-disk": "the text encoder is read from disk for each new prompt, some seconds",
}
"""Part -> what it costs, the cheapest first."""

BUDGETS = {f"{size}GB": size * 10**9 for size in (8, 12, 16, 24)}
"""Name -> bytes of the device's memory that a mode is chosen for."""


@dataclass(frozen=True, kw_only=True)
class MemoryMode:
    """How a model is placed and kept. ``title`` and ``info`` are for the page."""

    title: str = ""
    info: str = ""
    parts: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """The parts by name, as ``get_memory_mode`` reads them; "" for none."""
        return ",".join(part for part in PARTS if part in self.parts)

    @property
    def costs(self) -> str:
        """One sentence."""
        costs = [cost for part, cost in PARTS.items() if part in self.parts]
        return (
            "; ".join(costs).capitalize() + "." if costs else "All of it fits as it is, at no cost."
        )

    @property
    def dtype(self) -> str | None:
        """Required precision; None is the device's default."""
        return "bfloat16" if "bfloat16" in self.parts else None

    @property
    def weights(self) -> str:
        """ "int8" or "fp8" for a transformer in 8 bits, else ""."""
        return next((kind for kind in ("int8", "fp8") if f"{kind}-weights" in self.parts), "")

    @property
    def release_text(self) -> bool:
        """Whether the text encoder is let go once a prompt is encoded."""
        return "text-from-disk" in self.parts


NO_SAVING = MemoryMode(title="Fastest", info="Everything stays on the device.")
MEMORY_MODES: dict[str, MemoryMode] = {
    "none": NO_SAVING,
    "some": MemoryMode(
        title="Less memory",
        info="bfloat16; the text encoder runs on the CPU, a second or two for each new prompt.",
        parts=frozenset({"bfloat16", "text-on-cpu"}),
    ),
    "most": MemoryMode(
        title="Least memory, same bits",
        info="bfloat16; the text encoder is read from disk for each new prompt and let go again, "
        "and the picture is decoded in strips.",
        parts=frozenset({"bfloat16", "text-on-cpu", "text-from-disk", "strips"}),
    ),
}


def get_memory_mode(name: str | MemoryMode) -> MemoryMode:
    """A mode by name or by its parts, or itself; a budget's name is an empty mode, for its parts depend on the
    model.

    Raises:
        RequestError: it is neither.
    """
    if isinstance(name, MemoryMode):
        return name
    if name in MEMORY_MODES:
        return MEMORY_MODES[name]
    parts = frozenset() if name in BUDGETS else frozenset(name.split(","))
    if unknown := parts - PARTS.keys():
        raise RequestError(
            f"Unknown memory mode {quoted(min(unknown))}; choose one of "
            f"{', '.join((*MEMORY_MODES, *BUDGETS))}, or of {', '.join(PARTS)} with commas between."
        )
    if {"int8-weights", "fp8-weights"} <= parts:
        raise RequestError("A memory mode has int8-weights or fp8-weights, not both.")
    return MemoryMode(title=name, parts=parts)


def memory_choices() -> Iterable[tuple[str, str]]:
    """(title, name) of what to choose from."""
    yield from ((mode.title, name) for name, mode in MEMORY_MODES.items())
    yield from ((f"{name.removesuffix('GB')} GB card", name) for name in BUDGETS)
