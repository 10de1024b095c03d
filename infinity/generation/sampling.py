"""From logits to bits: guidance, temperature, top-k, top-p.

Classifier-free guidance takes one pass over conditional and unconditional rows together. They come as
two halves, ``[conditional..., unconditional...]``. Guidance acts on the logits, or on the hidden state
after chosen blocks (paper, "guidance on features"), or both; each scale has its own strength, and a
strength of exactly 1 is none. Once no later scale is guided the unconditional half has no further
effect and is dropped, which changes no bit.

A draw is the exponential race that ``torch.multinomial`` runs: every value gets an exponential
waiting time q, and the value with the largest p/q wins. Waiting times come from one CPU generator a
picture, so the same seed gives the same bits on every device and in any batch, and the same bits as
upstream, which calls ``torch.multinomial`` with one seeded generator.

Legend: B pictures, 2B rows, l tokens of a scale, C width, D bits a token.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from infinity.errors import RequestError
from infinity.request import SamplingParams

NO_GUIDANCE = 1.0
HOTTEST = 8.0
HALVINGS = 16


def guide(rows: Tensor, guidance: float) -> Tensor:
    """(2B, ...) logits or hidden states -> (B, ...): guidance * conditional + (1 - guidance) * unconditional."""
    conditional, unconditional = rows.chunk(2)
    return guidance * conditional + (1 - guidance) * unconditional


def guided_length(sampling: SamplingParams, num_scales: int) -> int:
    """How many leading scales need the unconditional half: up to the last scale guided; 0 is none."""
    return max(
        (i + 1 for i in range(num_scales) if sampling.at_scale(i)[0] != NO_GUIDANCE), default=0
    )


def block_guidance(
    sampling: SamplingParams, index: int, depth: int
) -> Mapping[int, Callable[[Tensor], Tensor]]:
    """What to do to the hidden state (2B, l, C) after which block, at scale ``index``.

    Both halves are replaced by their guided mix and go on with it.
    """
    guidance, _ = sampling.at_scale(index)
    if guidance == NO_GUIDANCE:
        return {}

    def mix(hidden_RlC: Tensor) -> Tensor:
        mixed_BlC = guide(hidden_RlC, guidance)
        return torch.cat((mixed_BlC, mixed_BlC))

    return {depth + layer: mix for layer in sampling.guidance_layers if layer < 0}


def check_layers(sampling: SamplingParams, depth: int) -> None:
    """Raises RequestError when a guidance layer is not one of the model's ``depth`` blocks."""
    lowest = min(sampling.guidance_layers, default=0)
    if lowest < -depth:
        raise RequestError(
            f"guidance layer {lowest} does not exist: this model has {depth} blocks, so use 0 "
            f"(the logits) or -1 to -{depth}."
        )


def seeded_generator(seed: int) -> torch.Generator:
    """The random source of one picture, always on the CPU."""
    return torch.Generator(device="cpu").manual_seed(seed)


def at_confidence(logits_BlD2: Tensor, confidence: float) -> Tensor:
    """Logits divided by what brings the likelier values' mean probability down to ``confidence``.

    Of each picture by itself; 1 to ``HOTTEST``, and 1 where the mean is no higher to begin with.

    Args:
        logits_BlD2: (B, l, D, 2) float; channel = bit value.
        confidence: 0.5 to 1.
    """
    distance_BlD = (logits_BlD2[..., 1] - logits_BlD2[..., 0]).float().abs()
    low_B = torch.ones(len(logits_BlD2), 1, 1, device=logits_BlD2.device)
    high_B = middle_B = low_B * HOTTEST
    for _ in range(HALVINGS):
        middle_B = (low_B + high_B) / 2
        is_sure_B = (distance_BlD / middle_B).sigmoid().mean(dim=(1, 2), keepdim=True) > confidence
        low_B = torch.where(is_sure_B, middle_B, low_B)
        high_B = torch.where(is_sure_B, high_B, middle_B)
    is_sure_B = distance_BlD.sigmoid().mean(dim=(1, 2), keepdim=True) > confidence
    return logits_BlD2 / torch.where(is_sure_B, middle_B, 1.0)[..., None]


def sample_bits(
    logits_BlD2: Tensor,
    temperature: float,
    top_k: int,
    top_p: float,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Draw every bit of a scale.

    Temperature first, then top-k, then top-p, as upstream, in closed form for two values
    (tests/reference_sampling.py has the general one).

    Args:
        logits_BlD2: (B, l, D, 2) float; channel = bit value.
        temperature: divides the logits; 0 is greedy.
        top_k: 1 is greedy; any other has no effect on two values.
        top_p: a value less likely than ``1 - top_p`` is never drawn; 0 and 1 are off.
        generators: B random sources on the CPU, one a row.

    Returns:
        (B, l, D) bool on the device of the logits.
    """
    shape = logits_BlD2.shape[1:]
    # Drawn while a GPU still computes the logits.
    noise_BlD2 = torch.empty(len(generators), *shape, pin_memory=logits_BlD2.is_cuda)
    for waits_lD2, source in zip(noise_BlD2, generators, strict=True):
        waits_lD2.exponential_(1, generator=source)
    noise_BlD2 = noise_BlD2.to(logits_BlD2.device, non_blocking=True)
    difference_BlD = logits_BlD2[..., 1].float() - logits_BlD2[..., 0].float()
    if temperature == 0 or top_k == 1:
        one_wins_tie_BlD = noise_BlD2[..., 1] < noise_BlD2[..., 0]
        bits_BlD = torch.where(difference_BlD == 0, one_wins_tie_BlD, difference_BlD > 0)
        forced_BlD = difference_BlD == 0 if 0 < top_p <= 0.5 else None
    else:
        difference_BlD = difference_BlD * (1 / temperature)
        one_BlD, zero_BlD = difference_BlD.sigmoid(), (-difference_BlD).sigmoid()
        bits_BlD = one_BlD / noise_BlD2[..., 1] > zero_BlD / noise_BlD2[..., 0]
        is_cut = 0 < top_p < 1
        forced_BlD = torch.minimum(one_BlD, zero_BlD) <= 1 - top_p if is_cut else None
    if forced_BlD is None:
        return bits_BlD
    return torch.where(forced_BlD, difference_BlD >= 0, bits_BlD)
