"""Settings: one path in, in order of override; what is wrong is said in a sentence; round trips."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infinity.errors import InfinityError
from infinity.registry import MODEL_SPECS
from infinity.schedule import ASPECT_RATIOS, ScaleSchedule, schedule_for
from tests.tiny import tiny_folder
from training.config import TrainingConfig, load_config, save_config
from training.config.command_line import parse, setting_types
from training.config.errors import OTHER_NAMES, SettingsError
from training.config.sources import PRESETS, SIZES, STAGES

TINY = {
    "output": "runs/tiny",
    "model": {
        "depth": 2, "width": 64, "num_heads": 2, "bits_per_token": 8, "text_width": 128,
        "text_max_length": 24,
    },
    "tokenizer": {"model": {"bits": 8, "channel_multipliers": [1, 1]}, "weights": "some/folder"},
    "text_encoder": {"source": None, "train": True, "max_length": 24},
    "data": {"sources": ["pictures"], "schedules": {"1:1": [[1, 1], [2, 2]]}},
    "optimization": {"steps": 300, "batch_size": 12},
}  # fmt: skip


def tiny(command_line=(), **overrides) -> TrainingConfig:
    base = load_config(overrides=TINY)
    return load_config(None, command_line, json.loads(base.model_dump_json()) | overrides)


def written(path, content):
    text = json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_file_gives_the_same_as_a_dict(tmp_path, suffix):
    file = written(tmp_path / f"run{suffix}", TINY)
    assert load_config(file) == load_config(overrides=TINY)


def test_command_line_overrides_the_file_and_the_dict_overrides_both(tmp_path):
    file = written(tmp_path / "run.yaml", TINY)
    words = ["--optimization.steps", "7", "--seed=5", "--config", str(file)]
    config = load_config(None, words, {"seed": 9})
    assert (config.optimization.steps, config.seed, config.optimization.batch_size) == (7, 9, 12)


def test_command_line_takes_lists_as_words_with_commas_in_them():
    words = ["--data.sources", "my pictures", "b,c", "--logging.sample_prompts", "a cat, red"]
    config = load_config(None, words, TINY | {"data": {"schedules": TINY["data"]["schedules"]}})
    assert config.data.sources == ("my pictures", "b,c")
    assert config.logging.sample_prompts == ("a cat, red",)


def test_command_line_reaches_every_setting():
    for name in setting_types():
        value = "{}" if name.count(".") == 0 else "null"
        found = parse([f"--{name}", value])
        for part in name.split("."):
            found = found[part]


def test_help_has_a_sentence_for_every_setting(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = "".join(capsys.readouterr().out.split())
    assert text.startswith("usage:python-mtraining.train[run.yaml][--settingvalue...]")
    for name, setting in setting_types().items():
        sentence = re.escape("".join(setting.sentence.split()))
        assert len(setting.sentence.split()) > 1, name
        assert re.search(
            rf"--{re.escape(name)}\S{{1,250}}?{sentence}\(default:|{name}:{sentence}", text
        )


def test_command_line_reads_claims_numbers_and_nulls():
    words = [
        "--optimization.compile", "--optimization.clip", "null", "--optimization.betas", "0.8",
        "0.9", "--tokenizer.model.channel-multipliers", "1", "2", "--text_encoder.train=false",
        "--text_encoder.source", "folder", "--sampling.guidance", "3", "2.5",
    ]  # fmt: skip
    config = load_config(overrides=_deep(TINY, parse(words)))
    assert config.optimization.compile is True
    assert config.optimization.clip is None
    assert config.optimization.betas == (0.8, 0.9)
    assert config.tokenizer.model.channel_multipliers == (1, 2)
    assert config.text_encoder.train is False
    assert config.sampling.guidance == (3.0, 2.5)


def _deep(base, over):
    return {
        key: _deep(base[key], over[key])
        if isinstance(base.get(key), dict) and isinstance(over.get(key), dict)
        else over.get(key, base.get(key))
        for key in {**base, **over}
    }


def test_yaml_keeps_aspect_ratios_and_exponents(tmp_path):
    file = tmp_path / "run.yaml"
    content = {**TINY, "data": {"resolution": 256}, "tokenizer": {"model": {"bits": 8}}}
    text = yaml.safe_dump(content) + "lora: ~\nfreeze: blocks.0.*\n"
    text = text.replace("resolution: 256", "resolution: 256\n  aspect_ratios: [1:1, 2:1]")
    file.write_text(text.replace("steps: 300", "steps: 300\n  learning_rate: 1e-3"))
    config = load_config(file)
    assert config.data.aspect_ratios == ("1:1", "2:1")
    assert config.optimization.learning_rate == 1e-3
    assert config.freeze == ("blocks.0.*",)
    assert config.schedules["2:1"] == schedule_for("2:1", "0.06M")


def test_saved_configuration_reads_back_equal(tmp_path):
    config = tiny(["--optimization.ema_decay", "0.99", "--logging.sample_prompts", "ein Bär"])
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == config
    assert isinstance(config.schedules["1:1"], ScaleSchedule)


@given(
    st.fixed_dictionaries(
        {
            "steps": st.integers(1, 10**6),
            "learning_rate": st.floats(1e-9, 1.0),
            "betas": st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2),
            "clip": st.none() | st.floats(0.1, 100),
            "dtype": st.sampled_from(["float32", "bfloat16", "float16"]),
        }
    ),
    st.integers(0, 2**40),
    st.lists(st.text(max_size=20), max_size=3),
)
def test_any_configuration_reads_back_equal(optimization, seed, prompts):
    config = load_config(
        overrides=TINY
        | {"optimization": optimization, "seed": seed, "logging": {"sample_prompts": prompts}}
    )
    assert load_config(overrides=json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_complete_and_reads_back_equal(name, tmp_path):
    config = load_config(None, ["--preset", name, "--output", "out"])
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == config


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resolution", STAGES)
def test_presets_are_the_papers_sizes_and_recipe(size, resolution):
    config = load_config(None, ["--preset", f"{size}-{resolution}", "--output", "out"])
    assert config.model == MODEL_SPECS[f"infinity-{size}"].transformer
    assert tuple(config.schedules) == ASPECT_RATIOS
    assert config.image_size("1:1") == (int(resolution), int(resolution))
    steps, batch, rate = {
        "256": (150_000, 4096, 6e-5), "512": (110_000, 4096, 6e-5), "1024": (60_000, 2048, 2e-5),
    }[resolution]  # fmt: skip
    optimization = config.optimization
    assert (optimization.steps, optimization.batch_size) == (steps, batch)
    assert optimization.learning_rate == rate


def test_preset_yields_to_every_setting_given():
    config = load_config(
        overrides={"preset": "2b-512", "output": "out", "model": {"depth": 4}, "seed": 3}
    )
    assert (config.transformer.depth, config.transformer.width, config.seed) == (4, 2048, 3)


def test_resolution_replaces_schedules_and_the_other_way_round():
    one = load_config(None, ["--preset", "default", "--output", "o"])
    assert one.data.resolution is None
    assert tuple(one.schedules) == ("1:1",)
    two = load_config(
        overrides={"preset": "2b-256", "output": "o", "data": {"schedules": {"1:1": [[1, 1]]}}}
    )
    assert two.data.resolution is None
    assert two.schedules == {"1:1": ScaleSchedule([(1, 1)])}


def test_starting_model_settles_shapes_text_schedules_and_sampling(tmp_path):
    folder = tiny_folder(tmp_path / "model")
    words = ["--start_from", str(folder), "--output", "o", "--optimization.steps", "5"]
    config = load_config(None, words)
    assert config.transformer.depth == 3
    assert config.tokenizer.model.bits == 8
    assert config.text_encoder.source == str(folder / "text_encoder")
    assert tuple(config.schedules) == ("1:1", "3:2", "2:3")
    assert config.sampling.guidance == 3.0


def test_saved_configuration_needs_no_starting_model(tmp_path):
    folder = tiny_folder(tmp_path / "model")
    words = ["--start_from", str(folder), "--output", "o", "--optimization.steps", "5"]
    config = load_config(None, words)
    save_config(config, tmp_path / "config.json")
    folder.rename(tmp_path / "elsewhere")
    assert load_config(tmp_path / "config.json") == config


def test_tokenizer_weights_settle_the_tokenizer(tmp_path):
    folder = tiny_folder(tmp_path / "model")
    config = load_config(overrides=TINY | {"tokenizer": {"weights": str(folder)}})
    assert config.tokenizer.model.base_channels == 64


UNKNOWN = [
    ({"model": {"dept": 3}}, "model.dept is not a setting; did you mean model.depth?"),
    ({"optimisation": {"steps": 3}}, "did you mean optimization?"),
    ({"optimization": {"lr": 1}}, "did you mean optimization.learning_rate?"),
    ({"resolution": "256"}, "did you mean data.resolution?"),
    ({"data": {"resolution": "510"}}, "did you mean 512?"),
    ({"task": "tokeniser"}, "did you mean tokenizer?"),
    ({"optimization": {"schedule": "cosine"}}, "did you mean 'cos'?"),
    ({"model": {"rope": "nearst"}}, "did you mean nearest?"),
    ({"preset": "2b-255"}, "did you mean '2b-256'?"),
    ({"data": {"crop": True}}, "did you mean data.random_crops?"),
    ({"data": {"rope": "nearest"}}, "did you mean model.rope?"),
    ({"data": {"drop": 1}}, "data.drop is not a setting; see --help."),
    ({"model": {"heads": 4}}, "did you mean model.num_heads?"),
    ({"optimization": {"ac": 4}}, "did you mean optimization.micro_batch_size?"),
    ({"tau": 1}, "did you mean sampling.temperature?"),
    ({"vae": "x"}, "did you mean tokenizer.weights?"),
]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "--data.sources p --start_from default --output o",
            "optimization.steps is missing; say how",
        ),
        ("--preset 125m-256", "output is missing; name the run's folder, such as runs/mine."),
        ("--output o --optimization.steps 9", "tokenizer.model is missing; name a preset, a model"),
    ],
)
def test_what_is_missing_is_named_with_an_example(words, sentence):
    with pytest.raises(SettingsError) as raised:
        load_config(None, words.split())
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(("change", "hint"), UNKNOWN)
def test_unknown_setting_names_the_nearest(change, hint):
    with pytest.raises(SettingsError) as raised:
        load_config(overrides=_deep(TINY, change))
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--data.resolutoin", "256"], "did you mean data.resolution?"),
        (["--lr", "1"], "did you mean optimization.learning_rate?"),
        (["--pn", "1M"], "did you mean data.resolution?"),
        (["--optimization.steps"], "--optimization.steps needs a value"),
        (["steps", "3"], "follows no setting"),
        (["--seed", "1", "2"], "--seed takes one value, not 2"),
    ],
)
def test_wrong_command_line_is_a_sentence(words, hint):
    with pytest.raises(SettingsError) as raised:
        parse(words)
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("a.yaml", "outptu: o\n", "outptu is not a setting; did you mean output?"),
        ("a.yaml", "output: a\nseed: 1\nseed: 2\n", "seed is written twice"),
        ("a.yaml", "data:\n  split: a\n  split: b\n", "split is written twice"),
        ("a.json", '{"output": "a", "output": "b"}', "output is written twice"),
    ],
)
def test_file_with_a_slip_names_it(tmp_path, name, text, hint):
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=re.escape(hint)):
        load_config(tmp_path / name, overrides={"preset": "125m-256"})


def test_other_names_lead_to_settings_that_exist():
    assert set(OTHER_NAMES.values()) <= set(setting_types())


CONTRADICTIONS = [
    ({"model": {"bits_per_token": 16}}, "set model.bits_per_token to 8"),
    ({"model": {"bits_per_token": 32}}, "or tokenizer.model.patchify to true"),
    ({"tokenizer": {"model": {"patchify": True}}}, "or tokenizer.model.patchify to false"),
    ({"model": {"width": 65}}, "the nearest is 64"),
    ({"model": {"num_heads": 5}}, "the nearest is 60"),
    ({"model": {"text_width": 130}}, "the nearest that does is 5"),
    ({"model": {"max_scales": 1}}, "raise max_scales"),
    ({"text_encoder": {"max_length": 30}}, "lower text_encoder.max_length"),
    ({"text_encoder": {"source": "google/flan-t5-xl"}}, "set model.text_width to 2048"),
    ({"text_encoder": {"train": False}}, "set text_encoder.train to true"),
    ({"data": {"resolution": "256"}}, "exclude each other"),
    ({"data": {"schedules": None}}, "data.resolution is missing"),
    ({"data": {"schedules": {"3:2": [[1, 1], [2, 2]]}}}, "give it the aspect ratio"),
    ({"data": {"schedules": {"1:1": [[2, 2], [1, 1]]}}}, "from coarse to fine"),
    ({"data": {"schedules": {"1:1": "small"}}}, "a list of [height, width]"),
    ({"data": {"schedules": None, "resolution": "256"}}, "tokens of 16 pixels"),
    ({"data": {"aspect_ratios": ["1:1"]}}, "leave it empty"),
    ({"optimization": {"micro_batch_size": 5}}, "the nearest that does is 4"),
    ({"optimization": {"warmup": 300}}, "leaves none of the 300 steps"),
    ({"optimization": {"schedule": "exp"}}, "optimization.end above 0"),
    (
        {"optimization": {"optimizer": "muon"}, "parallel": {"shard": "full"}},
        "set parallel.shard to none",
    ),
    (
        {"optimization": {"optimizer": "muon", "dtype": "float16"}},
        "set optimization.dtype to bfloat16",
    ),
    ({"optimization": {"optimizer": "moun"}}, "optimization.optimizer must be"),
    ({"optimization": {"steps": 0}}, "optimization.steps must be greater than 0"),
    ({"optimization": {"steps": "many"}}, "optimization.steps must be"),
    ({"parallel": {"shard": "hybrid"}}, "parallel.shard_size to the size"),
    ({"parallel": {"shard_size": 2}}, "set parallel.shard to hybrid"),
    ({"logging": {"sample_every": 5}}, "set logging.sample_prompts"),
    ({"lora": {"rank": 4}}, "name it in start_from"),
    ({"tokenizer": {"weights": None}}, "tokenizer.weights is missing"),
    ({"model": None}, "model is missing"),
    ({"tokenizer": {"model": {"bits": 0}}}, "tokenizer.model.bits must be"),
    ({"output": None}, "output must be"),
    (
        {"data": "pictures"},
        "data is a section, not 'pictures'; write settings in it, such as data.",
    ),
    ({"optimization": {"learning_rate": float("inf")}}, "learning_rate must be a finite number"),
    ({"optimization": {"betas": [0.9, 1.0]}}, "optimization.betas.1 must be less than 1"),
    ({"lora": {"targets": []}}, "lora.targets names nothing"),
    (
        {"data": {"schedules": None, "resolution": "256", "aspect_ratios": ["16:10"]}},
        "'16:10' is not known",
    ),
]


@pytest.mark.parametrize(("change", "hint"), CONTRADICTIONS)
def test_contradiction_is_a_sentence_that_says_what_to_do(change, hint):
    with pytest.raises(SettingsError) as raised:
        load_config(overrides=_deep(TINY, change))
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_resolution_with_a_tokenizer_of_eight_pixels_asks_for_patchify():
    change = {"tokenizer": {"model": {"bits": 8, "channel_multipliers": [1, 1, 1, 1]}}}
    data = {"data": {"sources": ["x"], "resolution": "256"}}
    with pytest.raises(SettingsError, match=r"set tokenizer\.model\.patchify to true"):
        load_config(overrides=TINY | change | data)


@pytest.mark.parametrize(
    "lora", [{"text_encoder": {"train": True}}, {"freeze": ["blocks.0.*"]}, {"task": "tokenizer"}]
)
def test_lora_goes_with_a_frozen_rest_only(lora, tmp_path):
    folder = tiny_folder(tmp_path / "model")
    base = {"start_from": str(folder), "output": "o", "optimization": {"steps": 5}, "lora": {}}
    assert load_config(overrides=base).lora is not None
    with pytest.raises(SettingsError, match="lora"):
        load_config(overrides=base | lora)


def test_missing_file_and_other_suffix_are_sentences(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match=r"\.json or \.yaml"):
        load_config(tmp_path / "run.toml")
    (tmp_path / "broken.yaml").write_text("a: [1,\nb: {")
    with pytest.raises(SettingsError) as raised:
        load_config(tmp_path / "broken.yaml")
    assert "\n" not in str(raised.value)


def test_unknown_starting_model_names_the_nearest():
    with pytest.raises(InfinityError, match="did you mean 'infinity-"):
        load_config(None, ["--start_from", "infinity-3b", "--output", "o"])


def test_settings_named_in_the_page_exist():
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    commands = page.replace("\\\n", " ").splitlines()
    words = [w for line in commands if "training.train " in line for w in line.split()]
    named = {w.removeprefix("--") for w in words if w.startswith("--")} - {"help", "help`"}
    assert len(named) > 10
    assert named <= {*setting_types(), "preset", "config"}


def test_presets_named_in_the_page_exist():
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    assert {f"{size}-256" for size in SIZES} <= set(re.findall(r"`([\w.]+-256)`", page))
    assert set(re.findall(r"--preset (\S+)", page)) <= set(PRESETS)


def test_configuration_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_config(overrides=TINY).seed = 3  # type: ignore[misc]


def test_schedules_of_the_page_are_read(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    (text,) = re.findall(r"```yaml\n(tokenizer:.*?)```", page, re.DOTALL)
    (tmp_path / "run.yaml").write_text(text)
    config = load_config(
        tmp_path / "run.yaml",
        overrides={"task": "tokenizer", "output": "o", "optimization": {"steps": 1}},
    )
    assert config.tokenizer.model.token_pixels == 8
    assert [config.image_size(ratio) for ratio in config.schedules] == [(64, 64), (48, 72)]
    tokens = [schedule.total_tokens for schedule in config.schedules.values()]
    assert max(tokens) < 2 * min(tokens)


def test_what_is_held_out_takes_the_place_of_a_presets_share(tmp_path):
    given = {"preset": "default", "output": str(tmp_path), "data": {"held_out_sources": ["other"]}}
    assert load_config(overrides=given).data.held_out == 0
    assert load_config(overrides={**given, "data": {"held_out": 0.2}}).data.held_out == 0.2
