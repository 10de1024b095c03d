"""The generation loop: a stream of scale steps.

One scale is drawn at a time; each adds a pyramid level of bits to a residual canvas, which gives
the transformer's input for the next scale. Nothing lives outside the generator object, so runs may
interleave, be abandoned between scales, or share one model across threads.

Legend: B pictures, l tokens of a scale, C width, D bits a token.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.errors import ResourceError
from infinity.generation.clock import Span
from infinity.generation.graphs import ScaleGraphs, computing
from infinity.generation.sampling import (
    at_confidence,
    block_guidance,
    check_layers,
    guide,
    guided_length,
    sample_bits,
)
from infinity.generation.scale import Plan, filled_up
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
        span: from the previous step's end, without what the caller did in between.
        logits_BlD2: float32, guided and divided by the temperature; only if asked for.
        input_BlD: float, what the transformer read for this scale, None at the first; only if
            ``logits_BlD2`` was asked for.
    """

    index: int
    bits_BlD: Tensor
    canvas: ResidualCanvas
    span: Span
    logits_BlD2: Tensor | None = None
    input_BlD: Tensor | None = None

    @property
    def seconds(self) -> float:
        """Of ``span``; waits for a GPU that is still at work."""
        return self.span.seconds


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
    graphs: ScaleGraphs | None = None,
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
        graphs: of the transformer, to replay instead of launching kernels one by one.

    Raises:
        RequestError: a guidance layer the model does not have.
        ResourceError: the model computed infinite values or none.
        ValueError: a condition or revised bits of another batch or shape.
    """
    check_layers(sampling, transformer.config.depth)
    batch = len(generators)
    if condition.batch != (2 * batch if guided_length(sampling, len(schedule)) else batch):
        raise ValueError(f"a condition of {condition.batch} rows does not fit {batch} pictures")
    device = transformer.device
    span = Span(device)
    conditions, tokens = {0: condition, **(later or {})}, 0
    if graphs is not None:
        conditions, tokens = filled_up(conditions)
    plan = Plan.of(schedule, batch, sampling, tokens)
    canvas = ResidualCanvas(tokenizer_config, schedule, batch, device)
    input_BlD: Tensor | None = None
    is_finite = torch.ones((), dtype=torch.bool, device=device)
    with computing(transformer, plan, conditions, graphs) as compute:
        for index in range(len(schedule)):
            hooks = block_guidance(sampling, index, transformer.config.depth)
            logits_BlD2 = _guided(compute(index, input_BlD, hooks), plan, sampling, index)
            is_finite &= logits_BlD2.sum(dtype=torch.float32).isfinite()  # read once, at the end
            is_greedy = sampling.at_scale(index)[1] == 0
            bits_BlD = sample_bits(
                logits_BlD2, float(not is_greedy), sampling.top_k, sampling.top_p, generators
            )
            if revise is not None:
                bits_BlD = revise(index, bits_BlD, logits_BlD2)
            read_BlD, input_BlD = input_BlD, canvas.add(bits_BlD)
            if index == len(schedule) - 1 and not is_finite:
                raise ResourceError(NOT_FINITE)
            kept = (logits_BlD2, read_BlD) if keep_logits else (None, None)
            yield ScaleStep(index, bits_BlD, canvas, span.end(), *kept)
            span = Span(device)


def _guided(logits_RlD2: Tensor, plan: Plan, sampling: SamplingParams, index: int) -> Tensor:
    """(B, l, D, 2) float32, new: divided by the temperature first, then guided (upstream's order)."""
    guidance, temperature = sampling.at_scale(index)
    if temperature != 0:
        logits_RlD2 = logits_RlD2 * (1 / temperature)
    logits_BlD2 = guide(logits_RlD2, guidance) if plan.mixed[index] else logits_RlD2
    confidence = sampling.confidence_at(index)
    return logits_BlD2 if confidence == 1 else at_confidence(logits_BlD2, confidence)
