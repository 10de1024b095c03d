"""Self-correction: errors planted in the shipped model's pictures are found and put right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinity.edit import tasks
from infinity.generation.repair import share_of_errors
from infinity.packing import pack_bits, unpack_bits
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.start import Start

ONE, ALL = (5,), (3, 4, 5, 6)


@pytest.fixture(scope="module")
def pipeline():
    return InfinityPipeline.from_pretrained("default")


@pytest.fixture(scope="module")
def drawn(pipeline):
    return pipeline.generate(GenerationRequest(prompt="a red apple on a sandy beach", seed=11))


def scales(pipeline, done):
    spec = pipeline.spec
    return unpack_bits(done.bits[0], spec.schedule("1:1"), spec.tokenizer.bits_per_token)


def apart(one, other):
    return float(np.abs(np.asarray(one.images[0], float) - other.images[0]).mean())


@pytest.mark.parametrize("planted", [ONE, ALL])
def test_planted_errors_are_repaired(pipeline, drawn, planted):
    source, rng = scales(pipeline, drawn), torch.Generator().manual_seed(4)
    flips = [
        (torch.rand(bits.shape, generator=rng) < 0.05) & (index in planted)
        for index, bits in enumerate(source)
    ]
    damaged = [bits ^ flip for bits, flip in zip(source, flips, strict=True)]
    start = Start(bits=pack_bits(damaged), keep_scales=len(source))
    before = pipeline.generate(replace(drawn.request, start=start))
    after = pipeline.generate(tasks.repair(pipeline, before.images[0]))
    right = [
        int(((bits == true) & flip).sum())
        for bits, true, flip in zip(scales(pipeline, after), source, flips, strict=True)
    ]
    assert sum(right) > 0.6 * sum(int(flip.sum()) for flip in flips)
    assert apart(after, drawn) < 0.6 * apart(before, drawn)
    changed = [int((a != b).sum()) for a, b in zip(scales(pipeline, after), damaged, strict=True)]
    assert after.notes[-1].startswith(f"{sum(changed):,} of ") and sum(changed) > 0
    assert after.notes[-1].endswith(f"by scale: {', '.join(f'{n:,}' for n in changed)}.")


def test_untouched_picture_stays(pipeline, drawn):
    after = pipeline.generate(tasks.repair(pipeline, drawn.images[0]))
    a, b = (torch.cat(scales(pipeline, done)) for done in (drawn, after))
    assert (a != b).float().mean() < 0.002


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2])
def test_share_of_errors_is_that_of_flipped_bits(share):
    rng = torch.Generator().manual_seed(0)
    of_one = torch.rand(2, 200, 32, generator=rng) ** 4
    bits = torch.rand(of_one.shape, generator=rng) < of_one
    bits ^= torch.rand(of_one.shape, generator=rng) < share
    found = share_of_errors(torch.where(bits, of_one, 1 - of_one)).flatten()
    torch.testing.assert_close(found, torch.full((2,), share), atol=0.01, rtol=0)
