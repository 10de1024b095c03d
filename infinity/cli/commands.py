"""What each command does with its parsed options. Imported when a command runs: it loads torch."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from infinity.checkpoints.load import convert as convert_checkpoint
from infinity.devices import resolve_device, resolve_dtype
from infinity.errors import CheckpointError, RequestError
from infinity.estimate import weight_bytes
from infinity.events import Done, Preview
from infinity.files import special
from infinity.grid.axes import Axis
from infinity.grid.plan import GridPlan, draw_plan
from infinity.grid.sheet import sheet
from infinity.images import open_image
from infinity.metadata import read_record, save_png, weights_note
from infinity.pipeline import InfinityPipeline
from infinity.presets import presets
from infinity.registry import DEFAULT_MODEL, get_spec, model_names
from infinity.request import GenerationRequest, SamplingParams, chosen_seed

logger = logging.getLogger(__name__)

MOST_FOLDERS = 200


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def generate(options: argparse.Namespace) -> None:
    request = _request(options, options.num_images)
    _check_output(options)
    pipeline = _load(options, options.model)
    done = _draw(pipeline, _preset(options, pipeline, request), options.scales_dir)
    _save(options, done)


def grid(options: argparse.Namespace) -> None:
    _check_output(options)
    plan = GridPlan(
        model=options.model,
        request=_request(options),
        x=Axis.parse(*options.x),
        y=None if options.y is None else Axis.parse(*options.y),
    )
    load = lru_cache(maxsize=1)(lambda model: _load(options, model))
    if options.preset is not None:
        plan = replace(plan, request=_preset(options, load(plan.model), plan.request))
    if {cell.model for cell in plan.cells()} == {plan.model}:
        plan.check(lambda model: load(model).spec)
    rows, columns = plan.shape
    pictures: dict[tuple[int, int], Image.Image] = {}
    with _bar(desc="Drawing", total=rows * columns, unit="picture") as bar:
        for cell, event in draw_plan(plan, load, threading.Event()):
            if isinstance(event, Done):
                pictures[cell.row, cell.column] = event.images[0]
                bar.update()
    said = f"seed {plan.request.seed}, {columns} x {rows} pictures"
    _write(options, sheet(plan, pictures), said)


def replay(options: argparse.Namespace) -> None:
    _check_output(options)
    original, record = open_image(options.picture), read_record(options.picture)
    options.dtype = options.dtype or record.dtype or None
    here = os.cpu_count() or 1
    if options.threads is None and 0 < record.threads <= here:
        torch.set_num_threads(record.threads)
    elif options.threads is None and record.threads:
        logger.warning(
            "the picture was drawn with %d threads; this machine has %d", record.threads, here
        )
    if options.model is None and record.model not in model_names():
        raise RequestError(
            f"The picture was made with a model called {record.model!r}, which is none of the known "
            "ones; say where it is with --model FOLDER."
        )
    pipeline = _load(options, options.model or record.model)
    if note := weights_note(record.weights, pipeline.fingerprint):
        _say(note)
    done = _draw(pipeline, record.request, None)
    _save(options, done)
    (image,) = done.images
    if image.size != original.size:
        _say("The replayed picture has another size: this is not the model it was made with.")
        return
    different = np.asarray(image.convert("RGB")) != np.asarray(original.convert("RGB"))
    if changed := int(different.any(axis=-1).sum()):
        made = ", ".join(f"{key} {value}" for key, value in record.versions.items())
        _say(
            f"{changed} pixels differ from the original, which was made on {record.device} in "
            f"{record.dtype} with {record.threads} threads ({made})."
        )
    else:
        _say("The pixels are the same as the original's.")


def reconstruct(options: argparse.Namespace) -> None:
    _check_output(options)
    image = open_image(options.picture)
    pipeline = _load(options, options.model)
    result = pipeline.reconstruct(image, options.aspect_ratio)
    bits = sum(scale.size for scale in result.bits)
    said = f"{len(result.bits)} scales, {bits:,} bits, {result.psnr:.1f} dB"
    _write(options, result.image, f"aspect ratio {result.aspect_ratio}, {said}")


def convert(options: argparse.Namespace) -> None:
    dtype = resolve_dtype(options.dtype, resolve_device("cpu")) if options.dtype else None
    with _progress("Converting") as progress:
        spec = convert_checkpoint(
            options.upstream,
            options.output,
            tokenizer=options.tokenizer,
            dtype=dtype,
            ema=options.ema,
            progress=progress,
        )
    _say(f"{options.output}: {spec.title}")


def models(options: argparse.Namespace) -> None:
    rows = [("NAME", "PARAMETERS", "PICTURE", "ASPECT RATIOS", "WEIGHTS")]
    for name in model_names():
        try:
            spec = get_spec(name)
        except CheckpointError as error:
            rows.append((name, "-", "-", "-", f"missing: {error}"))
            continue
        ratios = spec.aspect_ratios
        height, width = spec.image_size(ratios[0])
        weights = "in this repository" if name == DEFAULT_MODEL else "none, configuration only"
        if spec.hub is not None:
            weights = f"downloaded from {spec.hub.repository}"
        several = f"{len(ratios)}, {ratios[0]} to {ratios[-1]}"
        shown = several if len(ratios) > 3 else " ".join(ratios)
        count = sum(weight_bytes(spec.transformer, spec.tokenizer, torch.float32)) // 4
        size = f"{count / 1e9:.1f}B" if count >= 10**9 else f"{count / 1e6:.0f}M"
        rows.append((name, size, f"{width}x{height}", shown, weights))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for *cells, last in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        _say("  ".join((*padded, last)))


# What the commands share


def _request(options: argparse.Namespace, num_images: int = 1) -> GenerationRequest:
    names = [field.name for field in fields(SamplingParams)]
    names += ["prompt", "negative_prompt", "aspect_ratio"]
    given = {name: getattr(options, name) for name in names}
    return GenerationRequest(**given, seed=chosen_seed(options.seed), num_images=num_images)


def _preset(
    options: argparse.Namespace, pipeline: InfinityPipeline, request: GenerationRequest
) -> GenerationRequest:
    """The request with the gaps filled from the preset, where one is named."""
    if options.preset is None:
        return request
    return request.resolved(presets(pipeline.spec, request.aspect_ratio)[options.preset].sampling)


def _load(options: argparse.Namespace, model: str) -> InfinityPipeline:
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with _progress("Loading") as progress:
        return InfinityPipeline.from_pretrained(
            model, options.device, options.dtype, progress, adapter=options.adapter
        )


_bar = partial(tqdm, leave=False, disable=None)


@contextmanager
def _progress(description: str) -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal, fed with what is being done and the part done."""
    with _bar(desc=description, total=1.0, bar_format="{desc} {percentage:3.0f}% |{bar}|") as bar:

        def progress(what: str, fraction: float) -> None:
            bar.set_description(what, refresh=False)
            bar.update(fraction - bar.n)

        yield progress


def _draw(pipeline: InfinityPipeline, request: GenerationRequest, folder: Path | None) -> Done:
    """Draw with a progress bar; with a folder, save every scale's full-size preview there."""
    total = pipeline.spec.schedule(request.aspect_ratio).total_tokens
    done: Done | None = None
    with _bar(desc="Drawing", total=total, unit="token") as bar:
        for event in pipeline.stream(request, previews="full" if folder else "off"):
            if isinstance(event, Done):
                done = event
            elif isinstance(event, Preview):
                bar.update(event.height * event.width)
                for seed, image in zip(request.seeds, event.images or (), strict=False):
                    if folder is not None:
                        several = f"-{seed}" if request.num_images > 1 else ""
                        save_png(image, folder / f"scale-{event.index + 1:02d}{several}.png")
    assert done is not None, "a stream that nobody cancels ends with its pictures"
    for note in done.notes:
        logger.warning(note)
    return done


def _save(options: argparse.Namespace, done: Done) -> None:
    seeds = done.request.seeds
    for seed, image in zip(seeds, done.images, strict=True):
        suffix = f"-{seed}" if len(seeds) > 1 else ""
        _write(options, image, f"seed {seed}, {done.seconds:.2f} s", suffix)


def _write(options: argparse.Namespace, image: Image.Image, said: str, suffix: str = "") -> None:
    """Save where the user said; the command's own name is numbered and replaces nothing."""
    path, number = _path(options, suffix), 2
    while options.output is None and path.exists():
        path, number = _path(options, f"{suffix}-{number}"), number + 1
    replaced = ", replacing the file of that name" if path.exists() else ""
    save_png(image, path)
    _say(f"{path}: {image.width}x{image.height}, {said}{replaced}")


def _path(options: argparse.Namespace, suffix: str = "") -> Path:
    path: Path = options.output or Path(options.default_output)
    return path.with_stem(path.stem + suffix) if suffix else path


def _check_output(options: argparse.Namespace) -> None:
    """Before anything is loaded."""
    path = _path(options)
    if path.suffix.lower() != ".png":
        raise RequestError(f"{path} must end in .png: the record that replays it needs a PNG.")
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{path} cannot be a file ({reason}); choose another name.") from error
    if len(path.parts) > MOST_FOLDERS:
        raise RequestError(f"{path} lies in {len(path.parts) - 1} folders; choose another place.")
    if kind := "folder" if path.is_dir() else special(path):
        raise RequestError(f"{path} is a {kind}; name a file.")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(above, os.W_OK):
        raise RequestError(f"{above} may not be written; choose another place.")
