"""Prepared shards train like the pictures they were made from; damage and mismatches are told."""

import json
import logging

import pytest
import torch

import training.data.preparing as preparing
from infinity.errors import ResourceError
from infinity.images import covering, tensor_from_image
from infinity.model.transformer import InfinityTransformer
from infinity.tokenizer.quantizer import encode_scales
from infinity.tokenizer.tokenizer import Tokenizer
from tests.tiny import WordsEncoder
from tests.training.data.make import SCHEDULES, as_folder, as_jsonl, config_for, small_set
from training.data.batches import batches
from training.data.errors import DataError
from training.data.preparing import Recipe, prepare
from training.data.shards import check_shards, read_index
from training.data.source import open_source
from training.steps.transformer_step import TransformerStep

COUNT = 16


@pytest.fixture(scope="module")
def tokenizer():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Tokenizer(config_for("x").tokenizer.model).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "set"
    source = as_folder(folder, small_set(COUNT))
    for path in folder.glob("*.png"):
        path.with_suffix(".short.txt").write_text(f"short {path.stem}")
    return source


def recipe(tokenizer, **changes):
    chosen = {
        "tokenizer": tokenizer,
        "schedules": SCHEDULES,
        "encode_text": lambda text: WordsEncoder().encode(text).features,
        "about_text": {"encoder": "words", "width": 128},
        "shard_samples": 3,
        "batch_size": 2,
        **changes,
    }
    return Recipe(**chosen)


def source_of(folder, tolerance=1.0):
    return open_source(config_for(folder, skip_tolerance=tolerance).data)


@pytest.fixture
def prepared(folder, tokenizer, tmp_path):
    prepare(source_of(folder), recipe(tokenizer), tmp_path / "prepared")
    return tmp_path / "prepared"


@pytest.mark.parametrize("workers", [0, 2])
def test_prepared_batches_equal_those_of_the_pictures(prepared, folder, tokenizer, workers):
    settings = {"short_caption_probability": 0.5, "workers": workers}
    from_shards = list(batches(config_for(prepared, **settings)))
    from_pictures = list(batches(config_for(folder, **settings)))
    assert any(caption.startswith("short") for b in from_shards for caption in b.captions)
    for batch, wanted in zip(from_shards, from_pictures, strict=True):
        assert batch.pictures_u8 is None
        assert (batch.keys, batch.captions) == (wanted.keys, wanted.captions)
        assert batch.aspect_ratio == wanted.aspect_ratio
        schedule = SCHEDULES[batch.aspect_ratio]
        unit = wanted.pictures_u8.float() / 255
        features = tokenizer.features(unit + unit - 1)
        torch.testing.assert_close(batch.latents, features, rtol=1e-4, atol=1e-5)
        encoded = encode_scales(batch.latents, tokenizer.config, schedule)
        assert all(map(torch.equal, batch.bits, encoded.bits))
        for text, caption in zip(batch.features, wanted.captions, strict=True):
            assert torch.equal(text, WordsEncoder().encode(caption).features)


def test_bits_are_those_of_one_picture_at_a_time(prepared, tokenizer):
    pictures = {f"{name}.png": picture for name, picture, _ in small_set(COUNT)}
    batch = next(batches(config_for(prepared)))
    schedule = SCHEDULES[batch.aspect_ratio]
    size = schedule.image_size(8)
    for number, key in enumerate(batch.keys):
        pixels = tensor_from_image(covering(pictures[key], *size))[None]
        bits = tokenizer.encode(pixels, schedule).bits
        for scale, wanted in zip(batch.bits, bits, strict=True):
            assert (scale[number] == wanted[0]).float().mean() > 0.99


def test_slices_cut_every_part(prepared):
    batch = next(batches(config_for(prepared)))
    part = batch.slice(1, 3)
    assert len(part) == 2
    assert torch.equal(part.latents, batch.latents[1:3])
    assert all(torch.equal(a, b[1:3]) for a, b in zip(part.bits, batch.bits, strict=True))
    assert part.features[0] is batch.features[1]


def test_parts_that_were_left_out_are_none(folder, tokenizer, tmp_path):
    small = recipe(tokenizer, latents=False, encode_text=None, about_text=None)
    prepare(source_of(folder), small, tmp_path / "small")
    batch = next(batches(config_for(tmp_path / "small")))
    assert batch.latents is None
    assert batch.features is None
    assert batch.bits is not None
    assert batch.captions


def test_text_features_are_left_out_where_the_encoder_is_trained(prepared):
    trained = {"source": "text_encoder", "max_length": 24, "train": True}
    assert next(batches(config_for(prepared, text_encoder=trained))).features is None


def test_killed_preparation_goes_on_where_it_stopped(folder, tokenizer, tmp_path, monkeypatch):
    target = tmp_path / "prepared"
    whole = tmp_path / "whole"
    prepare(source_of(folder), recipe(tokenizer), whole)
    encoded = preparing._encoded
    calls = []

    def killed(*arguments):
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return encoded(*arguments)

    monkeypatch.setattr(preparing, "_encoded", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(source_of(folder), recipe(tokenizer), target)
    monkeypatch.undo()
    done = len(read_index(target).shards)
    assert 0 < done < len(read_index(whole).shards)
    with pytest.raises(DataError, match="not prepared to the end"):
        next(batches(config_for(target)))
    before = {path.name: path.stat().st_mtime_ns for path in target.glob("*.safetensors")}
    prepare(source_of(folder), recipe(tokenizer), target)
    assert read_index(target).shards == read_index(whole).shards
    kept = [n for n, time in before.items() if (target / n).stat().st_mtime_ns == time]
    assert len(kept) >= done


def test_damaged_shard_is_made_again(prepared, folder, tokenizer, caplog):
    index = read_index(prepared)
    path = prepared / index.shards[0].file
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="its checksum does not match"):
        check_shards(prepared, index, sums=True)
    with caplog.at_level(logging.WARNING):
        prepare(source_of(folder), recipe(tokenizer), prepared)
    assert "is prepared again" in caplog.text
    check_shards(prepared, read_index(prepared), sums=True)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is cut or damaged"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_cut_and_missing_shards_are_told_before_training(prepared, damage, sentence):
    damage(prepared / read_index(prepared).shards[-1].file)
    with pytest.raises(DataError, match=sentence):
        batches(config_for(prepared))


def test_shard_that_lies_about_its_content_is_a_sentence(prepared):
    path = prepared / read_index(prepared).shards[0].file
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(DataError, match=r"cannot be read .*prepare the data again"):
        list(batches(config_for(prepared, workers=1)))


@pytest.mark.parametrize("content", ["", "{}", '{"format": "infinity-prepared-1"}', "[" * 9999])
def test_broken_index_is_a_sentence(prepared, content):
    (prepared / "index.json").write_text(content)
    with pytest.raises(DataError, match="is not an index of prepared data"):
        batches(config_for(prepared, format="prepared"))


def test_index_cannot_lead_outside(prepared):
    path = prepared / "index.json"
    content = json.loads(path.read_text())
    content["shards"][0]["file"] = "../other.safetensors"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="outside of its folder"):
        batches(config_for(prepared))


def test_other_settings_do_not_mix_in_one_folder(prepared, folder, tokenizer):
    with pytest.raises(DataError, match=r"other settings \(latents\)"):
        prepare(source_of(folder), recipe(tokenizer, latents=False), prepared)


def test_other_data_does_not_mix_in_one_folder(prepared, tokenizer, tmp_path):
    other = as_jsonl(tmp_path / "other", small_set(COUNT))
    with pytest.raises(DataError, match="records_sha256"):
        prepare(source_of(other), recipe(tokenizer), prepared)


@pytest.mark.parametrize("change", [{"horizontal_flips": 0.5}, {"random_crops": True}])
def test_prepared_data_is_not_changed_in_silence(prepared, change):
    with pytest.raises(DataError, match=f"turn data.{next(iter(change))} off"):
        next(batches(config_for(prepared, **change)))


def test_data_prepared_for_another_model_is_refused(prepared):
    changed = {"1:1": [[1, 1], [4, 4]], "3:2": SCHEDULES["3:2"], "2:3": SCHEDULES["2:3"]}
    with pytest.raises(DataError, match="other scales of 1:1"):
        batches(config_for(prepared, schedules=changed))
    with pytest.raises(DataError, match="aspect ratios that are not trained"):
        batches(config_for(prepared, schedules={"1:1": SCHEDULES["1:1"]}))
    config = config_for(prepared)
    model = config.tokenizer.model_copy(
        update={"model": type(config.tokenizer.model).from_dict({"bits": 8})}
    )
    with pytest.raises(DataError, match="another tokenizer"):
        batches(config.model_copy(update={"tokenizer": model}))


def test_broken_pictures_are_left_out_and_counted(tokenizer, tmp_path):
    folder = tmp_path / "set"
    as_folder(folder, small_set(COUNT))
    for path in sorted(folder.glob("*.png"))[:5]:
        path.write_bytes(path.read_bytes()[:-200])
    report = prepare(source_of(folder), recipe(tokenizer), tmp_path / "prepared")
    assert report.counts == {"broken picture": 5}
    index = read_index(tmp_path / "prepared")
    assert sum(shard.samples for shard in index.shards) == COUNT - 5
    assert len(list(batches(config_for(tmp_path / "prepared")))) == 8


def test_full_disk_is_a_sentence_and_keeps_what_was_written(
    folder, tokenizer, tmp_path, monkeypatch
):
    target = tmp_path / "prepared"
    saved = preparing.save_file
    calls = []

    def full(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        saved(*arguments)

    monkeypatch.setattr(preparing, "save_file", full)
    with pytest.raises(ResourceError, match=r"No space left on device.*stays valid"):
        prepare(source_of(folder), recipe(tokenizer), target)
    assert len(read_index(target).shards) == 2
    check_shards(target, read_index(target), sums=True)


def test_folder_with_other_weights_is_left_alone(folder, tokenizer, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(DataError, match="holds other weights"):
        prepare(source_of(folder), recipe(tokenizer), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"precious"


class _Words(torch.nn.Module):
    """Stands in for the frozen text encoder of a training step."""

    trained = False

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Module()

    def forward(self, captions):
        return [WordsEncoder().encode(caption).features for caption in captions]


def test_losses_from_shards_equal_those_from_pictures(prepared, folder, tokenizer):
    """Through the real training step, with self-correction and text dropout on."""
    losses = []
    for source in (prepared, folder):
        config = config_for(source)
        transformer = InfinityTransformer(config.transformer)
        transformer.init_weights(torch.Generator().manual_seed(0))
        step = TransformerStep(config, transformer, tokenizer, _Words())
        losses.append(
            [
                step.loss(
                    "model",
                    batch,
                    [torch.Generator().manual_seed(place) for place in batch.positions],
                    batch.step,
                ).loss.item()
                for batch in batches(config)
            ]
        )
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert len(set(losses[0])) == 8
