"""Steps from settings: weights from files or seeds, freezing, text encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from infinity.checkpoints.save import save_tokenizer
from infinity.config import TokenizerConfig
from infinity.errors import InfinityError
from infinity.tokenizer.tokenizer import Tokenizer
from tests.tiny import SPEC, tiny_folder, tiny_transformer
from tests.training.steps.helpers import CAPTIONS, tiny_config
from training.config.settings import TrainingConfig
from training.steps import captions
from training.steps.build import build_step
from training.steps.captions import load_captions, needs_captions
from training.steps.step import MODEL
from training.steps.tokenizer_step import TokenizerStep
from training.steps.transformer_step import TransformerStep


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


def settings(folder: Path, /, **changes: Any) -> TrainingConfig:
    values = {
        "output": "unused",
        "model": SPEC.transformer,
        "tokenizer": {"model": SPEC.tokenizer, "weights": str(folder)},
        "text_encoder": {"source": str(folder / "text_encoder"), "max_length": 24},
        "data": {"schedules": SPEC.schedules},
        "optimization": {"steps": 10},
        **changes,
    }
    return TrainingConfig.model_validate(values)


def transformer_step(config: TrainingConfig) -> TransformerStep:
    step = build_step(config)
    assert isinstance(step, TransformerStep)
    return step


def test_new_transformer_depends_on_the_seed_alone(model: Path) -> None:
    first, second = (build_step(settings(model)).modules.state_dict() for _ in range(2))
    other = build_step(settings(model, seed=1)).modules.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_fine_tuning_starts_from_the_models_weights(model: Path) -> None:
    step = transformer_step(settings(model, start_from=str(model)))
    expected = tiny_transformer().state_dict()
    for name, tensor in step.transformer.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert all(parameter.requires_grad for parameter in step.transformer.parameters())
    assert set(step.frozen) == {"tokenizer", "text_encoder"}
    assert not any(parameter.requires_grad for parameter in step.frozen.parameters())


def test_fine_tuning_refuses_another_shape(model: Path) -> None:
    other = replace(SPEC.transformer, depth=2)
    with pytest.raises(InfinityError, match=r"model\.depth is 2, but 3"):
        build_step(settings(model, start_from=str(model), model=other))


def test_patterns_freeze_parameters_and_must_match(model: Path) -> None:
    step = build_step(settings(model, freeze=("blocks.0.*", "token_embedding.*")))
    trained = {name for group in step.parameter_groups(MODEL) for name in group["names"]}
    assert not any(name.startswith(("blocks.0.", "token_embedding")) for name in trained)
    assert any(name.startswith("blocks.1.") for name in trained)
    with pytest.raises(InfinityError, match=r"block\.9"):
        build_step(settings(model, freeze=("block.9",)))


def test_small_text_encoder_is_learned_once_and_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for index, caption in enumerate(CAPTIONS):
        pixels = np.full((16, 16, 3), 40 * index, np.uint8)
        Image.fromarray(pixels).save(data / f"{index}.png")
        (data / f"{index}.txt").write_text(caption)
    config = tiny_config(data={"sources": [str(data)], "format": "folder"})
    config = config.model_copy(update={"output": tmp_path / "run"})
    first, second = load_captions(config), load_captions(config)
    assert (tmp_path / "run" / "text_tokenizer").is_dir()
    assert first.trained and first.model.config.d_model == 128
    pairs = zip(first(CAPTIONS), second(CAPTIONS), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert first.tokenizer("a red apple")["input_ids"][-1] == first.tokenizer.eos_token_id


def test_text_encoder_is_left_on_disk_where_all_text_is_prepared(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = {"with": {"text": {"width": 128}}, "without": {"text": None}}

    class Prepared:
        def __init__(self, folder: Path) -> None:
            self.index = SimpleNamespace(recipe=recipes[folder.name])

    monkeypatch.setattr(captions, "PreparedSource", Prepared)
    for sources, needed in ((("with",), False), (("with", "without"), True)):
        data = {"schedules": SPEC.schedules, "format": "prepared", "sources": sources}
        assert needs_captions(settings(model, data=data)) == needed
    data = {"schedules": SPEC.schedules, "format": "prepared", "sources": ("with",)}
    assert transformer_step(settings(model, data=data)).captions is None
    encoder = {"source": str(model / "text_encoder"), "max_length": 24, "train": True}
    assert needs_captions(settings(model, data=data, text_encoder=encoder))
    samples = {"sample_every": 5, "sample_prompts": ("a dog",)}
    assert needs_captions(settings(model, data=data, logging=samples))


def test_captions_are_cut_to_the_limit_with_their_end_kept(model: Path) -> None:
    config = settings(model, text_encoder={"source": str(model / "text_encoder"), "max_length": 5})
    captions = load_captions(config)
    texts = captions(("a", "one two three four five six seven"))
    assert len(texts[1]) == 5 and len(texts[0]) <= 5
    assert not texts[0].requires_grad


def test_tokenizer_step_has_the_networks_its_losses_need() -> None:
    plain = build_step(tiny_config("tokenizer"))
    assert set(plain.modules) == {"tokenizer"} and not plain.frozen
    losses = {"perceptual": 1.0, "adversarial": 0.3}
    full = build_step(tiny_config("tokenizer", tokenizer_losses=losses))
    assert isinstance(full, TokenizerStep)
    assert set(full.modules) == {"tokenizer", "discriminator"}
    assert set(full.frozen) == {"perceptual"}
    again = build_step(tiny_config("tokenizer", tokenizer_losses=losses))
    for name, tensor in full.modules.state_dict().items():
        assert torch.equal(tensor, again.modules.state_dict()[name]), name


def test_tokenizer_training_continues_from_a_model(model: Path) -> None:
    config = tiny_config("tokenizer", tokenizer={"model": SPEC.tokenizer, "weights": str(model)})
    step = build_step(config)
    assert isinstance(step, TokenizerStep)
    assert all(parameter.requires_grad for parameter in step.tokenizer.parameters())
    wrong = replace(SPEC.tokenizer, num_res_blocks=2)
    with pytest.raises(InfinityError, match="num_res_blocks"):
        build_step(tiny_config("tokenizer", tokenizer={"model": wrong, "weights": str(model)}))


def test_a_refinement_with_more_blocks_decodes_to_the_same_pictures(tmp_path: Path) -> None:
    shape = TokenizerConfig(bits=8, base_channels=32, channel_multipliers=(1,), num_res_blocks=1,
                            stem_patch=8, refine_blocks=1, refine_channels=32)  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        before = Tokenizer(shape)
        for parameter in before.parameters():  # a refinement that has learned something
            torch.nn.init.normal_(parameter, std=0.1)
    save_tokenizer(tmp_path / "shallow", shape, before)
    tokenizer = {"weights": str(tmp_path / "shallow"), "model": replace(shape, refine_blocks=3)}
    after = build_step(settings(tmp_path, task="tokenizer", tokenizer=tokenizer, model=None))
    assert isinstance(after, TokenizerStep)
    latents = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(after.tokenizer.decode(latents), before.decode(latents))
    wider = {**tokenizer, "model": replace(shape, refine_blocks=3, refine_channels=64)}
    with pytest.raises(InfinityError, match="refine_channels"):
        build_step(settings(tmp_path, task="tokenizer", tokenizer=wider, model=None))
