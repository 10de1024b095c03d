"""From events to views to HTML: all pure, all without a browser."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from infinity.events import Cancelled, Done, Preview
from infinity.request import GenerationRequest
from infinity.ui import present
from infinity.ui.finished import FinishedRun
from infinity.ui.present import Picture, View
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
def opened() -> View:
    return present.opened(present.waiting("a red apple"), SPEC, "1:1")


def test_idle_view_shows_the_scales_to_come():
    view = present.idle(SPEC)
    assert [frame.width for frame in view.frames] == list(SCALES)
    assert not view.is_busy
    html = present.strip_html(view)
    assert html.count('<li class="ahead">') == 7
    assert "7 scales · 291 tokens · 6,984 bits" in html


def test_preview_fills_its_frame_and_the_stage(opened):
    view = present.after(opened, preview(2, images=2))
    assert [frame.seconds is not None for frame in view.frames] == [False, False, True] + [
        False
    ] * 4
    assert len(view.pictures) == 2
    assert view.message == "Scale 3 of 7 · 3 × 3 tokens"
    assert view.is_busy


def test_progress_counts_tokens(opened):
    assert present.after(opened, preview(2)).fraction == pytest.approx((1 + 4 + 9) / 291)
    assert present.after(opened, preview(6)).fraction == 1


def test_preview_without_images_leaves_the_picture_as_it_was(opened):
    before = present.after(opened, preview(1))
    view = present.after(before, preview(2, images=0))
    assert view.pictures == before.pictures
    assert view.frames[2].thumbnail == ""
    assert view.frames[2].seconds == 0.035


def test_done_shows_the_files_the_time_and_the_notes(opened):
    view = present.after(opened, done(("The prompt was cut.",)), saved())
    assert view.finished == saved()
    assert (view.phase, view.fraction, view.is_busy) == ("done", 1.0, False)
    assert view.message == "Picture finished in 1.2 s"
    stage = present.stage_html(view)
    assert 'href="gradio_api/file=/pictures/a.png" download="a.png"' in stage
    assert "<b>Seed </b>7" in stage
    assert "The prompt was cut." in present.status_html(view)
    assert "1.2 s" in present.strip_html(view)


def test_cancelled_says_after_which_scale_and_keeps_the_picture(opened):
    drawn = present.after(opened, preview(2))
    view = present.after(drawn, Cancelled(completed_scales=3))
    assert view.message == "Stopped after scale 3 of 7."
    assert view.pictures == drawn.pictures
    assert not view.is_busy


def test_failure_is_an_alert_and_keeps_the_picture(opened):
    drawn = present.after(opened, preview(2))
    view = present.failed(drawn, "Out of memory; choose fewer pictures.")
    assert view.pictures == drawn.pictures
    html = present.status_html(view)
    assert 'role="alert"' in html
    assert "Out of memory; choose fewer pictures." in html


def test_loading_shows_what_and_how_far():
    view = present.loading(present.waiting("x"), "Reading the transformer", 0.43)
    assert view.message == "Reading the transformer · 43%"
    assert 'aria-valuenow="43"' in present.status_html(view)
    assert present.loading(view, "Downloading").message == "Downloading"


def test_every_text_of_a_user_is_escaped(opened):
    evil = '"><script>alert(1)</script>${alert(2)}'
    view = View(
        "failed", evil, prompt=evil, notes=(evil,), pictures=(Picture("data:,", 1, evil, 1),)
    )
    for html in (present.stage_html(view), present.status_html(view)):
        assert "<script" not in html
        assert '""' not in html.replace('alt=""', "")


def test_current_frame_is_marked_while_painting(opened):
    html = present.strip_html(present.after(opened, preview(0)))
    assert re.findall(r'<li class="(\w+)"', html)[:3] == ["drawn", "current", "ahead"]


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3)]
)
def test_stage_grid_fits_all_pictures(count, columns, rows):
    view = View("done", pictures=(Picture("data:,"),) * count)
    html = present.stage_html(view)
    assert f"--columns:{columns};--rows:{rows}" in html
    assert html.count("<figure") == count


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(7, 9, 7), (7, 5, 4), (13, 9, 7), (13, 5, 5)]
)
def test_strip_rows_come_out_nearly_even(count, most, expected):
    assert present.per_row(count, most) == expected


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
    assert present.duration(seconds) == text


def test_small_previews_are_sent_without_loss_and_large_ones_small():
    small = Image.effect_noise((64, 64), 80).convert("RGB")
    kind, data = present.data_uri(small).split(",", 1)
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == small.tobytes()
    assert present.data_uri(small.resize((512, 512))).startswith("data:image/jpeg")


def test_thumbnail_shrinks_but_never_enlarges():
    assert present.thumbnail(Image.new("RGB", (1024, 512))).size == (96, 48)
    assert present.thumbnail(Image.new("RGB", (16, 16))).size == (16, 16)


def test_strip_draws_no_grid_of_too_many_tokens():
    frames = (present.Frame(1, 2, 8), present.Frame(64, 64, 8))
    html = present.strip_html(View(frames=frames))
    assert html.count("<i ") == 1
    assert "width:100%;height:50%" in html
