"""Presets: sampling settings with a name, for whatever model they are applied to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from infinity.request import SamplingParams
from infinity.spec import ModelSpec

PRESET_NAMES = ("balanced", "fast", "turbo", "paper", "pyramid", "varied")

FAST_UNGUIDED_SCALES = 1
"""Scales at the end that "fast" leaves unguided: the last holds 4 or 5 of 10 tokens."""
TURBO_FP8_SCALES = 3
"""Scales at the end that "turbo" multiplies in fp8: they hold 8 or 9 of 10 tokens (prices: docs/memory.md)."""
PAPER_GUIDANCE, PAPER_TEMPERATURE = 4.0, 1.0
PAPER_PYRAMID = (1.0, 5.0)
VARIED_CONFIDENCE = (0.6, 0.6, 0.65, 0.7, 0.75, 0.8, 1.0)
"""From the first scale to the last of "varied", however many there are. The last is left as it is: there
it costs the exam 6 points and adds next to no variety."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """``info`` says in one sentence what ``sampling`` does."""

    title: str
    info: str
    sampling: SamplingParams


def presets(spec: ModelSpec, aspect_ratio: str) -> Mapping[str, Preset]:
    """Every preset for a model's pictures of one aspect ratio, by name, "balanced" first.

    Sources: the paper's table of decoding methods (guidance 4 on the logits at temperature 1; guidance
    growing from 1 to 5); leaving the last scales unguided: Switti; "varied" was tried on the default model
    (docs/measurements.md).

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    own, scales = spec.sampling, len(spec.schedule(aspect_ratio))
    evaluation = replace(
        own,
        guidance=PAPER_GUIDANCE,
        temperature=PAPER_TEMPERATURE,
        guidance_layers=(0,),
        guided_scales=None,
    )
    return {
        "balanced": Preset(title="Balanced", info="The model's own settings.", sampling=own),
        "fast": Preset(
            title="Fast",
            info="The model's own settings, but no guidance on the last scale, where much of the time goes; "
            "small models lose some points by it.",
            sampling=replace(own, guided_scales=max(1, scales - FAST_UNGUIDED_SCALES)),
        ),
        "turbo": Preset(
            title="Turbo",
            info="The model's own settings, but products in fp8 on the last three scales, on a card that has "
            "them; some bits change.",
            sampling=replace(own, fp8_scales=TURBO_FP8_SCALES),
        ),
        "paper": Preset(
            title="Paper",
            info="What the paper evaluates with: guidance 4 and temperature 1 at every scale.",
            sampling=evaluation,
        ),
        "pyramid": Preset(
            title="Pyramid",
            info="Guidance that grows from 1 at the first scale to 5 at the last; temperature 1.",
            sampling=replace(evaluation, guidance=ramp(*PAPER_PYRAMID, scales)),
        ),
        "varied": Preset(
            title="Varied",
            info="Much more different pictures of one prompt, a few more of which miss it: the model may "
            "be less sure of the coarse scales.",
            sampling=replace(own, confidence=stretched(VARIED_CONFIDENCE, scales)),
        ),
    }


def stretched(values: Sequence[float], scales: int) -> tuple[float, ...]:
    """``values`` spread evenly over the scales, each scale taking the nearest."""
    last = len(values) - 1
    return tuple(values[round(last * i / max(1, scales - 1))] for i in range(scales))


def ramp(first: float, last: float, scales: int) -> tuple[float, ...]:
    """One value a scale, in equal steps (paper: "pyramid"), rounded to 4 digits; one scale has ``first``."""
    steps = max(1, scales - 1)
    return tuple(round(first + (last - first) * i / steps, 4) for i in range(scales))
