import pytest
import torch
import torch.nn.functional as F

from infinity.model import attention
from infinity.model.attention import (
    attend,
    attend_in_blocks,
    attend_scale_causally,
    block_mask,
    unit_rotated,
)
from infinity.model.rope import rope_table
from infinity.schedule import ScaleSchedule

SPANS = (slice(0, 1), slice(1, 5), slice(5, 14))


def heads(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def reference(q, k, v, scale=1.0, mask=None):
    scores = q @ k.mT * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ v


@pytest.mark.parametrize("masked", [False, True])
def test_attend_with_gradients_equals_the_definition(masked):
    q, k, v = (heads(2, 3, n, 8, seed=n).requires_grad_() for n in (5, 7, 7))
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])[:, None, None] if masked else None
    expected = reference(q, k, v, 0.3, mask)
    found = attend(q, k, v, scale=0.3, mask=mask)
    torch.testing.assert_close(found, expected)
    weights = heads(*expected.shape, seed=9)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), (q, k, v)),
        torch.autograd.grad((expected * weights).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_attend_scale_causally_equals_the_block_causal_mask():
    q, k, v = (heads(2, 2, 14, 8, seed=n).requires_grad_() for n in range(3))
    scale_of = torch.tensor([0] * 1 + [1] * 4 + [2] * 9)
    mask = scale_of[:, None] >= scale_of
    expected = reference(q, k, v, mask=mask)
    found = attend_scale_causally(q, k, v, SPANS)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        torch.testing.assert_close(attend_scale_causally(q, k, v, SPANS), expected)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), (q, k, v)),
        torch.autograd.grad(expected.square().sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("sharpness", [4.0, 30.0, 100.0])
@pytest.mark.parametrize("common", [0.0, 1.5])
def test_bf16_products_are_nearly_as_exact_as_the_fused_kernel(sharpness, common):
    shared = heads(1, 1, 1, 64, dtype=torch.float32) * common
    q, k, v = (heads(2, 4, n, 64, seed=n, dtype=torch.float32) for n in (100, 300, 301))
    q, k = F.normalize(q + shared, dim=-1) * sharpness, F.normalize(k + shared, dim=-1)
    v = v[:, :, :300]
    expected = reference(q, k, v)
    low = [x.bfloat16() for x in (q, k, v)]
    errors = [
        (output.float() - expected).std() / expected.std()
        for output in (attend(*low), F.scaled_dot_product_attention(*low, scale=1.0))
    ]
    assert errors[0] < 3 * errors[1]
    assert errors[0] < 0.03


def test_chunked_products_equal_those_at_once(monkeypatch):
    q, k, v = (heads(2, 3, n, 16, seed=n, dtype=torch.bfloat16) for n in (50, 70, 70))
    mask = torch.ones(2, 1, 1, 70, dtype=torch.bool)
    mask[1, ..., 40:] = False
    expected = attend(q, k, v, mask=mask)
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", 2048)
    monkeypatch.setattr(attention, "QUERIES_AT_ONCE", 16)
    torch.testing.assert_close(attend(q, k, v, mask=mask), expected)


def test_unit_rotated_keeps_lengths_and_has_the_right_gradient(monkeypatch):
    table = rope_table(ScaleSchedule([(1, 1), (2, 3)]), 8, "nearest")
    qkv = heads(2, 7, 3, 2, 8, dtype=torch.float32).requires_grad_()
    lengths = torch.tensor([[4.0, 7.0], [1.0, 1.0]]).unsqueeze(-1).requires_grad_()
    q, k, v = unit_rotated(qkv, lengths, table)
    torch.testing.assert_close(q.norm(dim=-1)[0, :, 0], lengths[0, :, 0])
    torch.testing.assert_close(k.norm(dim=-1), torch.ones(2, 2, 7))
    assert torch.equal(v, qkv[:, :, 2].transpose(1, 2))
    weights = heads(3, *q.shape, seed=3, dtype=torch.float32)
    units = F.normalize(qkv[:, :, :2], dim=-1) * lengths
    pairs = torch.view_as_complex(units.unflatten(-1, (-1, 2))) * table[:, None, None]
    rotated = torch.view_as_real(pairs).flatten(-2).transpose(1, 3)
    expected = (*rotated.unbind(2), qkv[:, :, 2].transpose(1, 2))
    found_loss, expected_loss = (
        sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True))
        for parts in ((q, k, v), expected)
    )
    for one, other in zip(
        torch.autograd.grad(found_loss, (qkv, lengths)),
        torch.autograd.grad(expected_loss, (qkv, lengths)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(attention, "ROTATED_AT_ONCE", 200)
    with torch.no_grad():
        for chunked, whole in zip(unit_rotated(qkv, lengths, table), (q, k, v), strict=True):
            torch.testing.assert_close(chunked, whole)


@pytest.mark.filterwarnings("ignore:flex_attention called")
def test_block_mask_attention_equals_one_product_a_scale():
    spans = (*SPANS, slice(14, 150))
    q, k, v = (heads(2, 2, 150, 16, seed=n, dtype=torch.float32) for n in (1, 2, 3))
    found = attend_in_blocks(q, k, v, spans)
    assert (found - attend_scale_causally(q, k, v, spans)).abs().max() <= 1e-4


def test_block_mask_shows_own_and_earlier_scales():
    mask = block_mask((1, 5, 14), torch.device("cpu"))
    rows = torch.arange(14)[:, None].expand(14, 14)
    seen = mask.mask_mod(torch.tensor(0), torch.tensor(0), rows, rows.T)
    scale_of = torch.repeat_interleave(torch.arange(3), torch.tensor([1, 4, 9]))
    assert torch.equal(seen, scale_of[None] <= scale_of[:, None])


@pytest.mark.skipif(
    torch.version.cuda is None or not torch.cuda.is_available(), reason="needs a CUDA device"
)
def test_block_mask_attention_has_equal_gradients_on_a_gpu():
    spans = (*SPANS, slice(14, 150))
    q, k, v = (
        heads(2, 2, 150, 32, seed=n, dtype=torch.float32).cuda().requires_grad_() for n in (1, 2, 3)
    )
    weights = heads(2, 2, 150, 32, seed=4, dtype=torch.float32).cuda()
    parts = [attend(q[:, :, s], k[:, :, : s.stop], v[:, :, : s.stop]) for s in spans]
    expected = torch.cat(parts, dim=2)
    found = attend_scale_causally(q, k, v, spans)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), (q, k, v)),
        torch.autograd.grad((expected * weights).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
