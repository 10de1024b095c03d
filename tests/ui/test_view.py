"""From events to views to HTML: all pure, all without a browser."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from infinity.events import Cancelled, Done, Preview, Refined
from infinity.request import GenerationRequest
from infinity.ui.generate import view as module
from infinity.ui.shared import status
from infinity.ui.shared.files import FinishedRun
from infinity.ui.shared.status import Status, duration, loading, status_html
from tests.ui.fakes import SCALES, make_spec

SPEC = make_spec("default", "Default")


def preview(index: int = 2, images: int = 1, side: int = 48) -> Preview:
    pictures = tuple(Image.new("RGB", (side, side), (i, 2, 3)) for i in range(images))
    return Preview(
        index=index,
        num_scales=len(SCALES),
        height=SCALES[index],
        width=SCALES[index],
        bits=SCALES[index] ** 2 * 24,
        seconds=0.035,
        preview_seconds=0.001,
        images=pictures or None,
        is_exact=index == len(SCALES) - 1,
    )


def saved(images: int = 1) -> FinishedRun:
    return FinishedRun(
        model="default",
        request=GenerationRequest(prompt="x", seed=7, num_images=images),
        files=tuple(Path(f"/pictures/{'abcdefghi'[i]}.png") for i in range(images)),
        seconds=1.24,
        when=0.0,
    )


def done(notes: tuple[str, ...] = ()) -> Done:
    return Done(
        images=(Image.new("RGB", (192, 192)),),
        request=GenerationRequest(prompt="x"),
        seconds=1.24,
        text_seconds=0.1,
        model_seconds=1.0,
        decode_seconds=0.1,
        preview_seconds=0.04,
        notes=notes,
    )


@pytest.fixture
def opened() -> module.View:
    return module.opened(module.waiting(("a red apple",)), SPEC, "1:1")


def test_idle_view_has_the_scales_to_come():
    view = module.idle(SPEC)
    assert [frame.width for frame in view.frames] == list(SCALES)
    assert all(frame.seconds is None for frame in view.frames)
    assert not view.status.is_busy


def test_preview_fills_its_frame_with_every_picture(opened):
    view = module.after(opened, preview(2, images=2))
    assert [frame.seconds is not None for frame in view.frames] == [False, False, True] + [
        False
    ] * 4
    assert len(view.frames[2].pictures) == 2
    assert not view.frames[2].is_exact
    assert view.status.message == "Scale 3 of 7 · 3 × 3 tokens"
    assert view.status.is_busy


def test_progress_counts_tokens(opened):
    assert module.after(opened, preview(2)).status.fraction == pytest.approx((1 + 4 + 9) / 291)
    assert module.after(opened, preview(6)).status.fraction == 1


def test_time_left_is_told_when_it_is_worth_reading(opened):
    slow = replace(preview(3), seconds=3.0)
    assert module.after(opened, slow).status.message.endswith(" · about 26 s left")
    assert "left" not in module.after(opened, preview(3)).status.message
    assert "left" not in module.after(opened, replace(preview(6), seconds=90.0)).status.message


@pytest.mark.parametrize(
    "seconds",
    [[8, 7, 9, 11, 19, 37, 85], [56, 58, 93, 107, 186, 364, 622]],
    ids=["one picture", "nine"],
)
def test_time_left_is_near_what_scales_really_took(opened, seconds):
    """Milliseconds measured on a CPU, as seconds; tokens alone would say eight times as much at first."""
    view = opened
    for index, spent in enumerate(seconds[:-1]):
        view = module.after(view, replace(preview(index), seconds=float(spent)))
        told = re.search(r"about (?:(\d+) min )?(\d+) s left", view.status.message)
        assert told is not None
        minutes, rest = (int(number or 0) for number in told.groups())
        assert 0.5 < (60 * minutes + rest) / sum(seconds[index + 1 :]) < 2


def test_place_in_the_line_is_told():
    assert status.waiting(2).message == "Waiting for a turn · 2 before you …"
    assert module.waiting(("x",)).status.message == "Waiting for a turn …"


def test_done_has_the_files_the_time_and_the_notes(opened):
    view = module.after(opened, done(("The prompt was cut.",)), saved(2))
    assert view.finished == saved(2)
    assert (view.status.phase, view.status.fraction, view.status.is_busy) == ("done", 1.0, False)
    assert view.status.message == "2 pictures finished in 1.2 s"
    assert [tuple(picture.values()) for picture in module.viewer_value(view)["pictures"]] == [
        ("gradio_api/file=/pictures/a.png", "a.png", 7, ""),
        ("gradio_api/file=/pictures/b.png", "b.png", 8, ""),
    ]
    assert "The prompt was cut." in status_html(view.status)


def test_refined_scale_replaces_its_rough_pictures_alone(opened):
    rough = module.after(module.after(opened, preview(1)), preview(2))
    view = module.after(rough, Refined(index=1, images=(Image.new("RGB", (48, 48), "red"),)))
    assert view.frames[1].is_exact
    assert view.frames[1].pictures != rough.frames[1].pictures
    assert (view.frames[2], view.status) == (rough.frames[2], rough.status)
    assert view.frames[1].seconds == rough.frames[1].seconds


def test_cancelled_says_after_which_scale_and_keeps_the_timeline(opened):
    drawn = module.after(opened, preview(2))
    view = module.after(drawn, Cancelled(completed_scales=3))
    assert view.status.message == "Stopped after scale 3 of 7."
    assert view.frames == drawn.frames
    assert not view.status.is_busy


def test_failure_is_an_alert_and_keeps_the_timeline(opened):
    drawn = module.after(opened, preview(2))
    view = replace(drawn, status=Status("failed", "Out of memory; choose fewer pictures."))
    assert view.frames == drawn.frames
    html = status_html(view.status)
    assert 'role="alert"' in html
    assert "Out of memory; choose fewer pictures." in html


def test_loading_shows_what_and_how_far():
    said = loading("Reading the transformer", 0.43)
    assert said.message == "Reading the transformer · 43%"
    assert 'aria-valuenow="43"' in status_html(said)
    assert loading("Downloading").message == "Downloading"


def test_every_text_of_a_user_is_escaped():
    evil = '"><script>alert(1)</script>'
    html = status_html(Status("failed", evil, notes=(evil,)))
    assert "<script" not in html


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(7, 9, 7), (7, 5, 4), (13, 9, 7), (13, 5, 5)]
)
def test_strip_rows_come_out_nearly_even(count, most, expected):
    assert module.per_row(count, most) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0351, "35 ms"),
        (0.9996, "1.0 s"),
        (2.31, "2.3 s"),
        (71, "1 min 11 s"),
        (119.7, "2 min 0 s"),
    ],
)
def test_duration_reads_naturally(seconds, text):
    assert duration(seconds) == text


def test_small_previews_are_sent_without_loss_and_large_ones_small():
    small = Image.effect_noise((48, 48), 80).convert("RGB")
    assert read(module.preview_uri(small)).tobytes() == small.tobytes()
    assert module.preview_uri(small.resize((512, 512))).startswith("data:image/jpeg")


@pytest.mark.parametrize(("count", "longest"), [(1, 768), (2, 384), (4, 384), (5, 256), (9, 256)])
def test_pictures_that_share_the_stage_are_sent_smaller(opened, count, longest):
    view = module.after(opened, preview(6, images=count, side=1024))
    assert {read(picture).size for picture in view.frames[6].pictures} == {(longest, longest)}


def read(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))
