"""The data the browser draws the stage and the timeline from."""

from __future__ import annotations

import json
from dataclasses import replace

from infinity.ui.generate import view as module
from infinity.ui.generate.view import MOST_ALT_CHARACTERS, build_viewer, viewer_value
from tests.ui.test_view import SCALES, SPEC, done, preview, saved


def opened() -> module.View:
    return module.opened(module.waiting(("a red apple",), run="one"), SPEC, "1:1")


def test_every_scale_tells_its_size_tokens_bits_and_time():
    value = viewer_value(module.after(opened(), preview(2)))
    assert value["frames"][2] | {"pictures": 0} == {
        "height": 3,
        "width": 3,
        "tokens": "9",
        "bits": "216",
        "time": "35 ms",
        "exact": False,
        "pictures": 0,
    }
    assert [frame["time"] for frame in value["frames"]].count("") == len(SCALES) - 1
    assert value["facts"] == "7 scales · 291 tokens · 6,984 bits"
    assert (value["run"], value["prompts"]) == ("one", ["a red apple"])


def test_scale_being_drawn_is_marked_only_while_drawing():
    view = module.after(opened(), preview(0))
    assert viewer_value(view)["current"] == 1
    assert viewer_value(module.stopped(view, 1))["current"] == -1


def test_finished_run_has_its_files_and_keeps_its_scales():
    view = module.after(
        module.after(opened(), preview(6)), done(), replace(saved(), captions=("a cat",))
    )
    value = viewer_value(view)
    assert value["pictures"] == [
        {
            "source": "gradio_api/file=/pictures/a.png",
            "download": "a.png",
            "seed": 7,
            "caption": "a cat",
        }
    ]
    assert value["facts"].endswith(" · 1.2 s")
    assert value["frames"][6]["pictures"]


def test_value_is_plain_json_however_odd_the_prompt():
    view = replace(opened(), prompts=('"><script>${alert(1)}</script>' * 50,))
    value = viewer_value(view)
    assert json.loads(json.dumps(value)) == value
    assert len(value["prompts"][0]) == MOST_ALT_CHARACTERS


def test_wide_picture_has_a_wide_stage():
    view = module.opened(module.waiting(("x",)), SPEC, "2:1")
    assert viewer_value(view)["aspect"] == 2.0


def test_template_never_changes_so_that_the_browser_keeps_what_it_drew():
    viewer = build_viewer(module.idle(SPEC))
    assert "value" not in viewer.html_template.replace("values=", "").replace("tableValues=", "")
    assert "{" not in viewer.html_template.replace("{{", "")
