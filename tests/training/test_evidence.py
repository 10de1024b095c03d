"""The experiments on a world of plain squares and with a handful of steps: everything but the time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from infinity.config import TransformerConfig
from infinity.schedule import ScaleSchedule
from tests.training.plain_world import plain_sprites, write_plain_world
from training.evidence import experiments, lab
from training.evidence.__main__ import write_results
from training.evidence.experiments import EXPERIMENTS
from training.evidence.index_classifier import (
    IndexTransformer,
    bits_of,
    index_loss,
    index_of,
    training_memory,
)
from training.evidence.lab import CONCEPTS, STYLE, Arm, Lab
from training.evidence.page import write_page
from training.exam.judge import Judge
from training.losses import token_weights
from training.picture_measures import measure, seams, ssim
from training.world.concepts import CONCEPTS as ALL
from training.world.world import World

SCHEDULE = ScaleSchedule([(1, 1), (2, 2)])
CONFIG = TransformerConfig(
    depth=1, width=32, num_heads=2, bits_per_token=6, text_width=128, text_max_length=8
)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "HELD_OUT", 12)
    monkeypatch.setattr(lab, "CAPTIONS", 200)
    world = World(plain_sprites(CONCEPTS, (STYLE,)))
    return Lab(world, Judge().eval(), tmp_path, 2, 1, seeds=1, batch_size=2)


def noise(seed: int) -> torch.Tensor:
    blocks = torch.rand(2, 3, 22, 22, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return F.interpolate(blocks, scale_factor=3)[..., :64, :64]


def test_small_world_is_part_of_the_whole_and_the_exam_asks_for_it(bench):
    assert set(CONCEPTS) <= set(ALL) and 16 <= len(CONCEPTS) <= 24
    prompts = bench.exam.prompts
    assert {prompt.tag for prompt in prompts} == set(lab.TAGS)
    assert len(prompts) > 40
    assert len(bench.exam.true_pictures) == len(prompts)


def test_measures_are_best_for_the_same_picture_and_tell_soft_from_sharp():
    picture = noise(0)
    same = measure(picture, picture)
    assert same["ssim"] == pytest.approx(1, abs=1e-5)
    assert same["edge_energy"] == same["edge_fidelity"] == pytest.approx(1)
    soft = F.avg_pool2d(picture, 3, 1, 1)
    other = measure(soft, picture)
    assert other["psnr"] < same["psnr"] and other["ssim"] < 0.9
    assert other["edge_energy"] < 0.5 and 0 < other["edge_fidelity"] < 1
    assert measure(noise(1), picture)["edge_fidelity"] < 0  # sharp, but not the picture's edges
    assert ssim(picture, picture) > ssim(soft, picture) > ssim(noise(1), picture)


def test_seams_show_a_grid_of_the_given_patch_only():
    picture = noise(0)
    rows = torch.arange(64) // 8 % 2 * 0.2
    gridded = picture + rows[:, None] + rows
    assert seams(gridded, picture, 8) > 10
    error = 0.1 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    assert seams(picture + error, picture, 8) == pytest.approx(1, abs=0.05)


def test_index_and_bits_are_each_others_inverse():
    index = torch.arange(64).view(4, 16)
    assert torch.equal(index_of(bits_of(index, 6)), index)


def test_index_loss_is_that_of_bits_where_the_codes_factorize():
    """Independent bits give a code the product of their chances: then both losses agree."""
    generator = torch.Generator().manual_seed(0)
    gap_BLD = torch.randn(2, 5, 6, generator=generator)
    labels_BLD = torch.rand(2, 5, 6, generator=generator) < 0.5
    all_bits_VD = bits_of(torch.arange(64), 6)
    chance = F.logsigmoid(torch.where(all_bits_VD, 1.0, -1.0) * gap_BLD[:, :, None])
    found = index_loss(chance.sum(-1), labels_BLD, SCHEDULE)
    per_bit = F.softplus(torch.where(labels_BLD, -gap_BLD, gap_BLD)).mean(-1)
    assert torch.allclose(found.per_token_BL, per_bit, atol=1e-5)
    weights = token_weights(SCHEDULE, reweight=True).float()
    assert torch.allclose(found.loss, (per_bit * weights).sum(-1).mean(), atol=1e-5)
    assert torch.equal(found.correct_BLD, (gap_BLD > 0) == labels_BLD)


def test_index_transformer_draws_codes_as_certain_bits():
    transformer = IndexTransformer(CONFIG)
    transformer.init_weights(torch.Generator().manual_seed(0))
    with torch.no_grad():
        transformer.head.bias[37] = 50.0
        condition = transformer.encode_text([torch.randn(3, 128)] * 2)
        hidden = torch.randn(2, 4, 32)
        assert transformer.logits(hidden, condition).shape == (2, 4, 64)
        drawn = transformer.eval().logits(hidden, condition)
    assert drawn.shape == (2, 4, 6, 2)
    assert torch.equal(index_of(drawn[..., 1] > 0), torch.full((2, 4), 37))


def test_memory_of_a_step_is_measured_and_bounded():
    taken = training_memory("index", CONFIG, SCHEDULE, 2, 4.0)
    assert taken is not None and taken > 0
    large = TransformerConfig(**{**CONFIG.to_dict(), "bits_per_token": 22})
    assert training_memory("index", large, SCHEDULE, 2, 0.25) is None


def test_reconstruction_arm_is_measured_once_and_kept(bench, monkeypatch):
    rows = [{"arm": "d = 16", **experiments._rebuilt(bench, 16, 8)}]
    assert rows[0]["tokens"] == 155 and rows[0]["bits"] == 155 * 16
    assert {"psnr", "ssim", "edge_fidelity", "seams"} <= rows[0].keys()
    monkeypatch.setattr(Lab, "reconstructions", None)
    again = experiments._rebuilt(bench, 16, 8)
    assert again == {name: value for name, value in rows[0].items() if name != "arm"}


def test_terms_train_the_models_own_decoder_once_an_arm(bench, tmp_path, monkeypatch):
    world = write_plain_world(tmp_path / "world")
    one = {"and adversarial": experiments.TERMS["and adversarial"]}
    monkeypatch.setattr(experiments, "TERMS", one)
    monkeypatch.setattr(experiments, "HELD_OUT", 4)
    rows = experiments.terms(bench, "default", world)
    assert [row["arm"] for row in rows] == ["as it was", "and adversarial"]
    assert 10 < rows[1]["psnr"] != rows[0]["psnr"] > 10
    monkeypatch.setattr(experiments, "sharpen", None)
    assert experiments.terms(bench, "default", world) == rows


@pytest.mark.parametrize("kind", ["bits", "index"])
def test_transformer_arm_is_trained_examined_and_kept(bench, kind):
    arm = Arm(bits=8, width=64, depth=1, classifier=kind)
    prompts = bench.exam.prompts
    object.__setattr__(bench, "exam", replace(bench.exam, prompts=prompts[:2] + prompts[-2:]))
    row = bench.transformer(arm)
    assert row["pictures"] == 4 and row["exam"] == 0.0  # an untrained judge
    assert np.isfinite([row["validation_loss"], row["distance"]]).all()
    assert bench.transformer(arm) == row


def test_every_experiment_names_its_limits_and_gets_its_place_on_the_page(bench, tmp_path):
    for name, experiment in EXPERIMENTS.items():
        assert experiment.limits and set(experiment.plotted) <= set(experiment.columns)
        rows = [
            {"arm": arm, **dict.fromkeys(experiment.columns, value)}
            for arm, value in (("one", 0.5), ("two", 3))
        ]
        rows.append({"arm": "too large", experiment.columns[0]: None})
        write_results(tmp_path / "evidence", name, rows, bench)
        assert (tmp_path / "evidence" / f"{name}.png").stat().st_size > 1000
        assert json.loads((tmp_path / "evidence" / f"{name}.json").read_text())["rows"] == rows
    page = (tmp_path / "evidence.md").read_text()
    assert "Not run yet" not in page
    for name, experiment in EXPERIMENTS.items():
        assert experiment.title in page and f"evidence/{name}.png" in page
    (tmp_path / "evidence" / "bits.json").unlink()
    write_page(tmp_path / "evidence", tmp_path / "evidence.md")
    assert (tmp_path / "evidence.md").read_text().count("Not run yet") == 1
