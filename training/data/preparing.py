"""Computing tokenizer bits and text features once, into shards that training reads at once.

Every shard covers a fixed run of records, is written beside its final name and renamed, and is then
named in the index. A killed run continues at the first shard the index does not name.

Legend: B samples, H W pixels, T W a text.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from infinity.errors import ResourceError
from infinity.images import preprocess
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import encode_scales
from infinity.tokenizer.tokenizer import Tokenizer
from training.data.captions import fixed
from training.data.errors import UNREADABLE, DataError, Skip, SkipReport, made_or_skip
from training.data.records import Record
from training.data.shards import (
    FORMAT,
    INDEX_FILE,
    Index,
    Shard,
    damage,
    file_sha256,
    packed_shard,
    read_index,
)
from training.data.source import Source

logger = logging.getLogger(__name__)

SHARD_SAMPLES = 512


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What data is prepared with.

    Args:
        tokenizer: frozen; its encoder runs in float32.
        schedules: aspect ratio -> scales.
        encode_text: caption -> features (T, W) float32; None leaves texts to the training.
        about_text: says which encoder that is, with its "width"; None without one.
        text_dtype: text features are kept in.
        latents: keep the tokenizer's continuous features, which self-correction needs.
        batch_size: pictures the tokenizer encodes at once.
        shard_samples: records a shard covers.
    """

    tokenizer: Tokenizer
    schedules: Mapping[str, ScaleSchedule]
    encode_text: Callable[[str], Tensor] | None = None
    about_text: Mapping[str, Any] | None = None
    text_dtype: torch.dtype = torch.float32
    latents: bool = True
    batch_size: int = 16
    shard_samples: int = SHARD_SAMPLES

    def to_dict(self, source: Source) -> dict[str, Any]:
        """What has to be equal for shards to belong together."""
        config = self.tokenizer.config.to_dict()
        config["channel_multipliers"] = list(config["channel_multipliers"])
        weights = hashlib.sha256()  # tells tokenizers of the same shape apart
        for parameter in self.tokenizer.encoder.parameters():
            weights.update(parameter.detach().float().cpu().contiguous().numpy().data)
        return {
            "tokenizer": config,
            "tokenizer_sha256": weights.hexdigest(),
            "schedules": {ratio: each.to_dict() for ratio, each in self.schedules.items()},
            "text": self.about_text
            and {**self.about_text, "dtype": str(self.text_dtype).removeprefix("torch.")},
            "latents": self.latents,
            "shard_samples": self.shard_samples,
            "records": source.sizes,
            "records_sha256": source.fingerprint,
        }


def prepare(source: Source, recipe: Recipe, folder: Path) -> SkipReport:
    """Writes a prepared folder, or finishes one that the same recipe began.

    Returns:
        what was skipped in the shards written now.

    Raises:
        DataError: the folder holds something else; the source is endless.
        ResourceError: it cannot be written. What was written before stays valid.
    """
    if source.endless:
        raise DataError(
            "The emoji world is endless and drawn as fast as it is read; train from it."
        )
    if "prepared" in source.formats:
        raise DataError("The data is prepared already; train from it.")
    report = SkipReport()
    try:
        index = _begin(source, recipe, folder)
        done = {shard.file: shard for shard in index.shards}
        with tqdm(total=len(source), desc="preparing", unit=" records") as bar:
            for shard in _shards(source, recipe):
                if shard.file not in done:
                    done[shard.file], skips = _write_shard(source, recipe, folder, shard)
                    report.add(shard.stop - shard.first, skips)
                    index = index.model_copy(update={"shards": tuple(done.values())})
                    index.write(folder)
                bar.update(shard.stop - shard.first)
        filled = [done[s.file] for s in _shards(source, recipe) if done[s.file].samples]
        index.model_copy(update={"shards": tuple(filled), "complete": True}).write(folder)
    except (OSError, SafetensorError) as error:
        raise ResourceError(
            f"{folder} cannot be written ({error}); free some space or choose another folder, and "
            "run the same command again: what was written so far stays valid."
        ) from error
    return report


def _begin(source: Source, recipe: Recipe, folder: Path) -> Index:
    """The index to go on with; shards that are not as they were written are left out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = recipe.to_dict(source)
    if not (folder / INDEX_FILE).exists():
        if any(folder.glob("*.safetensors")):
            raise DataError(f"{folder} holds other weights or shards; choose an empty folder.")
        index = Index(format=FORMAT, recipe=about)
        index.write(folder)
        return index
    index = read_index(folder)
    differing = [name for name in about if index.recipe.get(name) != about[name]]
    if differing:
        raise DataError(
            f"{folder} was prepared with other settings ({', '.join(differing)}); choose another "
            "folder, or delete it."
        )
    whole = tuple(shard for shard in index.shards if not damage(folder, shard, sums=True))
    for shard in set(index.shards) - set(whole):
        logger.warning("%s is missing or damaged and is prepared again", folder / shard.file)
    return index.model_copy(update={"shards": whole, "complete": False})


def _shards(source: Source, recipe: Recipe) -> Iterator[Shard]:
    """All shards that are to be written."""
    for ratio, size in source.sizes.items():
        for number, first in enumerate(range(0, size, recipe.shard_samples)):
            yield Shard(
                file=f"{ratio.replace(':', 'x')}-{number:05}.safetensors",
                aspect_ratio=ratio,
                first=first,
                stop=min(first + recipe.shard_samples, size),
            )


def _write_shard(
    source: Source, recipe: Recipe, folder: Path, shard: Shard
) -> tuple[Shard, list[Skip]]:
    members = source.buckets[shard.aspect_ratio][shard.first : shard.stop]
    records = [source.record(int(number)) for number in members]
    size, schedule = recipe.batch_size, recipe.schedules[shard.aspect_ratio]
    encoded = [
        sample
        for start in range(0, len(records), size)
        for sample in _encoded(records[start : start + size], recipe, schedule)
    ]
    skips = [sample for sample in encoded if isinstance(sample, Skip)]
    samples = [sample for sample in encoded if isinstance(sample, Record)]
    if not samples:
        return shard, skips
    path = folder / shard.file
    draft = path.with_suffix(".writing")
    save_file(packed_shard(samples), draft)
    draft.chmod(0o644)
    draft.replace(path)
    about = {"sha256": file_sha256(path), "bytes": path.stat().st_size, "samples": len(samples)}
    return shard.model_copy(update=about), skips


def _encoded(records: list[Record], recipe: Recipe, schedule: ScaleSchedule) -> list[Record | Skip]:
    """The skips of some pictures, and what is made of the others."""
    size = schedule.image_size(recipe.tokenizer.config.token_pixels)

    def pixels_of(record: Record) -> Tensor | Skip:
        load = record.load
        assert load is not None, "prepared data is refused before"
        return made_or_skip(record.key, lambda: preprocess(load(), *size), UNREADABLE)

    with ThreadPoolExecutor() as pool:
        loaded = list(pool.map(pixels_of, records))
    made: list[Record | Skip] = [item for item in loaded if isinstance(item, Skip)]
    pixels = [item for item in loaded if isinstance(item, Tensor)]
    if not pixels:
        return made
    with torch.no_grad():
        latents_Bdyx = recipe.tokenizer.features(torch.stack(pixels))
        labels_BLD = encode_scales(latents_Bdyx, recipe.tokenizer.config, schedule).labels_BLD
    usable = (r for r, item in zip(records, loaded, strict=True) if isinstance(item, Tensor))
    for record, bits, latent in zip(usable, labels_BLD.cpu(), latents_Bdyx.cpu(), strict=True):
        captions, encode, texts = fixed(record.captions), recipe.encode_text, None
        if encode is not None:
            texts = tuple(encode(text).to(recipe.text_dtype) for text in captions.all)
        latent_dyx = latent if recipe.latents else None
        made.append(
            replace(record, captions=captions, bits=bits, latent_dyx=latent_dyx, texts=texts)
        )
    return made
