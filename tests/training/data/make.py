"""One small set of pictures with captions, written in every format there is."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from infinity.schedule import ScaleSchedule
from training.config import TrainingConfig, load_config

SIZES = [(48, 48), (40, 60), (64, 40), (50, 50), (33, 47), (70, 44), (48, 50), (30, 45)] * 2
"""(height, width) of the pictures of the small set."""

SCHEDULES: dict[str, ScaleSchedule] = {
    "1:1": ScaleSchedule([(1, 1), (2, 2), (4, 4)]),
    "3:2": ScaleSchedule([(1, 1), (2, 3), (4, 6)]),
    "2:3": ScaleSchedule([(1, 1), (3, 2), (6, 4)]),
}

Sample = tuple[str, Image.Image, str]
"""Name, picture, caption."""


def small_set(count: int = len(SIZES)) -> list[Sample]:
    """Pictures of noise, sorted by name, each with its own caption."""
    random = np.random.default_rng(0)
    return [
        (
            f"{number:04}",
            Image.fromarray(random.integers(0, 256, (*SIZES[number % len(SIZES)], 3), np.uint8)),
            f"picture number {number:04} of noise",
        )
        for number in range(count)
    ]


def config_for(*sources: str | Path, **settings: Any) -> TrainingConfig:
    """A tiny run on these sources; keyword arguments are data settings or run settings."""
    run = {key: settings.pop(key) for key in ("seed", "task", "text_encoder") if key in settings}
    optimization = {key: settings.pop(key) for key in ("batch_size", "steps") if key in settings}
    data = {
        "sources": [str(source) for source in sources],
        "schedules": SCHEDULES,
        "workers": 0,
        **settings,
    }
    return load_config(
        overrides={
            "output": "runs/test",
            "model": {
                "depth": 2,
                "width": 64,
                "num_heads": 2,
                "bits_per_token": 8,
                "text_width": 128,
                "text_max_length": 24,
            },
            "tokenizer": {
                "model": {
                    "bits": 8,
                    "base_channels": 64,
                    "channel_multipliers": (1, 1),
                    "num_res_blocks": 1,
                    "stem_patch": 4,
                },
                "weights": "somewhere",
            },
            "optimization": {"steps": 8, "batch_size": 4, **optimization},
            "text_encoder": {"source": "text_encoder", "max_length": 24},
            "data": data,
            **run,
        }
    )


def write_pictures(folder: Path, samples: list[Sample]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture, _ in samples:
        picture.save(folder / f"{name}.png")


def as_folder(folder: Path, samples: list[Sample]) -> str:
    write_pictures(folder, samples)
    for name, _, caption in samples:
        (folder / f"{name}.txt").write_text(caption + "\n")
    return str(folder)


def as_named_folders(folder: Path, samples: list[Sample]) -> str:
    for name, picture, caption in samples:
        write_pictures(folder / caption.replace(" ", "_"), [(name, picture, caption)])
    return str(folder)


def as_json(folder: Path, samples: list[Sample]) -> str:
    write_pictures(folder / "images", samples)
    records = [{"image": f"images/{n}.png", "caption": caption} for n, _, caption in samples]
    (folder / "data.json").write_text(json.dumps(records))
    return str(folder / "data.json")


def as_jsonl(folder: Path, samples: list[Sample]) -> str:
    write_pictures(folder, samples)
    lines = [json.dumps({"file_name": f"{n}.png", "text": caption}) for n, _, caption in samples]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder)


def as_csv(folder: Path, samples: list[Sample]) -> str:
    write_pictures(folder, samples)
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "prompt"])
        rows.writerows((f"{name}.png", caption) for name, _, caption in samples)
    return str(folder / "captions.csv")


def as_coco(folder: Path, samples: list[Sample]) -> str:
    write_pictures(folder / "val2017", samples)
    (folder / "annotations").mkdir(parents=True)
    content = {
        "images": [
            {"id": 7 * number, "file_name": f"{name}.png", "height": p.height, "width": p.width}
            for number, (name, p, _) in enumerate(samples)
        ],
        "annotations": [
            {"id": number, "image_id": 7 * number, "caption": caption}
            for number, (_, _, caption) in reversed(list(enumerate(samples)))
        ],
    }
    (folder / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    return str(folder)


def as_infinity(folder: Path, samples: list[Sample]) -> str:
    write_pictures(folder / "images", samples)
    (folder / "splits").mkdir()
    by_ratio: dict[str, list[str]] = {}
    for name, picture, caption in samples:
        ratio = picture.height / picture.width
        template = min((1.0, 1.5, 0.666), key=lambda known: abs(known - ratio))
        record = {
            "image_path": f"images/{name}.png",
            "h_div_w": ratio,
            "long_caption": caption,
            "long_caption_type": "user_prompt",
            "text": "",
        }
        by_ratio.setdefault(f"{template:.3f}", []).append(json.dumps(record))
    for template, lines in by_ratio.items():
        path = folder / "splits" / f"{template}_{len(lines):09}.jsonl"
        path.write_text("\n".join(lines) + "\n")
    return str(folder / "splits")


def as_webdataset(folder: Path, samples: list[Sample], shards: int = 3) -> str:
    folder.mkdir(parents=True)
    size = -(-len(samples) // shards)
    for number in range(shards):
        with tarfile.open(folder / f"data-{number:03}.tar", "w") as tar:
            for name, picture, caption in samples[number * size : (number + 1) * size]:
                data = io.BytesIO()
                picture.save(data, "PNG")
                add_member(tar, f"{name}.png", data.getvalue())
                add_member(tar, f"{name}.txt", caption.encode())
    return str(folder / f"data-{{000..{shards - 1:03}}}.tar")


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def as_huggingface(folder: Path, samples: list[Sample]) -> str:
    _dataset(samples).save_to_disk(folder)
    return str(folder)


def as_parquet(folder: Path, samples: list[Sample]) -> str:
    (folder / "data").mkdir(parents=True)
    _dataset(samples).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return str(folder)


def _dataset(samples: list[Sample]) -> Any:
    import datasets

    pictures = []
    for _, picture, _ in samples:
        data = io.BytesIO()
        picture.save(data, "PNG")
        pictures.append({"bytes": data.getvalue(), "path": None})
    columns = {"image": pictures, "caption": [caption for _, _, caption in samples]}
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    return datasets.Dataset.from_dict(columns, features=features)


FORMATS: dict[str, Callable[[Path, list[Sample]], str]] = {
    "folder": as_folder,
    "named folders": as_named_folders,
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
    "coco": as_coco,
    "infinity": as_infinity,
    "webdataset": as_webdataset,
    "huggingface": as_huggingface,
    "parquet": as_parquet,
}
