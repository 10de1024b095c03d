"""What the commands share: loading, drawing with a bar, and where pictures go."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from infinity.errors import RequestError
from infinity.events import Done, Preview
from infinity.files import special
from infinity.growth import check_growth, save_growth
from infinity.metadata import save_png
from infinity.pipeline import InfinityPipeline
from infinity.presets import presets
from infinity.request import BEST_OF, GenerationRequest, SamplingParams, chosen_seed

logger = logging.getLogger(__name__)

MOST_FOLDERS = 200


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def requested(options: argparse.Namespace, num_images: int = 1) -> GenerationRequest:
    names = [field.name for field in fields(SamplingParams)]
    names += ["prompt", "negative_prompt", "aspect_ratio", "complete_prompt", *BEST_OF]
    given = {name: getattr(options, name) for name in names}
    return GenerationRequest(**given, seed=chosen_seed(options.seed), num_images=num_images)


def with_preset(
    options: argparse.Namespace, pipeline: InfinityPipeline, request: GenerationRequest
) -> GenerationRequest:
    """The request with the gaps filled from the preset, where one is named."""
    if options.preset is None:
        return request
    return request.resolved(presets(pipeline.spec, request.aspect_ratio)[options.preset].sampling)


def load_model(options: argparse.Namespace, model: str) -> InfinityPipeline:
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with progress_bar("Loading") as progress:
        return InfinityPipeline.from_pretrained(
            model,
            options.device,
            options.dtype,
            progress,
            memory=options.memory or "none",
            adapter=options.adapter,
        )


progress = partial(tqdm, leave=False, disable=None)


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal, fed with what is being done and the part done."""
    with progress(
        desc=description, total=1.0, bar_format="{desc} {percentage:3.0f}% |{bar}|"
    ) as bar:

        def tell(what: str, fraction: float) -> None:
            bar.set_description(what, refresh=False)
            bar.update(fraction - bar.n)

        yield tell


def draw(
    pipeline: InfinityPipeline,
    request: GenerationRequest,
    folder: Path | None = None,
    only: int | None = None,
    scales: list[tuple[Image.Image, ...]] | None = None,
) -> Done:
    """Draw with a progress bar.

    Args:
        folder: where to save every scale's full-size preview.
        only: as ``stream`` takes it.
        scales: gets every scale's pictures.
    """
    total = pipeline.spec.schedule(request.aspect_ratio).total_tokens
    done: Done | None = None
    with progress(desc="Drawing", total=total, unit="token") as bar:
        previews = "off" if folder is None and scales is None else "full"
        for event in pipeline.stream(request, previews=previews, only=only):
            if isinstance(event, Done):
                done = event
            elif isinstance(event, Preview):
                bar.update(event.height * event.width)
                if scales is not None:
                    scales.append(event.images or ())
                for seed, image in zip(request.seeds, event.images or (), strict=False):
                    if folder is not None:
                        several = f"-{seed}" if request.num_images > 1 else ""
                        save_png(image, folder / f"scale-{event.index + 1:02d}{several}.png")
    assert done is not None, "a stream that nobody cancels ends with its pictures"
    for note in done.notes:
        logger.warning(note)
    for caption in filter(None, done.captions):
        say(f"drawn as: {caption}")
    return done


def draw_and_save(
    options: argparse.Namespace,
    pipeline: InfinityPipeline,
    request: GenerationRequest,
    folder: Path | None = None,
    only: int | None = None,
) -> Done:
    """:func:`draw`, then the pictures are saved, and how they grew where that was asked for."""
    growth: Path | None = options.growth
    scales: list[tuple[Image.Image, ...]] = []
    done = draw(pipeline, request, folder, only, None if growth is None else scales)
    save(options, done)
    if growth is not None:
        say(f"{save_growth(scales, done.images, growth)}: {len(scales)} scales")
    return done


def save(options: argparse.Namespace, done: Done) -> None:
    seeds = done.request.seeds
    for seed, image in zip(seeds, done.images, strict=True):
        suffix = f"-{seed}" if len(seeds) > 1 else ""
        write(options, image, f"seed {seed}, {done.seconds:.2f} s", suffix)


def write(options: argparse.Namespace, image: Image.Image, said: str, suffix: str = "") -> None:
    """Save where the user said; the command's own name replaces nothing."""
    path = free_path(options, suffix)
    replaced = ", replacing the file of that name" if path.exists() else ""
    save_png(image, path)
    say(f"{path}: {image.width}x{image.height}, {said}{replaced}")


def free_path(options: argparse.Namespace, suffix: str = "") -> Path:
    """What was chosen, or the command's own name with the next number that is free."""
    path, number = path_of(options, suffix), 2
    while options.output is None and path.exists():
        path, number = path_of(options, f"{suffix}-{number}"), number + 1
    return path


def path_of(options: argparse.Namespace, suffix: str = "") -> Path:
    path: Path = options.output or Path(options.default_output)
    return path.with_stem(path.stem + suffix) if suffix else path


def check_output(options: argparse.Namespace) -> None:
    """Before anything is loaded."""
    if getattr(options, "growth", None) is not None:
        check_growth(options.growth)
    path = path_of(options)
    kind = Path(options.default_output).suffix
    if path.suffix.lower() != kind:
        why = "the record that replays it needs a PNG" if kind == ".png" else "it holds arrays"
        raise RequestError(f"{path} must end in {kind}: {why}.")
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
