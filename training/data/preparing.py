"""Computing tokenizer bits and text features once, into shards that training reads at once.

Every shard covers a fixed run of records, is written beside its final name and renamed, and is then
named in the index. A killed run continues at the first shard the index does not name.

Legend: B samples, H W pixels, T W a text.
"""

import hashlib
import logging
from collections import Counter
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

from infinity.errors import RequestError, ResourceError
from infinity.images import preprocess
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import encode_scales
from infinity.tokenizer.tokenizer import Tokenizer
from training.data.captions import fixed
from training.data.errors import DataError
from training.data.records import Prepared, Record, Skip, skip_of
from training.data.report import SkipReport
from training.data.shards import (
    FORMAT,
    INDEX_FILE,
    Index,
    Shard,
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
        text = None if self.about_text is None else dict(self.about_text)
        return {
            "tokenizer": config,
            "tokenizer_sha256": _weights_sum(self.tokenizer),
            "schedules": {ratio: each.to_dict() for ratio, each in self.schedules.items()},
            "text": text and {**text, "dtype": str(self.text_dtype).removeprefix("torch.")},
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
    if source.repeats is not None:
        logger.warning(
            "prepared data holds every picture once; how often folders say that it comes up is not kept"
        )
    report = SkipReport()
    try:
        index = _begin(source, recipe, folder)
        shards = list(_shards(source, recipe))
        done = {shard.file: shard for shard in index.shards}
        with tqdm(total=len(source), desc="preparing", unit=" records") as bar:
            for shard in shards:
                if shard.file not in done:
                    done[shard.file], skips = _write_shard(source, recipe, folder, shard)
                    report.add(shard.stop - shard.first, skips)
                    skipped = Counter(index.skipped) + Counter(skip.reason for skip in skips)
                    index = replace(index, shards=tuple(done.values()), skipped=dict(skipped))
                    index.write(folder)
                bar.update(shard.stop - shard.first)
        filled = tuple(done[shard.file] for shard in shards if done[shard.file].samples)
        replace(index, complete=True, shards=filled).write(folder)
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
        if any(path.suffix == ".safetensors" for path in folder.iterdir()):
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
    whole = []
    for shard in index.shards:
        path = folder / shard.file
        if path.is_file() and file_sha256(path) == shard.sha256:
            whole.append(shard)
        else:
            logger.warning("%s is missing or damaged and is prepared again", path)
    return replace(index, shards=tuple(whole), complete=False)


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
    records = [replace(record, captions=fixed(record.captions)) for record in records]
    samples: list[tuple[Record, Prepared]] = []
    skips: list[Skip] = []
    for start in range(0, len(records), recipe.batch_size):
        part = records[start : start + recipe.batch_size]
        encoded, broken = _encoded(part, recipe, recipe.schedules[shard.aspect_ratio])
        samples += encoded
        skips += broken
    if not samples:
        return shard, skips
    path = folder / shard.file
    draft = path.with_suffix(".writing")
    save_file(packed_shard(samples), draft)
    draft.chmod(0o644)
    draft.replace(path)
    size = path.stat().st_size
    written = replace(shard, sha256=file_sha256(path), bytes=size, samples=len(samples))
    return written, skips


def _encoded(
    records: list[Record], recipe: Recipe, schedule: ScaleSchedule
) -> tuple[list[tuple[Record, Prepared]], list[Skip]]:
    size = schedule.image_size(recipe.tokenizer.config.token_pixels)
    with ThreadPoolExecutor() as pool:
        loaded = list(pool.map(lambda record: _pixels(record, size), records))
    skips = [item for item in loaded if isinstance(item, Skip)]
    usable = [
        (record, item)
        for record, item in zip(records, loaded, strict=True)
        if not isinstance(item, Skip)
    ]
    if not usable:
        return [], skips
    with torch.no_grad():
        latents_Bdyx = recipe.tokenizer.features(torch.stack([pixels for _, pixels in usable]))
        labels_BLD = encode_scales(latents_Bdyx, recipe.tokenizer.config, schedule).labels_BLD
    samples = [
        (
            record,
            Prepared(
                bits=labels_BLD[number].cpu(),
                latent_dyx=latents_Bdyx[number].cpu() if recipe.latents else None,
                texts=_texts(record, recipe),
            ),
        )
        for number, (record, _) in enumerate(usable)
    ]
    return samples, skips


def _pixels(record: Record, size: tuple[int, int]) -> Tensor | Skip:
    """(3, H, W) float32 in [-1, 1]."""
    if record.load is None:
        raise DataError("The data is prepared already; train from it.")
    try:
        return preprocess(record.load(), *size)
    except (RequestError, DataError) as error:
        return skip_of(record.key, error)


def _texts(record: Record, recipe: Recipe) -> tuple[Tensor, ...] | None:
    if recipe.encode_text is None:
        return None
    return tuple(recipe.encode_text(text).to(recipe.text_dtype) for text in record.captions.all)


def _weights_sum(tokenizer: Tokenizer) -> str:
    """Tells tokenizers of the same shape apart."""
    digest = hashlib.sha256()
    for parameter in tokenizer.encoder.parameters():
        digest.update(parameter.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()
