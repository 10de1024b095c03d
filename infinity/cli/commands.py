"""What each command does with its parsed options. Imported when a command runs: it loads torch."""

import argparse
import json
import logging
import os
import threading
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from infinity.checkpoints.load import convert as convert_checkpoint
from infinity.cli.shared import (
    check_output,
    draw_and_save,
    load_model,
    progress,
    progress_bar,
    requested,
    say,
    with_preset,
    write,
)
from infinity.devices import resolve_device, resolve_dtype
from infinity.edit.files import open_picture
from infinity.edit.sources import rebuild
from infinity.errors import CheckpointError, RequestError
from infinity.estimate import weight_bytes
from infinity.events import Done
from infinity.files import disk_errors
from infinity.grid.axes import Axis
from infinity.grid.plan import GridPlan, draw_plan
from infinity.grid.sheet import sheet
from infinity.images import open_image
from infinity.metadata import read_record, save_png, weights_note
from infinity.registry import DEFAULT_MODEL, get_spec, model_names
from infinity.tokenizer.compression import Compressed
from infinity.tokenizer.reconstruction import ReconstructedScale

logger = logging.getLogger(__name__)


def generate(options: argparse.Namespace) -> None:
    request = requested(options, options.num_images)
    check_output(options)
    pipeline = load_model(options, options.model)
    wanted = with_preset(options, pipeline, request)
    draw_and_save(options, pipeline, wanted, options.scales_dir)


def grid(options: argparse.Namespace) -> None:
    check_output(options)
    plan = GridPlan(
        model=options.model,
        request=requested(options),
        x=Axis.parse(*options.x),
        y=None if options.y is None else Axis.parse(*options.y),
    )
    load = lru_cache(maxsize=1)(lambda model: load_model(options, model))
    if options.preset is not None:
        plan = replace(plan, request=with_preset(options, load(plan.model), plan.request))
    if {cell.model for cell in plan.cells()} == {plan.model}:
        plan.check(lambda model: load(model).spec)
    rows, columns = plan.shape
    pictures: dict[tuple[int, int], Image.Image] = {}
    with progress(desc="Drawing", total=rows * columns, unit="picture") as bar:
        for cell, event in draw_plan(plan, load, threading.Event()):
            if isinstance(event, Done):
                pictures[cell.row, cell.column] = event.images[0]
                bar.update()
    said = f"seed {plan.request.seed}, {columns} x {rows} pictures"
    write(options, sheet(plan, pictures), said)


def replay(options: argparse.Namespace) -> None:
    check_output(options)
    original, record = open_image(options.picture), read_record(options.picture)
    options.dtype = options.dtype or record.dtype or None
    options.memory = options.memory or record.memory
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
    pipeline = load_model(options, options.model or record.model)
    if note := weights_note(record.weights, pipeline.fingerprint):
        say(note)
    done = draw_and_save(options, pipeline, record.batch or record.request, only=record.only)
    (image,) = done.images
    if image.size != original.size:
        say("The replayed picture has another size: this is not the model it was made with.")
        return
    different = np.asarray(image.convert("RGB")) != np.asarray(original.convert("RGB"))
    if changed := int(different.any(axis=-1).sum()):
        made = ", ".join(f"{key} {value}" for key, value in record.versions.items())
        say(
            f"{changed} pixels differ from the original, which was made on {record.device} in "
            f"{record.dtype} with {record.threads} threads ({made})."
        )
    else:
        say("The pixels are the same as the original's.")


def reconstruct(options: argparse.Namespace) -> None:
    check_output(options)
    picture, folder = open_picture(options.picture), options.scales_dir
    pipeline = load_model(options, options.model)
    rebuilt = rebuild(pipeline, picture, options.aspect_ratio)
    figures: dict[str, Any] = {"model": pipeline.spec.name, **rebuilt.to_dict(), "scales": []}
    say("SCALE  TOKENS       BITS    BYTES    PSNR   SSIM    JPEG   SSIM    WEBP   SSIM")
    for number, one in enumerate(pipeline.measure(rebuilt), 1):
        parts = "  ".join(map(_quality, (one, *one.others.values())))
        say(f"{number:5}  {one.scale!s:>6}  {one.bits:9,}  {one.nbytes:7,}  {parts}")
        figures["scales"].append(one.to_dict())
        if folder is not None:
            one.save(folder, number)
    if folder is not None:
        save_png(rebuilt.original, folder / "original.png")
        with disk_errors(path := folder / "figures.json"):
            path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    bits = sum(scale.size for scale in rebuilt.bits)
    said = f"{len(rebuilt.bits)} scales, {bits:,} bits, {rebuilt.psnr:.1f} dB"
    write(options, rebuilt.image, f"aspect ratio {rebuilt.aspect_ratio}, {said}")


def _quality(measured: ReconstructedScale | Compressed | None) -> str:
    return (
        f"{'-':>6}  {'-':>5}" if measured is None else f"{measured.psnr:6.2f}  {measured.ssim:.3f}"
    )


def convert(options: argparse.Namespace) -> None:
    dtype = resolve_dtype(options.dtype, resolve_device("cpu")) if options.dtype else None
    with progress_bar("Converting") as progress:
        spec = convert_checkpoint(
            options.upstream,
            options.output,
            tokenizer=options.tokenizer,
            dtype=dtype,
            ema=options.ema,
            progress=progress,
        )
    say(f"{options.output}: {spec.title}")


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
        say("  ".join((*padded, last)))
