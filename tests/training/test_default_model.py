"""The presets are the recipe of the shipped weights, and the steps make a model of any size."""

from __future__ import annotations

import json

import pytest
import torch

from infinity.errors import RequestError
from infinity.pipeline import InfinityPipeline
from infinity.registry import get_spec
from infinity.request import GenerationRequest
from tests.training.plain_world import write_plain_world
from training.config.load import load_config
from training.default_model import budget
from training.default_model.build import PARTS, STEPS, Build
from training.engine.checkpoints import read_facts, read_state
from training.engine.optimization import learning_rate

SCALES = [(side, side) for side in (1, 2, 3, 4, 6, 9, 12)]


def flat(tree, prefix=""):
    """Nested settings -> dotted name: value."""
    found = {}
    for name, value in tree.items():
        inner = flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else None
        found |= inner if inner is not None else {prefix + name: value}
    return found


def settings(preset):
    config = load_config(overrides={"preset": preset, "output": "o"})
    assert [(s.height, s.width) for s in config.schedules["1:1"]] == SCALES
    return config, flat(config.model_dump(mode="python", exclude={"data": {"schedules"}}))


def holds(found, wanted):
    wrong = {name: found[name] for name, value in wanted.items() if found[name] != value}
    assert not wrong, f"not the recipe: {wrong}"


def test_transformer_preset_is_the_recipe_of_the_shipped_weights():
    """Every setting of the third version's training (training/recipe.py at commit eae652a)."""
    config, found = settings("default")
    shipped = get_spec("default")
    assert config.transformer == shipped.transformer
    assert config.tokenizer.model == shipped.tokenizer
    assert config.schedules == shipped.schedules and config.sampling == shipped.sampling
    holds(found, {
        "seed": 0, "text_encoder.source": None, "text_encoder.train": True,
        "text_encoder.max_length": 64, "text_encoder.layers": 3, "text_encoder.heads": 4,
        "text_encoder.vocabulary": 2048, "text_encoder.learning_rate_share": 0.25,
        "text_encoder.weight_decay": 0.1,
        "optimization.steps": 33_600, "optimization.batch_size": 24,
        "optimization.optimizer": "muon", "optimization.learning_rate": 3e-3,
        "optimization.weight_decay": 0.02, "optimization.weight_decay_end": None,
        "optimization.betas": (0.9, 0.97), "optimization.schedule": "trapezoid",
        "optimization.warmup": 300, "optimization.cooldown": 0.14, "optimization.clip": 2.0,
        "optimization.ema_decay": 0.998, "optimization.dtype": "bfloat16",
        "optimization.compile": True, "optimization.text_dropout": 0.1,
        "optimization.reweight": True, "optimization.bit_reduction": "mean",
        "optimization.drop_path": 0.0,
        "optimization.scale_prefixes": (
            (0, 6), (9_000, 7), (10_200, 6), (15_000, 7), (16_800, 5), (24_150, 7),
        ),
        "self_correction.strength": 0.2, "self_correction.scales": 100,
        "self_correction.requantize": True,
        "data.format": "world", "data.world.features": None,
        "data.world.fresh_from": 30_900 * 24, "data.world.pictures.single": 30_720,
        "data.world.pictures.full": 122_880, "data.world.pictures.composed": 49_152,
        "data.world.curriculum": (
            (0, {"single": 0.7, "full": 0.3}),
            (2_500 * 24, {"single": 0.2, "full": 0.8}),
            (10_200 * 24, {"single": 0.15, "full": 0.4, "composed": 0.45}),
            (16_800 * 24, {"single": 0.1, "full": 0.3, "composed": 0.6}),
            (27_450 * 24, {"single": 0.2, "full": 0.35, "composed": 0.45}),
            (30_900 * 24, {"single": 0.35, "full": 0.3, "composed": 0.35}),
            (32_400 * 24, {"single": 0.55, "full": 0.2, "composed": 0.25}),
        ),
        "logging.save_every": 300, "logging.validate_every": 300,
        "logging.validation_samples": 128,
    })  # fmt: skip


def test_tokenizer_presets_are_the_recipe_of_the_shipped_weights():
    whole, found = settings("default-tokenizer")
    shipped = get_spec("default").tokenizer
    holds(found, {
        "seed": 0, "optimization.steps": 9_500, "optimization.batch_size": 16,
        "optimization.optimizer": "muon", "optimization.learning_rate": 5e-3,
        "optimization.weight_decay": 0.01, "optimization.betas": (0.9, 0.95),
        "optimization.schedule": "trapezoid", "optimization.warmup": 100,
        "optimization.cooldown": 0.3, "optimization.clip": 1.0,
        "optimization.dtype": "bfloat16", "optimization.ema_decay": None,
        "tokenizer_losses.l1": 1.0, "tokenizer_losses.l2": 0.5, "tokenizer_losses.gradient": 0.5,
        "tokenizer_losses.averages": 0.5, "tokenizer_losses.passed": "sum",
        "tokenizer_losses.commitment": 5.0, "tokenizer_losses.entropy": 0.0,
        "tokenizer_losses.perceptual": 0.0, "tokenizer_losses.adversarial": 0.0,
        "tokenizer_losses.scale_prefixes": 0.15, "tokenizer_losses.scale_dropout": 0.0,
        "logging.save_every": 250, "logging.validate_every": 250,
        "logging.validation_samples": 96,
    })  # fmt: skip
    decoder, found = settings("default-decoder")
    assert decoder.tokenizer.model == shipped
    without = {**shipped.to_dict(), "refine_blocks": 0, "refine_channels": 64}
    assert whole.tokenizer.model.to_dict() == without
    holds(found, {
        "freeze": ("encoder.*",), "optimization.steps": 3_700, "optimization.batch_size": 12,
        "optimization.optimizer": "muon", "optimization.learning_rate": 2.5e-3,
        "optimization.weight_decay": 0.01, "optimization.betas": (0.9, 0.95),
        "optimization.warmup": 50, "optimization.cooldown": 0.4, "optimization.clip": 1.0,
        "optimization.dtype": "bfloat16", "tokenizer_losses.l1": 1.0, "tokenizer_losses.l2": 0.5,
        "tokenizer_losses.gradient": 1.0, "tokenizer_losses.averages": 0.0,
        "tokenizer_losses.commitment": 0.0, "tokenizer_losses.entropy": 0.0,
        "tokenizer_losses.scale_prefixes": 0.15,
    })  # fmt: skip


def test_shipped_model_is_trained_on_with_its_text_encoder_and_a_warmup():
    config = load_config(overrides={"preset": "default", "start_from": "default", "output": "o"})
    assert config.text_encoder.source is not None and config.text_encoder.train
    assert config.text_encoder.learning_rate_share == 0.25
    first = learning_rate(config.optimization, 0)
    assert first == pytest.approx(config.optimization.learning_rate / 300)


@pytest.mark.parametrize(("recipe", "side"), [("default", 192), ("next", 256)])
def test_the_parts_of_a_recipe_are_of_one_model(recipe, side, tmp_path):
    parts = {part: Build(tmp_path, recipe=recipe).settings(part) for part in PARTS}
    tokenizer, decoder, transformer = parts.values()
    assert decoder.tokenizer.model == transformer.tokenizer.model
    whole = {**decoder.tokenizer.model.to_dict(), "refine_blocks": 0, "refine_channels": 64}
    assert tokenizer.tokenizer.model.to_dict() == whole
    assert tokenizer.schedules == decoder.schedules == transformer.schedules
    assert transformer.image_size("1:1") == (side, side)
    for ratio in transformer.schedules:
        height, width = transformer.image_size(ratio)
        wide, high = map(int, ratio.split(":"))
        assert width / height == pytest.approx(wide / high, rel=0.03)
        assert height * width == pytest.approx(side**2, rel=0.03)
    optimization, world = transformer.optimization, transformer.data.world
    last = optimization.steps * optimization.batch_size
    assert all(picture < last for picture, _ in world.curriculum)
    starts, scales = zip(*optimization.scale_prefixes, strict=True)
    assert starts[-1] < optimization.steps and scales[-1] == len(transformer.schedules["1:1"])


def test_steps_come_in_an_order_that_works():
    names = list(STEPS)
    for before, after in (
        ("world", "tokenizer"), ("tokenizer", "decoder"), ("decoder", "features"),
        ("features", "transformer"), ("transformer", "export"), ("judge", "scores"),
        ("export", "scores"),
    ):  # fmt: skip
        assert names.index(before) < names.index(after)


def small_build(folder):
    """Everything tiny: the recipe's own presets with other sizes and a few steps."""
    model = {"bits": 8, "base_channels": 32, "stem_patch": 8}
    refined = {**model, "refine_blocks": 1, "refine_channels": 32}
    data = {"schedules": {"1:1": [[1, 1], [2, 2], [4, 4]]}, "workers": 0}
    few = {"steps": 4, "batch_size": 4, "warmup": 1, "compile": False, "dtype": "float32"}
    logging = {"log_every": 1, "curves": False, "tensorboard": False, "validation_samples": 2}
    every = {"data": data, "optimization": few, "logging": logging}
    world = {
        "curriculum": [[0, {"single": 0.7, "full": 0.3}], [8, {"composed": 1.0}]],
        "pictures": {"single": 6, "full": 6, "composed": 6},
        "fresh_from": 12,
    }
    transformer = {
        "model": {"depth": 2, "width": 32, "num_heads": 2, "bits_per_token": 8, "text_width": 128,
                  "text_max_length": 16},
        "tokenizer": {"model": refined},
        "text_encoder": {"max_length": 16, "layers": 1, "vocabulary": 200},
        "data": {**data, "world": world},
        "optimization": {**few, "scale_prefixes": [[0, 2], [2, 3]]},
        "logging": logging,
    }  # fmt: skip
    return Build(
        folder / "runs",
        write_plain_world(folder / "world"),
        {
            "tokenizer": {**every, "tokenizer": {"model": model}},
            "decoder": {**every, "tokenizer": {"model": refined}},
            "transformer": transformer,
        },
    )


def test_a_model_of_any_size_is_made_step_by_step_and_draws(tmp_path, monkeypatch):
    monkeypatch.setattr("training.steps.captions.CAPTIONS_TO_LEARN", 300)
    monkeypatch.setattr("training.default_model.build.read_prompts", lambda _: ["a red apple"])
    build = small_build(tmp_path)
    for name in ("tokenizer", "decoder", "features", "transformer", "export", "transformer"):
        STEPS[name](build)
    before = read_state(build.runs / "tokenizer")["tokenizer"]
    after = read_state(build.runs / "decoder")["tokenizer"]
    moved = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert moved and all(name.startswith("decoder.") for name in moved)
    assert after["decoder.refinement.conv_out.weight"].any()
    assert all(
        (build.runs / "features" / stage).is_dir() for stage in ("single", "full", "composed")
    )
    pipeline = InfinityPipeline.from_pretrained(build.exported)
    assert pipeline.spec.name == "default" and pipeline.spec.vocabulary is not None
    assert pipeline.generate(GenerationRequest(prompt="a red apple", seed=1)).images[0].width == 32
    assert (build.exported / "ATTRIBUTION.md").is_file()
    assert (build.runs / "contact_sheet.webp").is_file()


def test_a_model_is_made_within_a_time_and_the_plan_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("training.steps.captions.CAPTIONS_TO_LEARN", 300)
    monkeypatch.setattr("training.default_model.build.read_prompts", lambda _: ["a red apple"])
    monkeypatch.setattr("training.default_model.build.ensure_sprites", lambda _: None)
    build = small_build(tmp_path)
    build.changes["transformer"]["optimization"]["steps"] = 40
    build.changes["transformer"]["optimization"]["scale_prefixes"] = [[0, 2], [20, 3]]
    costs = dict.fromkeys(budget.SHARES, (0.5, 2.0)) | {"export": (1.5, 0.0)}
    monkeypatch.setattr(budget, "measured", lambda build, steps: dict(costs))
    monkeypatch.setattr(budget, "FEWEST", 2)
    budget.make_within(build, 50.0)  # 90% but for 3 seconds, 2 seconds a step and then far less
    plan = json.loads((build.runs / "plan.json").read_text())
    assert plan["tokenizer"]["optimization"]["steps"] == 4  # of its preset; the time is for 5
    steps = plan["transformer"]["optimization"]["steps"]
    assert plan["transformer"]["optimization"]["scale_prefixes"] == [[0, 2], [steps // 2, 3]]
    assert read_facts(build.runs / "transformer")["step"] == steps
    assert InfinityPipeline.from_pretrained(build.exported).spec.name == "default"
    budget.make_within(build, 5.0)
    assert json.loads((build.runs / "plan.json").read_text()) == plan


def test_a_time_too_short_is_refused_with_the_shortest_that_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr("training.default_model.build.ensure_sprites", lambda _: None)
    costs = {"tokenizer": (2.0, 0.5), "decoder": (3.0, 0.5), "transformer": (4.0, 4.0)}
    costs["export"] = (8.0, 0.0)
    monkeypatch.setattr(budget, "measured", lambda build, steps: costs)
    with pytest.raises(RequestError, match=r"60s are too short .* --budget (\d+)s") as told:
        budget.make_within(small_build(tmp_path), 60.0)
    assert not (tmp_path / "runs" / "plan.json").exists()
    least = budget.shortest(costs)
    assert least == pytest.approx((17 + 10 * 4.0 / 0.61) / budget.USED)
    assert f"--budget {int(least) + 1}s" in str(told.value)
    assert [budget.planned(costs, part, least) for part in budget.SHARES] == [35, 15, 10]
    longer = {part: budget.planned(costs, part, 10 * least) for part in budget.SHARES}
    spent = 17 + sum(steps * costs[part][1] for part, steps in longer.items())
    assert spent == pytest.approx(budget.USED * 10 * least, abs=4)


def test_a_few_steps_of_each_part_and_the_export_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("training.steps.captions.CAPTIONS_TO_LEARN", 300)
    monkeypatch.setattr("training.default_model.build.read_prompts", lambda _: ["a red apple"])
    costs = budget.measured(small_build(tmp_path), 1)
    assert [*costs] == [*budget.SHARES, "export"]
    assert sum(step > 0 for _, step in costs.values()) == 3
    assert not (tmp_path / "runs").exists()
