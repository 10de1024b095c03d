"""Prepared data: tokenizer bits, continuous features and text features in safetensors shards.

Shards are memory-mapped and read a row at a time; ``index.json`` names them with their checksums.

Legend: N samples of a shard, L tokens of all scales, D bits a token, d y x the latent, T W a text.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from infinity.schedule import ScaleSchedule
from training.config.settings import TrainingConfig
from training.data.captions import Captions
from training.data.errors import DataError, SkipReport
from training.data.records import Record

INDEX_FILE = "index.json"
FORMAT = "infinity-prepared-1"
_OPEN_SHARDS = 64


class Shard(BaseModel, frozen=True):
    """One file: ``samples`` of records ``first`` to ``stop`` of a bucket (skipped ones left out)."""

    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    aspect_ratio: str
    first: int
    stop: int
    sha256: str = ""
    bytes: int = 0
    samples: int = 0


class Index(BaseModel, frozen=True):
    """What a prepared folder holds.

    Attributes:
        recipe: what it was made from and with: "tokenizer" (its settings), "tokenizer_sha256",
            "schedules", "text" (width and the encoder's name, or None), and the source.
        complete: False until the last shard is written.
    """

    format: Annotated[str, Field(pattern=f"^{FORMAT}$")]
    recipe: dict[str, Any]
    shards: tuple[Shard, ...] = ()
    complete: bool = False

    def write(self, folder: Path) -> None:
        draft = folder / f"{INDEX_FILE}.writing"
        draft.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        draft.replace(folder / INDEX_FILE)

    @property
    def schedules(self) -> dict[str, ScaleSchedule]:
        return {r: ScaleSchedule.from_dict(s) for r, s in self.recipe["schedules"].items()}


def is_prepared(folder: Path) -> bool:
    """Whether ``folder`` holds prepared data, finished or not."""
    path = folder / INDEX_FILE
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return FORMAT in file.read(200)


def read_index(folder: Path) -> Index:
    """The index of a prepared folder.

    Raises:
        DataError: it is missing or damaged, or names files outside of its folder.
    """
    path = folder / INDEX_FILE
    try:
        return Index.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{path} is not an index of prepared data of this version, or names files outside of its "
            "folder; prepare the data again."
        ) from error


def damage(folder: Path, shard: Shard, *, sums: bool) -> str:
    """How a shard is not as it was written, by its length (with ``sums`` its content); "" where it is."""
    path = folder / shard.file
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != shard.bytes:
        return f"is cut or damaged: it has {size} bytes instead of {shard.bytes}"
    if sums and file_sha256(path) != shard.sha256:
        return "is damaged: its checksum does not match"
    return ""


def check_shards(folder: Path, index: Index, *, sums: bool = False) -> None:
    """Raises DataError for the first shard with some :func:`damage`."""
    for shard in index.shards:
        if what := damage(folder, shard, sums=sums):
            raise _damaged(folder / shard.file, what)


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; copy it again, or delete it and prepare the data again.")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packed_shard(samples: Sequence[Record]) -> dict[str, Tensor]:
    """The tensors of a shard; all samples have one aspect ratio and the same parts."""
    records = [
        json.dumps(
            {name: vars(record)[name] for name in ("key", "height", "width")}
            | {name: vars(record.captions)[name] for name in ("long", "short")}
        ).encode()
        for record in samples
    ]
    bits = torch.stack([record.bits for record in samples if record.bits is not None])
    tensors = {
        "bits": torch.from_numpy(np.packbits(bits.numpy(), axis=-1)),
        "records": torch.frombuffer(bytearray(b"".join(records)), dtype=torch.uint8),
        "record_ends": _ends(map(len, records)),
    }
    latents = [record.latent_dyx for record in samples if record.latent_dyx is not None]
    if latents:
        tensors["latents"] = torch.stack(latents)
    texts = [record.texts or () for record in samples]
    if every := [text for each in texts for text in each]:
        tensors["texts"] = torch.cat(every)
        tensors["text_ends"] = _ends(map(len, every))
        tensors["caption_ends"] = _ends(map(len, texts))
    return tensors


def _ends(counts: Iterable[int]) -> Tensor:
    return torch.tensor(list(counts), dtype=torch.int64).cumsum(0)


class PreparedSource:
    """Samples of a prepared folder.

    Attributes:
        report: of the samples, all of which can be used.
        repeats: (samples,) int32 ones: each comes up once in a pass.

    Raises:
        DataError: unfinished, damaged or incomplete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = read_index(folder)
        if not self.index.complete:
            raise DataError(
                f"{folder} is not prepared to the end; run the same command as before to finish it."
            )
        check_shards(folder, self.index)
        self._counts = [shard.samples for shard in self.index.shards]
        self._ends = np.cumsum(self._counts, dtype=np.int64)
        self.report = SkipReport(len(self))
        self.repeats = np.ones(len(self), np.int32)

    def __len__(self) -> int:
        return sum(self._counts)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("".join(s.sha256 for s in self.index.shards).encode()).hexdigest()

    def aspect_ratios(self, _: Mapping[str, float]) -> np.ndarray:
        """(samples,) names of those they were prepared for."""
        return np.repeat([shard.aspect_ratio for shard in self.index.shards], self._counts)

    def check(self, config: TrainingConfig) -> None:
        """Raises DataError where the data was prepared for another model, or is to be changed."""
        for name in ("horizontal_flips", "random_crops"):
            if getattr(config.data, name):
                raise DataError(
                    f"{self.folder} is prepared, and what is prepared is not cut or mirrored anew; turn "
                    f"data.{name} off, or train from the pictures."
                )
        recipe, schedules, model = self.index.recipe, self.index.schedules, config.model
        wanted = {**schedules, **config.schedules}
        others = [f"other scales of {r}" for r, each in schedules.items() if wanted[r] != each]
        if recipe["tokenizer"] != json.loads(json.dumps(config.tokenizer.model.to_dict())):
            others.append("another tokenizer")
        text = None if config.text_encoder.train else recipe["text"]
        if text is not None and model is not None and text["width"] != model.text_width:
            others.append(f"text of width {text['width']}, not {model.text_width}")
        if others:
            raise DataError(
                f"{self.folder} was prepared for {', '.join(others)}; prepare it again for this run."
            )

    def record(self, index: int) -> Record:
        number = int(np.searchsorted(self._ends, index, side="right"))
        row = index - int(self._ends[number]) + self._counts[number]
        path = self.folder / self.index.shards[number].file
        tokenizer = self.index.recipe["tokenizer"]
        bits_per_token = tokenizer["bits"] * (4 if tokenizer["patchify"] else 1)
        try:
            file, names = _open(path)
            packed = file.get_slice("bits")[row].numpy()
            bits = np.unpackbits(packed, axis=-1, count=bits_per_token).astype(bool)
            latent = file.get_slice("latents")[row] if "latents" in names else None
            texts = None
            if "texts" in names:
                captions = range(*_span(file, "caption_ends", row))
                spans = [slice(*_span(file, "text_ends", caption)) for caption in captions]
                texts = tuple(file.get_slice("texts")[span].float() for span in spans)
            about = file.get_slice("records")[slice(*_span(file, "record_ends", row))]
            about = json.loads(bytes(about.numpy()))
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise _damaged(path, f"cannot be read ({error})") from error
        captions = Captions(long=tuple(about.pop("long")), short=tuple(about.pop("short")))
        labels = torch.from_numpy(bits)
        return Record(**about, captions=captions, bits=labels, latent_dyx=latent, texts=texts)


def _span(file: Any, name: str, number: int) -> tuple[int, int]:
    ends = file.get_slice(name)
    return int(ends[number - 1 : number][0]) if number else 0, int(ends[number : number + 1][0])


@lru_cache(maxsize=_OPEN_SHARDS)
def _open(path: Path) -> tuple[Any, frozenset[str]]:
    """A shard, mapped into memory, and the names in it."""
    file: Any = safe_open(path, framework="pt").__enter__()
    return file, frozenset(file.keys())
