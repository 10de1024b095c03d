"""What the request controls mean: from their values to a request, and from a request back to them.

Values go by the controls' names. A setting that may differ from scale to scale has three more
beside its slider: its mode, the last value of a pyramid, and the list, one value a scale.
"""

from collections.abc import Callable, Mapping
from typing import Any

from infinity.errors import RequestError, quoted
from infinity.presets import ramp
from infinity.request import (
    BEST_OF,
    MAX_SEED,
    GenerationRequest,
    SamplingParams,
    chosen_seed,
    parse_per_scale,
    random_seed,
)
from infinity.spec import ModelSpec
from infinity.world.vocabulary import styled

MAX_PICTURES = 9
NO_STYLE = ""
ROLL, KEEP, NEXT = "Roll", "Keep", "+1"
CONSTANT, PYRAMID, CUSTOM = "constant", "pyramid", "custom"
PER_SCALE = {"guidance": (1.0, 10.0), "temperature": (0.0, 2.0), "confidence": (0.5, 1.0)}
"""The settings that may differ from scale to scale, and what their sliders show."""


def request_from(
    values: Mapping[str, Any], spec_of: Callable[[str], ModelSpec]
) -> tuple[str, GenerationRequest]:
    """(model, request) from the controls' values, the seed as its mode says.

    Args:
        spec_of: what a model is, by its name; a pyramid needs to know how many scales it has.

    Raises:
        RequestError: a value out of range, with one sentence that says what to do.
    """
    model, ratio = values["model"], values["aspect_ratio"]
    request = GenerationRequest(
        prompt=styled(values["prompt"] or "", values["style"] or NO_STYLE),
        negative_prompt=values["negative_prompt"] or "",
        aspect_ratio=ratio,
        seed=_seed(values["seed"], values["seed_mode"]),
        num_images=values["num_images"],
        complete_prompt=values["complete_prompt"],
        **{name: values[name] for name in BEST_OF},
        **sampling_settings(values, len(spec_of(model).schedule(ratio))),
    )
    return model, request


def sampling_settings(values: Mapping[str, Any], scales: int) -> dict[str, Any]:
    """The request's sampling settings from the controls' values.

    Raises:
        RequestError: a text that cannot be read.
    """
    return {
        **{name: _per_scale(name, values, scales) for name in PER_SCALE},
        "top_k": values["top_k"],
        "top_p": values["top_p"],
        "guidance_layers": _typed(
            lambda text: tuple(int(part) for part in text.split(",")),
            values["guidance_layers"],
            "Guidance layers must be whole numbers with commas between, such as 0 or 0, -4",
        ),
        "guided_scales": _typed(
            lambda text: int(text) if text else None,
            values["guided_scales"],
            "Guided scales must be a whole number, or empty for all scales",
        ),
        "pruning": values["pruning"],
        "fp8_scales": values["fp8_scales"],
    }


def number_text(value: float) -> str:
    """``4.0`` -> "4", and always a text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def sampling_values(sampling: SamplingParams, scales: int) -> dict[str, Any]:
    """What the controls of :data:`SAMPLING` show for these settings, nothing rounded away, and with
    something to begin with for the other modes of a setting."""
    values: dict[str, Any] = {}
    for name, (low, high) in PER_SCALE.items():
        setting = getattr(sampling, name)
        listed = setting if isinstance(setting, tuple) else (setting,)
        first, last = (min(max(value, low), high) for value in (listed[0], listed[-1]))
        mode = CUSTOM
        if not isinstance(setting, tuple) and first == setting:
            mode, last = CONSTANT, (low + high) / 2
        elif isinstance(setting, tuple) and scales > 1 and ramp(first, last, scales) == setting:
            mode = PYRAMID
        values |= {
            name: first,
            f"{name}_mode": mode,
            f"{name}_last": last,
            f"{name}_list": ", ".join(map(number_text, listed)),
        }
    return values | {
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "guidance_layers": ", ".join(map(str, sampling.guidance_layers)),
        "guided_scales": "" if sampling.guided_scales is None else str(sampling.guided_scales),
        "pruning": sampling.pruning,
        "fp8_scales": sampling.fp8_scales,
    }


SAMPLING = tuple(sampling_values(SamplingParams(), 1))
"""The controls that say how bits are drawn."""


def _per_scale(name: str, values: Mapping[str, Any], scales: int) -> float | tuple[float, ...]:
    mode = values[f"{name}_mode"]
    if mode == CONSTANT:
        return values[name]
    if mode == PYRAMID:
        return ramp(values[name], values[f"{name}_last"], scales)
    return _typed(
        lambda text: parse_per_scale(text.rstrip(",")),
        values[f"{name}_list"],
        f"The custom list of {name} must be numbers with commas between, such as 1, 2, 3",
    )


def _seed(shown: Any, mode: str) -> Any:
    if mode == ROLL:
        return random_seed()
    if mode == NEXT and isinstance(shown, int | float):
        return shown + 1 if shown < MAX_SEED else 0
    return chosen_seed(shown)


def _typed(read: Callable[[str], Any], text: str | None, rule: str) -> Any:
    """What was typed into a field, read. Raises RequestError with its ``rule``."""
    try:
        return read((text or "").strip())
    except (ValueError, RequestError) as error:
        raise RequestError(f"{rule}; not {quoted(text or '')}.") from error
