"""Adapters: what peft writes is merged into the weights at load, and computes what peft computes."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from infinity.__main__ import main
from infinity.checkpoints.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    merge_adapter,
    read_adapter,
)
from infinity.checkpoints.load import load_model
from infinity.errors import CheckpointError
from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from tests.tiny import SPEC, tiny_folder, tiny_transformer
from training.config.sections import LoraSettings
from training.finetune.lora import add_lora, save_adapter

SETTINGS = LoraSettings(rank=3, alpha=6)
SCHEDULE = SPEC.schedules["1:1"]


def logits(transformer):
    generator = torch.Generator().manual_seed(0)
    shape = (2, SCHEDULE.total_tokens - 1, SPEC.transformer.bits_per_token)
    inputs = torch.randn(shape, generator=generator)
    text = [torch.randn(4, SPEC.transformer.text_width, generator=generator) for _ in range(2)]
    with torch.no_grad():
        return transformer(inputs, transformer.encode_text(text), SCHEDULE)


def adapted(settings=SETTINGS):
    """A tiny transformer with an adapter that changes something, as after training."""
    transformer = tiny_transformer()
    add_lora(transformer, settings, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.05, generator=generator)
    return transformer


@pytest.fixture
def folder(tmp_path):
    save_adapter(tmp_path / "toon", SETTINGS, adapted().state_dict(), base="tiny")
    return tmp_path / "toon"


def test_merged_adapter_computes_what_the_trained_model_computes(folder):
    transformer = tiny_transformer()
    before = logits(transformer)
    merge_adapter(transformer, read_adapter(folder))
    after = logits(transformer)
    assert (after - before).abs().max() > 0.1
    torch.testing.assert_close(after, logits(adapted()), atol=2e-4, rtol=1e-4)


def test_every_target_changes_the_model():
    plain = logits(tiny_transformer())
    for target in SETTINGS.targets:
        changed = logits(adapted(LoraSettings(rank=3, alpha=6, targets=(target,))))
        assert (changed - plain).abs().max() > 1e-3, target


def test_untrained_adapter_changes_nothing():
    transformer = tiny_transformer()
    add_lora(transformer, SETTINGS, seed=1)
    torch.testing.assert_close(logits(transformer), logits(tiny_transformer()))


def test_peft_reads_the_folder(folder):
    model = PeftModel.from_pretrained(tiny_transformer(), str(folder), torch_device="cpu")
    transformer = model.base_model.model
    torch.testing.assert_close(logits(transformer), logits(adapted()))


def test_bfloat16_base_keeps_adapters_embeddings_and_head_in_float32():
    transformer = tiny_transformer()
    add_lora(transformer, SETTINGS, seed=1, dtype=torch.bfloat16)
    dtypes = {name: parameter.dtype for name, parameter in transformer.named_parameters()}
    assert dtypes["blocks.0.attention.qkv.base_layer.weight"] == torch.bfloat16
    assert dtypes["blocks.0.attention.qkv.lora_A.default.weight"] == torch.float32
    assert dtypes["head.weight"] == torch.float32
    torch.testing.assert_close(logits(transformer), logits(tiny_transformer()), atol=1.5, rtol=0.1)


def test_pipeline_manager_and_command_line_load_it(folder, tmp_path):
    model = tiny_folder(tmp_path / "model")
    request = GenerationRequest(prompt="a red circle", seed=3)
    plain = InfinityPipeline.from_pretrained(model, "cpu").generate(request).images[0]
    pipeline = InfinityPipeline.from_pretrained(model, "cpu", adapter=folder)
    picture = pipeline.generate(request).images[0]
    assert pipeline.spec.name == "tiny_toon"
    assert picture.tobytes() != plain.tobytes()

    manager = ModelManager(
        device="cpu", models={"tiny": model}, adapted={"tiny_toon": ("tiny", folder)}
    )
    assert manager.names()[-2:] == ("tiny", "tiny_toon")
    assert manager.spec("tiny_toon").name == "tiny_toon"
    managed = manager.get("tiny_toon")
    assert managed.spec.name == "tiny_toon"
    assert managed.generate(request).images[0].tobytes() == picture.tobytes()
    assert manager.get("tiny").generate(request).images[0].tobytes() == plain.tobytes()

    output = tmp_path / "picture.png"
    words = ["generate", "a red circle", "--seed", "3", "--model", str(model), "--device", "cpu"]
    assert main([*words, "--adapter", str(folder), "-o", str(output)]) == 0
    from PIL import Image

    assert Image.open(output).tobytes() == picture.tobytes()


def test_adapter_of_another_model_is_refused_with_both_sides_named(folder, tmp_path):
    transformer = tiny_transformer()
    del transformer.blocks[2]
    with pytest.raises(CheckpointError, match=r"trained on tiny.*use it with the model") as raised:
        merge_adapter(transformer, read_adapter(folder))
    assert "(blocks.2." in str(raised.value)


def test_adapter_of_another_width_is_refused(folder):
    transformer = tiny_transformer()
    transformer.blocks[0].attention.qkv = torch.nn.Linear(32, 96)
    with pytest.raises(CheckpointError, match=r"blocks\.0\.attention\.qkv: found"):
        merge_adapter(transformer, read_adapter(folder))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"peft_type": "LOHA"}, "only low-rank ones"),
        ({"modules_to_save": ["head"]}, "modules_to_save"),
        ({"r": "8"}, "r must be a whole number"),
    ],
)
def test_other_kinds_of_adapters_are_refused(folder, change, hint):
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=hint):
        read_adapter(folder)


@pytest.mark.parametrize("how", ["missing half", "stray tensor", "no config", "damaged"])
def test_damaged_adapter_is_a_sentence(folder, how):
    weights = folder / ADAPTER_WEIGHTS
    tensors = load_file(weights)
    if how == "missing half":
        save_file({k: v for k, v in tensors.items() if "0.attention.qkv.lora_B" not in k}, weights)
    elif how == "stray tensor":
        save_file(tensors | {"lm_head.weight": torch.zeros(2)}, weights)
    elif how == "no config":
        (folder / ADAPTER_CONFIG).unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError) as raised:
        read_adapter(folder)
    assert "\n" not in str(raised.value)


def test_load_model_refuses_a_wrong_adapter_before_reading_the_model(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist; give the folder of an adapter"):
        load_model(tiny_folder(tmp_path / "model"), adapter=tmp_path / "none")


def test_page_starts_with_the_adapted_model(folder, tmp_path, monkeypatch, capsys):
    import app
    from infinity.ui import serve

    model = tiny_folder(tmp_path / "model")
    started = []

    class Page:
        fns: ClassVar[dict[int, object]] = {}

        def launch(self, **options):
            pass

        def block_thread(self):
            pass

    def build(manager, name, *others):
        started.append(manager.get(name))
        return Page()

    monkeypatch.setattr(serve, "build_app", build)
    words = ["--model", str(model), "--device", "cpu", "--adapter"]
    assert app.main([*words, str(folder)]) == 0
    assert started[0].spec.name == "tiny_toon"
    changed = logits(adapted())
    torch.testing.assert_close(logits(started[0].transformer), changed, atol=2e-4, rtol=1e-4)
    assert app.main([*words, str(tmp_path / "none")]) == 1
    assert "give the folder of an adapter" in capsys.readouterr().err
