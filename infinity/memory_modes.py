"""Memory modes: ways to run a model in less memory, by name: what each gives up is time, never the picture.

bfloat16 aside, which rounds, every memory mode draws the same picture: where the text encoder waits does
not change what it says, and strips differ from the whole by rounding alone.
"""

from dataclasses import dataclass

from infinity.errors import RequestError, quoted


@dataclass(frozen=True, kw_only=True)
class MemoryMode:
    """How a model is placed.

    Args:
        title, info: for the page.
        dtype: required precision; None is the device default.
        text_on_cpu: the text encoder runs on the CPU, out of the GPU's memory.
        release_text: the text encoder is unloaded once a prompt is encoded, and read from
            disk again for the next new one.
        strips: the picture is decoded in strips.
    """

    title: str
    info: str
    dtype: str | None = None
    text_on_cpu: bool = False
    release_text: bool = False
    strips: bool = False


MEMORY_MODES: dict[str, MemoryMode] = {
    "none": MemoryMode(title="Fastest", info="Everything stays on the device."),
    "some": MemoryMode(
        title="Less memory",
        info="bfloat16; the text encoder runs on the CPU, a second or two for each new prompt.",
        dtype="bfloat16",
        text_on_cpu=True,
    ),
    "most": MemoryMode(
        title="Least memory",
        info="bfloat16; the text encoder is read from disk for each new prompt and let go again, "
        "and the picture is decoded in strips.",
        dtype="bfloat16",
        text_on_cpu=True,
        release_text=True,
        strips=True,
    ),
}


def get_memory_mode(name: str) -> MemoryMode:
    """Raises RequestError for an unknown name."""
    if name not in MEMORY_MODES:
        raise RequestError(
            f"Unknown memory mode {quoted(name)}; choose one of {', '.join(MEMORY_MODES)}."
        )
    return MEMORY_MODES[name]
