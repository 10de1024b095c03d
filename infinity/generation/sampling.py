"""Drawing bits from logits: greedy, temperature, top-k, top-p.

A draw is the exponential race that ``torch.multinomial`` runs: every value gets an exponential
waiting time q, and the value with the largest p/q wins. Waiting times come from one CPU generator a
picture, so the same seed gives the same bits on every device and in any batch, and the same bits as
upstream, which calls ``torch.multinomial`` with one seeded generator.

Legend: B batch, l tokens of a scale, D bits a token.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from infinity.errors import RequestError
from infinity.request import MAX_SEED


def seeded_generator(seed: int) -> torch.Generator:
    """The random source of one picture, always on the CPU.

    Raises:
        RequestError: the seed is not a whole number from 0 to ``MAX_SEED``.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise RequestError(f"seed must be a whole number from 0 to {MAX_SEED}, not {seed!r}.")
    return torch.Generator(device="cpu").manual_seed(seed)


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
    waits = [torch.empty(shape).exponential_(1, generator=source) for source in generators]
    noise_BlD2 = torch.stack(waits).to(logits_BlD2.device, non_blocking=True)
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
