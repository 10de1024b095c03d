"""The commands that go on from a picture's bits."""

import argparse
import threading
from typing import Any

from infinity.cli.shared import check_output, draw, free_path, load_model, save, say, write
from infinity.edit import tasks
from infinity.edit.files import open_picture
from infinity.edit.sources import bits_of, source_of
from infinity.generation.inspection import save as save_inspected
from infinity.images import open_image
from infinity.inside.flip import Place, changed_bits, draw_flip, flip_requests, told
from infinity.inside.reading import words_of
from infinity.inside.sheet import flip_sheet, map_sheet
from infinity.metadata import save_png
from infinity.request import GenerationRequest, chosen_seed


def vary(options: argparse.Namespace) -> None:
    _draw(options, tasks.vary, keep_scales=options.keep_scales)


def edit(options: argparse.Namespace) -> None:
    kept = {"keep_scales": options.keep_scales, "softness": options.softness}
    _draw(options, tasks.edit, area=_area(options), **kept)


def mix(options: argparse.Namespace) -> None:
    _draw(options, tasks.mix, fine=open_picture(options.fine), keep_scales=options.keep_scales)


def repair(options: argparse.Namespace) -> None:
    how = {"doubt": options.doubt, "rounds": options.rounds}
    _draw(options, tasks.repair, area=_area(options), **how)


def extend(options: argparse.Namespace) -> None:
    _draw(options, tasks.extend, aspect_ratio=options.aspect_ratio)


def inspect(options: argparse.Namespace) -> None:
    check_output(options)
    image = open_picture(options.picture)
    pipeline = load_model(options, options.model)
    request, scales = tasks.inspect(pipeline, image, options.prompt or "")
    path = free_path(options)
    save_inspected(path, scales, request, pipeline.spec.name, pipeline.fingerprint)
    say("SCALE  TOKENS  LIKELIHOOD  ENTROPY")
    for number, scale in enumerate(scales, 1):
        size = f"{scale.height}x{scale.width}"
        likelihood, entropy = scale.likelihood_lD.mean(), scale.entropy_lD.mean()
        say(f"{number:5}  {size:>6}  {likelihood:10.3f}  {entropy:7.3f}")
    say(f"{path}: {len(scales)} scales")
    if options.maps:
        (picture, *_), _ = pipeline.read(request)
        sheet = map_sheet(scales, words_of(picture, len(scales)), request.prompt)
        say(str(save_png(sheet, path.with_suffix(".png"))))


def flip(options: argparse.Namespace) -> None:
    check_output(options)
    image = open_picture(options.picture)
    pipeline = load_model(options, options.model)
    kept = tasks.kept(pipeline, image, options.prompt or "")
    places = [Place.numbered(numbers) for numbers in options.bits]
    requests = flip_requests(pipeline.spec, kept, places)
    alone, answered, unanswered = draw_flip(pipeline, requests, threading.Event())
    write(options, alone.images[0], f"bits flipped: {len(set(places))}")
    write(options, answered.images[0], "the later scales drawn on", "-answered")
    if options.maps:
        (before,) = pipeline.generate(kept).images
        shown = [before, *(done.images[0] for done in (alone, answered, unanswered))]
        write(options, flip_sheet(shown, kept.prompt), "what changed", "-changes")
    say("SCALE  TOKENS       BITS  CHANGED")
    changed = changed_bits(pipeline.spec, answered, unanswered)
    for number, scale in enumerate(told(pipeline.spec, changed), 1):
        size = f"{scale['height']}x{scale['width']}"
        say(f"{number:5}  {size:>6}  {scale['bits']:9,}  {scale['changed']:7,}")


def bits(options: argparse.Namespace) -> None:
    check_output(options)
    picture = open_picture(options.picture)
    pipeline = load_model(options, options.model)
    found = bits_of(pipeline, source_of(pipeline, picture, options.aspect_ratio))
    found.save(path := free_path(options))
    count = sum(bits_lD.size for bits_lD in found.bits)
    whose = "it was drawn with" if found.request else "the tokenizer gives it"
    say(f"{path}: {count:,} bits in {len(found.bits)} scales, those {whose}")


def _draw(options: argparse.Namespace, task: Any, **own: Any) -> None:
    check_output(options)
    image = open_picture(options.picture)
    seed = None if options.seed is None else chosen_seed(options.seed)
    settings = {"prompt": options.prompt, "seed": seed, "num_images": options.num_images}
    pipeline = load_model(options, options.model)
    request: GenerationRequest = task(pipeline, image, **own, **settings)
    save(options, draw(pipeline, request))


def _area(options: argparse.Namespace) -> tasks.Area:
    return options.box if options.mask is None else open_image(options.mask)
