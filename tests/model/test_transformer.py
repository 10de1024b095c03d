import dataclasses

import pytest
import torch

from infinity.config import TransformerConfig
from infinity.model import layers
from infinity.model.cache import KVCache
from infinity.model.transformer import InfinityTransformer, TextCondition
from infinity.schedule import ScaleSchedule, schedule_for
from tests.model.helpers import CONFIG, SCHEDULE, inputs, scale_inputs, texts, tiny_transformer


def stepwise(model, inputs_BLD, condition, **hooks):
    """Logits of all scales, one scale at a time."""
    cache = KVCache(model.config, SCHEDULE, condition.batch)
    parts = []
    for index in range(len(SCHEDULE)):
        hidden = model.forward_scale(
            scale_inputs(inputs_BLD, index), condition, cache, index, **hooks
        )
        parts.append(model.logits(hidden, condition))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("rope", ["nearest", "bilinear", "corner"])
@pytest.mark.parametrize("interval", [0, 1, 2])
@torch.inference_mode()
def test_stepwise_logits_equal_teacher_forced(rope, interval):
    config = dataclasses.replace(CONFIG, rope=rope, level_embedding_interval=interval)
    model = tiny_transformer(config)
    condition = model.encode_text(texts(4, 7))
    whole = model(inputs(2), condition, SCHEDULE)
    torch.testing.assert_close(stepwise(model, inputs(2), condition), whole, atol=1e-4, rtol=0)
    assert whole.std() > 0.1


def test_logits_are_the_same_with_and_without_gradients():
    model = tiny_transformer()
    with torch.inference_mode():
        expected = model(inputs(2), model.encode_text(texts(4, 7)), SCHEDULE)
    logits = model(inputs(2), model.encode_text(texts(4, 7)), SCHEDULE)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert logits.shape == (2, SCHEDULE.total_tokens, CONFIG.bits_per_token, 2)
    assert logits.dtype == torch.float32


@torch.inference_mode()
def test_batch_of_three_equals_three_singles():
    model = tiny_transformer()
    text = texts(3, 9, 1)
    together = stepwise(model, inputs(3), model.encode_text(text))
    for row in range(3):
        alone = stepwise(model, inputs(3)[row : row + 1], model.encode_text(text[row : row + 1]))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_select_equals_encoding_the_selected_texts():
    model = tiny_transformer()
    condition = model.encode_text(texts(3, 9, 1)).select(slice(0, 2))
    assert condition.batch == 2
    expected = stepwise(model, inputs(2), model.encode_text(texts(3, 9, 1)[:2]))
    torch.testing.assert_close(stepwise(model, inputs(2), condition), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_interleaved_generations_equal_those_alone():
    model = tiny_transformer()
    conditions = [model.encode_text(texts(5, seed=seed)) for seed in (3, 4)]
    streams = [inputs(1, seed=seed) for seed in (5, 6)]
    alone = [stepwise(model, *pair) for pair in zip(streams, conditions, strict=True)]
    caches = [KVCache(CONFIG, SCHEDULE, 1) for _ in streams]
    parts = [[], []]
    for index in range(len(SCHEDULE)):
        for which in (0, 1):
            hidden = model.forward_scale(
                scale_inputs(streams[which], index), conditions[which], caches[which], index
            )
            parts[which].append(model.logits(hidden, conditions[which]))
    for which in (0, 1):
        assert torch.equal(torch.cat(parts[which], dim=1), alone[which])


@torch.inference_mode()
def test_inputs_and_conditions_are_left_unchanged():
    model = tiny_transformer()
    condition = model.encode_text(texts(4, 7))
    sequence = inputs(2)
    before = [tensor.clone() for tensor in _tensors(condition)]
    stepwise(model, sequence, condition)
    model(sequence, condition, SCHEDULE)
    assert torch.equal(sequence, inputs(2))
    assert all(map(torch.equal, before, _tensors(condition)))


def _tensors(condition: TextCondition):
    parts = [condition.pooled_BC, condition.head_modulation]
    return [*parts, *(part for block in condition.blocks for part in block if part is not None)]


@torch.inference_mode()
def test_after_block_replaces_the_hidden_state():
    model = tiny_transformer()
    condition = model.encode_text(texts(4, 4))
    seen = []

    def blend(hidden):
        seen.append(hidden.shape)
        return (hidden[:1] * 2 - hidden[1:]).repeat(2, 1, 1)

    plain = stepwise(model, inputs(2), condition)
    blended = stepwise(model, inputs(2), condition, after_block={2: blend})
    assert seen == [(2, scale.tokens, CONFIG.width) for scale in SCHEDULE]
    assert not torch.allclose(plain, blended)
    identity = stepwise(model, inputs(2), condition, after_block={0: lambda hidden: hidden})
    assert torch.equal(plain, identity)


@torch.inference_mode()
def test_later_scales_do_not_reach_earlier_logits():
    model = tiny_transformer()
    condition = model.encode_text(texts(4))
    changed = inputs(1)
    changed[:, -SCHEDULE[-1].tokens :] += 1
    before = SCHEDULE.span(len(SCHEDULE) - 1).start
    logits, other = (model(x, condition, SCHEDULE) for x in (inputs(1), changed))
    assert torch.equal(logits[:, :before], other[:, :before])
    assert not torch.allclose(logits[:, before:], other[:, before:])


def test_every_parameter_gets_a_finite_gradient():
    model = tiny_transformer()
    text = [*texts(4), model.unconditional_text(6)]
    model(inputs(2), model.encode_text(text), SCHEDULE).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_bf16_autocast_trains_close_to_float32():
    model = tiny_transformer()
    text = [*texts(4), model.unconditional_text(7)]
    expected = model(inputs(2), model.encode_text(text), SCHEDULE)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(inputs(2), model.encode_text(text), SCHEDULE)
    assert logits.dtype == torch.float32
    assert (logits - expected).std() < 0.05 * expected.std()
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in model.parameters())


@torch.inference_mode()
def test_bf16_weights_generate_close_to_float32():
    model = tiny_transformer()
    expected = model(inputs(2), model.encode_text(texts(4, 7)), SCHEDULE)
    model = model.bfloat16()
    condition = model.encode_text(texts(4, 7))
    cache = KVCache(CONFIG, SCHEDULE, 2, dtype=torch.bfloat16)
    for index in range(len(SCHEDULE)):
        hidden = model.forward_scale(scale_inputs(inputs(2), index), condition, cache, index)
        logits = model.logits(hidden, condition)
        assert hidden.dtype == logits.dtype == torch.float32
        span = SCHEDULE.span(index)
        assert (logits - expected[:, span]).std() < 0.06 * expected[:, span].std()


@torch.inference_mode()
def test_bf16_cross_attention_rounds_but_little():
    rounded = tiny_transformer(dataclasses.replace(CONFIG, bf16_cross_attention=True))
    plain = tiny_transformer()
    logits, expected = (
        model(inputs(1), model.encode_text(texts(4)), SCHEDULE) for model in (rounded, plain)
    )
    assert 1e-5 < (logits - expected).abs().max() < 0.1


def test_unconditional_text_has_the_length_asked_for():
    model = tiny_transformer()
    assert model.unconditional_text(5).shape == (5, CONFIG.text_width)


def test_eight_billion_parameters_build_on_the_meta_device():
    config = TransformerConfig(depth=40, width=3584, num_heads=28, bits_per_token=56)
    with torch.device("meta"):
        model = InfinityTransformer(config)
    assert sum(parameter.numel() for parameter in model.parameters()) > 8e9
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_initial_weights_follow_the_published_statistics():
    config = TransformerConfig(depth=4, width=256, num_heads=4, bits_per_token=32, text_width=256)
    model = InfinityTransformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    plain = (3 * 256) ** -0.5
    expected = {
        "unconditional": 0.0595,
        "start": plain,
        "text_pooling.query": plain,
        "scale_embedding.weight": plain,
        "token_embedding.weight": plain,
        "modulation.weight": plain,
        "head_modulation.weight": plain * 1e-3,
        "head.weight": plain * 0.02,
        "blocks.0.modulation": 5.24e-5,
        "blocks.1.attention.qkv.weight": plain,
        "blocks.1.attention.output.weight": plain * 8**-0.5,
        "blocks.1.cross_attention.output.weight": plain * 8**-0.5,
        "blocks.1.feed_forward.down.weight": plain * 8**-0.5,
        "blocks.1.feed_forward.up.weight": plain,
    }
    parameters = dict(model.named_parameters())
    for name, spread in expected.items():
        assert parameters[name].std().item() == pytest.approx(spread, rel=0.12), name
    assert all(not parameters[name].any() for name in parameters if name.endswith("bias"))
    again = InfinityTransformer(config)
    again.init_weights(torch.Generator().manual_seed(0))
    assert all(map(torch.equal, model.parameters(), again.parameters()))


@torch.inference_mode()
def test_released_schedule_of_a_non_square_picture_runs():
    model = tiny_transformer()
    schedule: ScaleSchedule = schedule_for("3:2", "0.06M").prefix(5)
    condition = model.encode_text(texts(2))
    sequence = torch.randn(1, schedule.total_tokens - 1, CONFIG.bits_per_token)
    assert model(sequence, condition, schedule).isfinite().all()


@torch.inference_mode()
def test_chunked_generation_equals_generation_at_once(monkeypatch):
    model = tiny_transformer()
    condition = model.encode_text(texts(4, 7))
    expected = stepwise(model, inputs(2), condition)
    monkeypatch.setattr(layers, "ACTIVATIONS_AT_ONCE", 3000)
    torch.testing.assert_close(stepwise(model, inputs(2), condition), expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_float32_norms_and_embeddings_go_with_bf16_matrices():
    model = tiny_transformer()
    for module in (model.text_pooling, model.text_projection, model.blocks):
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.data = parameter.data.bfloat16()
    for module in (model.text_pooling, model.text_projection, model.blocks):
        for name, parameter in module.named_parameters():
            if name.endswith("bias") and "norm" not in name:
                parameter.data = parameter.data.bfloat16()
    assert model.compute_dtype == torch.bfloat16
    cache = KVCache(CONFIG, SCHEDULE, 2, dtype=model.compute_dtype)
    condition = model.encode_text(texts(4, 7))
    hidden = model.forward_scale(None, condition, cache, 0)
    assert model.logits(hidden, condition).isfinite().all()
