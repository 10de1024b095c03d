"""Runs on disk, losses, self-correction, and exact resumption of both trainings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from infinity.config import TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError, ResourceError
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training import text_encoder
from training.losses import bit_loss, psnr, reconstruction_loss, token_weights
from training.run import Run, read_metrics
from training.self_correction import RandomFlips
from training.train_tokenizer import (
    TokenizerTraining,
    decode_straight_through,
    to_float,
    train_tokenizer,
)
from training.train_transformer import (
    TrainingStep,
    TransformerTraining,
    build_text_encoder,
    collate,
    train_transformer,
)

SCALES = ((1, 1), (2, 2))
SCHEDULE = ScaleSchedule(SCALES)
TOKENIZER = TokenizerConfig(
    bits=8, base_channels=32, channel_multipliers=(1, 1), num_res_blocks=1, stem_patch=2
)
SIDE = 8


@dataclasses.dataclass(frozen=True)
class Settings:
    steps: int = 1
    size: int = 2


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def example(index: int) -> tuple[np.ndarray, str]:
    return picture(index), ("a red apple", "two blue cars")[index % 2]


HELD_OUT = torch.from_numpy(np.stack([picture(1000 + i) for i in range(12)])).permute(0, 3, 1, 2)


def tokenizer_settings(**changes: int) -> TokenizerTraining:
    return TokenizerTraining(
        model=TOKENIZER, scales=SCALES, **{"steps": 4, "batch_size": 2, "save_every": 2, **changes}
    )


def transformer_settings(**changes: int) -> TransformerTraining:
    model = TransformerConfig(
        depth=2, width=32, num_heads=2, bits_per_token=8, text_width=128, text_max_length=16
    )
    return TransformerTraining(
        model=model,
        scales=SCALES,
        text_layers=1,
        text_heads=2,
        **{"steps": 4, "batch_size": 2, "save_every": 2, **changes},
    )


def interrupted(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the second checkpoint's write fail, as a kill just before it would."""
    calls = []
    save = getattr(Run, method)

    def failing(self: Run, state: dict) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(state["step"])
        save(self, state)

    monkeypatch.setattr(Run, method, failing)


def test_resumed_tokenizer_training_equals_an_uninterrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_tokenizer(tokenizer_settings(), picture, HELD_OUT, tmp_path / "whole")
    with monkeypatch.context() as context:
        interrupted("save", context)
        with pytest.raises(KeyboardInterrupt):
            train_tokenizer(tokenizer_settings(), picture, HELD_OUT, tmp_path / "parts")
    resumed = train_tokenizer(tokenizer_settings(), picture, HELD_OUT, tmp_path / "parts")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert (tmp_path / "parts" / "reconstructions.png").exists()


def test_resumed_transformer_training_equals_an_uninterrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tokenizer = Tokenizer(TOKENIZER)
    text = text_encoder.train_tokenizer(["a red apple", "two blue cars"] * 20, 60, 16)

    def train(folder: str) -> tuple:
        return train_transformer(
            transformer_settings(),
            tokenizer,
            text,
            example,
            [example(100 + i) for i in range(4)],
            tmp_path / folder,
        )

    whole = train("whole")
    with monkeypatch.context() as context:
        interrupted("save", context)
        with pytest.raises(KeyboardInterrupt):
            train("parts")
    for finished, resumed in zip(whole, train("parts"), strict=True):
        for name, value in finished.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name
    curves = [m["validation_loss"] for m in read_metrics(tmp_path / "whole") if len(m) > 4]
    assert curves == [m["validation_loss"] for m in read_metrics(tmp_path / "parts") if len(m) > 4]


def training_step() -> TrainingStep:
    torch.manual_seed(0)
    settings = transformer_settings()
    text = text_encoder.train_tokenizer(["a red apple", "two blue cars"] * 20, 60, 16)
    transformer = InfinityTransformer(settings.model)
    transformer.init_weights(torch.Generator().manual_seed(0))
    text_model = build_text_encoder(settings, text)
    return TrainingStep(settings, Tokenizer(TOKENIZER), transformer, text_model, text)


def test_coarse_steps_train_what_the_whole_sequence_has_at_those_scales() -> None:
    loss_of = training_step()
    batch = collate([example(0), example(1)])
    whole = loss_of(*batch, torch.Generator(), corrupt=False)
    coarse = loss_of(*batch, torch.Generator(), corrupt=False, scales=1)
    assert whole.per_token_BL.shape == (2, 5) and coarse.per_token_BL.shape == (2, 1)
    torch.testing.assert_close(coarse.per_token_BL, whole.per_token_BL[:, :1], atol=2e-3, rtol=0)
    assert coarse.loss.item() == pytest.approx(coarse.per_token_BL.mean().item())


def test_known_features_train_as_their_pictures_do() -> None:
    loss_of = training_step()
    pictures, captions = collate([example(0), example(1)])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        features = loss_of.tokenizer.features(to_float(pictures)).float().numpy()
    kept = collate(list(zip(features, captions, strict=True)))
    known = loss_of(*kept, torch.Generator(), corrupt=False)
    drawn = loss_of(pictures, captions, torch.Generator(), corrupt=False)
    assert torch.equal(known.per_token_BL, drawn.per_token_BL)


def test_run_refuses_another_configuration_and_allows_a_longer_one(tmp_path: Path) -> None:
    Run(tmp_path, Settings())
    with pytest.raises(CheckpointError, match="size"):
        Run(tmp_path, Settings(size=3))
    Run(tmp_path, Settings(steps=9), may_change=frozenset({"steps"}))
    assert json.loads((tmp_path / "config.json").read_text())["steps"] == 9


def test_failed_save_keeps_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, Settings())
    run.save({"step": 1})

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(torch, "save", full)
        with pytest.raises(ResourceError, match="free some space"):
            run.save({"step": 2})
    assert run.resume() == {"step": 1}
    assert not list(tmp_path.glob("*.writing"))


def test_resume_drops_metrics_logged_after_the_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path, Settings())
    run.log(1, loss=2.0)
    run.save({"step": 1})
    run.log(2, loss=1.0)
    run.resume()
    assert [m["step"] for m in read_metrics(tmp_path)] == [1]


def test_resume_names_a_damaged_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path, Settings())
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run.resume()


def test_bit_loss_equals_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 8, 2, generator=generator)
    labels = torch.rand(2, 5, 8, generator=generator) < 0.5
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 2), labels.flatten().long())
    result = bit_loss(logits, labels, SCHEDULE, reweight=False)
    torch.testing.assert_close(result.loss, expected)
    right = (logits.argmax(-1).bool() == labels).float()
    assert result.accuracy_per_scale(SCHEDULE) == pytest.approx(
        [right[:, :1].mean().item(), right[:, 1:].mean().item()]
    )


def test_token_weights_fall_with_the_side_of_a_scale_and_sum_to_one() -> None:
    weights = token_weights(SCHEDULE, reweight=True)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(2 * weights[1].item())


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_random_flips_stay_under_their_strength(strength: float) -> None:
    flips = RandomFlips(strength, 2, torch.Generator().manual_seed(0))
    bits = torch.zeros(4, 50, 64, dtype=torch.bool)
    rates = [flips(0, bits).float().mean().item() for _ in range(40)]  # type: ignore[union-attr]
    assert max(rates) <= strength + 0.01
    assert (max(rates) > 0.15) == (strength > 0)
    assert flips(2, bits) is None


def test_straight_through_passes_gradients_to_the_encoder() -> None:
    tokenizer = Tokenizer(TOKENIZER)
    features = tokenizer.encoder(torch.rand(1, 3, SIDE, SIDE))
    features.retain_grad()
    image, commitment = decode_straight_through(tokenizer, features, SCHEDULE, 1)
    assert image.shape == (1, 3, SIDE, SIDE) and commitment > 0
    image.square().mean().backward()
    assert features.grad is not None and features.grad.abs().sum() > 0


def test_picture_measures_are_perfect_for_equal_pictures() -> None:
    image = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(image, image) == 0
    assert psnr(image, image) == pytest.approx(100)
    assert psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.2)) == pytest.approx(20)


def test_text_tokenizer_ignores_case_and_ends_every_prompt() -> None:
    text = text_encoder.train_tokenizer(["a red apple", "two blue cars"] * 20, 60, 16)
    ids = text("A Red APPLE")["input_ids"]
    assert ids == text("a red apple")["input_ids"]
    assert ids[-1] == text.eos_token_id
