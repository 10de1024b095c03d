"""infinity.registry and infinity.spec: what is bound to what, and refused otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infinity import registry
from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError, RequestError
from infinity.registry import MODEL_SPECS, get_spec, model_names
from infinity.request import SamplingParams
from infinity.schedule import ASPECT_RATIOS, ScaleSchedule, schedule_for
from infinity.spec import CONFIG_FILE, ModelSpec, is_spec_folder, read_spec

SMALL = ModelSpec(
    name="small",
    title="A small model",
    transformer=TransformerConfig(
        depth=2, width=64, num_heads=2, bits_per_token=8, text_width=128, text_max_length=32
    ),
    tokenizer=TokenizerConfig(bits=8, base_channels=32, channel_multipliers=(1, 2, 2, 2)),
    text_encoder=TextEncoderConfig(width=128, max_length=32),
    schedules={"1:1": ScaleSchedule([(1, 1), (3, 3), (6, 6)])},
    sampling=SamplingParams(guidance=(1.0, 2.0, 3.0), guidance_layers=(0, -1)),
)


@pytest.mark.parametrize("spec", [*MODEL_SPECS.values(), SMALL], ids=lambda spec: spec.name)
def test_spec_survives_a_json_round_trip(spec):
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_registry_has_the_released_models_with_their_settings():
    big, small = get_spec("infinity-8b"), get_spec("infinity-2b")
    assert small.image_size("1:1") == big.image_size("1:1") == (1024, 1024)
    assert get_spec("infinity-8b-512").image_size("1:1") == (512, 512)
    assert (small.sampling.guidance, small.sampling.temperature) == (4.0, 0.5)
    assert (big.sampling.guidance, big.sampling.temperature) == (3.0, 1.0)
    assert small.aspect_ratios == ASPECT_RATIOS
    assert big.tokenizer.patchify
    assert big.transformer.bits_per_token == 56
    assert small.hub is not None
    assert "infinity_vae_d32_reg.pth" in small.hub.tokenizer
    assert "infinity_vae_d32reg.pth" in small.hub.tokenizer
    for spec in (big, small):
        assert spec.text_encoder.source == "google/flan-t5-xl"
        assert spec.hub is not None
        assert len(spec.hub.revision) == len(spec.text_encoder.revision) == 40


def test_registry_has_the_papers_sizes():
    shapes = {
        (spec.transformer.width, spec.transformer.num_heads, spec.transformer.depth)
        for spec in MODEL_SPECS.values()
    }
    assert {(768, 8, 12), (1152, 12, 16), (1536, 16, 24), (2080, 20, 32), (2688, 24, 40)} <= shapes
    assert get_spec("infinity-20b").transformer.pool_heads == 32


def test_default_comes_first():
    assert model_names()[0] == "default"


def test_default_spec_is_read_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "DEFAULT_MODEL_FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        get_spec("default")
    (tmp_path / CONFIG_FILE).write_text(json.dumps(SMALL.to_dict()))
    assert get_spec("default") == SMALL


def test_unknown_model_names_the_nearest():
    with pytest.raises(RequestError, match="did you mean 'infinity-2b'"):
        get_spec("infinity2b")


def test_untrained_aspect_ratio_lists_the_trained_ones():
    with pytest.raises(RequestError, match="choose one of 1:1"):
        SMALL.schedule("3:2")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"tokenizer": TokenizerConfig(bits=16)}, ("8 bits a token", "gives 16")),
        (
            {"tokenizer": replace(SMALL.tokenizer, patchify=True)},
            ("8 bits a token", "gives 32", "2x2"),
        ),
        ({"text_encoder": TextEncoderConfig(width=256, max_length=32)}, ("width 128", "gives 256")),
        ({"text_encoder": TextEncoderConfig(width=128, max_length=64)}, ("64 tokens", "most 32")),
        ({"transformer": replace(SMALL.transformer, max_scales=2)}, ("3 scales", "knows 2")),
        ({"schedules": {"1:1": schedule_for("1:1", "0.06M")}}, ("span 16", "span 8")),
        ({"schedules": {"3:1": SMALL.schedules["1:1"]}}, ("3:1", "48x48")),
        ({"schedules": {}}, ("aspect ratio",)),
        ({"schedules": {"wide": SMALL.schedules["1:1"]}}, ("wide",)),
        ({"name": "a/b"}, ("a/b",)),
    ],
)
def test_parts_that_do_not_fit_are_refused_naming_both(change, names):
    with pytest.raises(CheckpointError) as caught:
        replace(SMALL, **change)
    for name in names:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transfromer": {}}, "did you mean 'transformer'"),
        ({"format": 7}, "format 7"),
        ({"schedules": {"1:1": {"scales": "x"}}}, "config.json"),
        ({"schedules": 5}, "ill-formed"),
        ({"sampling": {"guidanse": 1}}, "did you mean 'guidance'"),
        ({"sampling": {"guidance": float("nan")}}, "guidance"),
        ({"transformer": {"depth": 2}}, "incomplete"),
        ({"tokenizer": {**SMALL.tokenizer.to_dict(), "bit": 3}}, "did you mean 'bits'"),
    ],
)
def test_bad_config_is_refused_with_a_hint(change, message):
    with pytest.raises(CheckpointError, match=message):
        ModelSpec.from_dict({**SMALL.to_dict(), **change})


def test_incomplete_config_names_the_gap():
    data = SMALL.to_dict()
    del data["transformer"]
    with pytest.raises(CheckpointError, match="no 'transformer'"):
        ModelSpec.from_dict(data)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "\x00"])
def test_damaged_config_file_is_refused(tmp_path, text):
    (tmp_path / CONFIG_FILE).write_text(text)
    assert not is_spec_folder(tmp_path)
    with pytest.raises(CheckpointError, match=CONFIG_FILE):
        read_spec(tmp_path)
