"""The generation loop: a stream of scale steps.

One scale is drawn at a time; each adds a pyramid level of bits to a residual canvas, which gives
the transformer's input for the next scale. Nothing lives outside the generator object, so runs may
interleave, be abandoned between scales, or share one model across threads.

Legend: B pictures, l tokens of a scale, C width, D bits a token.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.errors import ResourceError
from infinity.generation.sampling import (
    NO_GUIDANCE,
    at_confidence,
    block_guidance,
    check_layers,
    guide,
    guided_length,
    sample_bits,
)
from infinity.model.attention import KVCache
from infinity.model.transformer import InfinityTransformer, TextCondition
from infinity.request import SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import ResidualCanvas

NOT_FINITE = (
    "The model computed infinite values or none, so there is no picture; load it in float32 or bfloat16, "
    "ask for less guidance or a higher temperature, or check its weights."
)


Revise = Callable[[int, Tensor, Tensor], Tensor]
"""(scale index, drawn bits (B, l, D) bool, logits (B, l, D, 2) they were drawn from) -> the bits to
use, the same shape."""


def leading(bits: Sequence[Tensor]) -> Revise:
    """The leading scales are these bits, (B or 1, l, D) bool each, whatever is drawn."""

    def revise(index: int, drawn_BlD: Tensor, _: Tensor) -> Tensor:
        is_given = index < len(bits)
        return bits[index].to(drawn_BlD.device).expand_as(drawn_BlD) if is_given else drawn_BlD

    return revise


@dataclass(frozen=True)
class ScaleStep:
    """One finished scale of B pictures.

    Attributes:
        bits_BlD: bool, what was drawn, revised where that was asked for.
        canvas: the running sum with this scale added; belongs to the loop: read it
            before asking for the next step.
        seconds: time from the previous step's end, without what the caller did in between.
        logits_BlD2: float32, guided and divided by the temperature; only if asked for.
        input_BlD: float, what the transformer read for this scale, None at the first; only if
            ``logits_BlD2`` was asked for.
    """

    index: int
    bits_BlD: Tensor
    canvas: ResidualCanvas
    seconds: float
    logits_BlD2: Tensor | None = None
    input_BlD: Tensor | None = None


def text_condition(
    transformer: InfinityTransformer,
    prompts: Sequence[Tensor],
    negatives: Sequence[Tensor | None],
    sampling: SamplingParams,
    num_scales: int,
    weights: Sequence[Tensor | None] = (),
) -> TextCondition:
    """Encode the texts that ``generate`` needs, once.

    Args:
        prompts: B encoded prompts (T_b, text_width).
        negatives: B encoded negative prompts; None takes the learned unconditional text, at the
            prompt's length (upstream's rule).
        weights: (T_b) float of each prompt's tokens; None is 1 for all.

    Returns:
        A condition of 2B rows, the unconditional half last; of B rows if no scale is guided.
    """
    rows = list(prompts)
    if guided_length(sampling, num_scales):
        for prompt, negative in zip(prompts, negatives, strict=True):
            text = transformer.unconditional_text(len(prompt)) if negative is None else negative
            rows.append(text.to(prompt))
    if weights:
        weights = [*weights, *[None] * (len(rows) - len(prompts))]
    with torch.inference_mode():
        return transformer.encode_text(rows, weights)


@torch.inference_mode()
def generate(
    transformer: InfinityTransformer,
    tokenizer_config: TokenizerConfig,
    condition: TextCondition,
    schedule: ScaleSchedule,
    sampling: SamplingParams,
    generators: Sequence[torch.Generator],
    *,
    later: Mapping[int, TextCondition] | None = None,
    revise: Revise | None = None,
    keep_logits: bool = False,
) -> Iterator[ScaleStep]:
    """Draw B pictures, a step a scale.

    Args:
        condition: from :func:`text_condition`: 2B rows if any scale is guided, else B.
        generators: B random sources on the CPU, one a picture.
        later: scale -> what takes the place of ``condition`` from there on.
        revise: changes the bits of each scale once they are drawn. The model goes on from what it
            returns; random numbers are drawn all the same, so that a bit which is left alone is the
            one that the same seed gives after the same bits.
        keep_logits: hand out logits and inputs with each step.

    Raises:
        RequestError: a guidance layer the model does not have.
        ResourceError: the model computed infinite values or none.
        ValueError: a condition or revised bits of another batch or shape.
    """
    check_layers(sampling, transformer.config.depth)
    batch, guided = len(generators), guided_length(sampling, len(schedule))
    if condition.batch != (2 * batch if guided else batch):
        raise ValueError(f"a condition of {condition.batch} rows does not fit {batch} pictures")
    device, dtype = transformer.device, transformer.compute_dtype
    started_s = time.perf_counter()
    cache = KVCache(transformer.config, schedule, condition.batch, dtype, device)
    canvas = ResidualCanvas(tokenizer_config, schedule, batch, device)
    input_BlD: Tensor | None = None
    is_finite = torch.ones((), dtype=torch.bool, device=device)
    for index in range(len(schedule)):
        condition = condition if later is None else later.get(index, condition)
        if guided and index == guided:
            cache.keep(batch)
        if guided and index >= guided:
            condition = condition.select(slice(0, batch))
        logits_BlD2 = _guided_logits(
            transformer, condition, cache, index, input_BlD, sampling, index < guided
        )
        is_finite &= logits_BlD2.sum(dtype=torch.float32).isfinite()  # read once, at the end
        is_greedy = sampling.at_scale(index)[1] == 0
        bits_BlD = sample_bits(
            logits_BlD2, float(not is_greedy), sampling.top_k, sampling.top_p, generators
        )
        if revise is not None:
            bits_BlD = revise(index, bits_BlD, logits_BlD2)
        read_BlD, input_BlD = input_BlD, canvas.add(bits_BlD)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)  # so that the clock read next is true
        if index == len(schedule) - 1 and not is_finite:
            raise ResourceError(NOT_FINITE)
        kept = (logits_BlD2, read_BlD) if keep_logits else (None, None)
        seconds = time.perf_counter() - started_s
        yield ScaleStep(index, bits_BlD, canvas, seconds, *kept)
        started_s = time.perf_counter()


def _guided_logits(
    transformer: InfinityTransformer,
    condition: TextCondition,
    cache: KVCache,
    index: int,
    input_BlD: Tensor | None,
    sampling: SamplingParams,
    guided: bool,
) -> Tensor:
    """(B, l, D, 2) float32: divided by the temperature first, then guided (upstream's order).

    Args:
        guided: the unconditional half is alive: the cache has twice as many rows as the input.
    """
    guidance, temperature = sampling.at_scale(index)
    if input_BlD is not None and guided:
        input_BlD = torch.cat((input_BlD, input_BlD))
    hooks = block_guidance(sampling, index, transformer.config.depth)
    hidden_RlC = transformer.forward_scale(input_BlD, condition, cache, index, hooks)
    mixes = guided and guidance != NO_GUIDANCE and 0 in sampling.guidance_layers
    if guided and not mixes:
        half = len(hidden_RlC) // 2
        hidden_RlC, condition = hidden_RlC[:half], condition.select(slice(0, half))
    logits_RlD2 = transformer.logits(hidden_RlC, condition)
    if temperature != 0:
        logits_RlD2 = logits_RlD2 * (1 / temperature)
    logits_BlD2 = guide(logits_RlD2, guidance) if mixes else logits_RlD2
    confidence = sampling.confidence_at(index)
    return logits_BlD2 if confidence == 1 else at_confidence(logits_BlD2, confidence)
