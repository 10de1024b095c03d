"""Prompts are completed on the way to the picture: in its record, its candidates, and what is drawn on."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from infinity.__main__ import main
from infinity.edit.sources import source_of
from infinity.events import Done
from infinity.grid.axes import Axis
from infinity.grid.plan import GridPlan, draw_plan
from infinity.metadata import KEY, PictureRecord, read_record, save_png
from infinity.pipeline import InfinityPipeline
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.request import GenerationRequest
from infinity.spec import read_spec
from infinity.ui.history.entries import Entry, details_html, entries_of
from infinity.ui.shared.files import FinishedRun, new_folder
from infinity.world.caption import caption_of
from tests.tiny import SPEC, tiny_pipeline

VOCABULARY = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
ASKED = GenerationRequest(prompt="a pair of cats", seed=5, num_images=3)


@pytest.fixture(scope="module")
def pipeline() -> InfinityPipeline:
    return tiny_pipeline(replace(SPEC, vocabulary=VOCABULARY))


def caption(prompt: str, seed: int) -> str:
    assert VOCABULARY is not None
    found = caption_of(prompt, VOCABULARY, seed)
    assert found is not None
    return found.text


def test_each_picture_is_completed_by_its_own_seed_and_says_so(pipeline):
    done = pipeline.generate(ASKED)
    captions = tuple(caption(ASKED.prompt, seed) for seed in ASKED.seeds)
    assert done.captions == captions and len(set(captions)) > 1
    for image, seed, drawn_as in zip(done.images, ASKED.seeds, captions, strict=True):
        record = read_record(image)
        assert (record.drawn_as, record.request.complete_prompt) == (drawn_as, True)
        assert record.request.prompt == ASKED.prompt
        again = pipeline.generate(record.request).images[0]
        plainly = GenerationRequest(prompt=drawn_as, seed=seed, complete_prompt=False)
        assert again.tobytes() == image.tobytes()
        assert pipeline.generate(plainly).images[0].tobytes() == image.tobytes()


def test_switched_off_a_prompt_is_drawn_as_it_is(pipeline):
    plain = replace(ASKED, num_images=1, complete_prompt=False)
    done = pipeline.generate(plain)
    without = tiny_pipeline().generate(ASKED)
    assert done.captions == ("",) and read_record(done.images[0]).drawn_as == ""
    assert done.images[0].tobytes() == without.images[0].tobytes()
    assert without.captions == ("", "", "")


def test_record_from_before_is_not_completed(pipeline):
    record = read_record(pipeline.generate(replace(ASKED, num_images=1)).images[0])
    data = json.loads(record.to_json())
    del data["request"]["complete_prompt"], data["drawn_as"]
    old = PictureRecord.from_json(json.dumps(data))
    assert not old.request.complete_prompt and old.as_drawn == old.request


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("a (red:1.3) cat", "weights or changes is drawn as it is written"),
        ("a [cat:dog:2]", "weights or changes is drawn as it is written"),
        ("a phone", "names no thing that this model knows"),
    ],
)
def test_prompt_that_is_not_read_is_drawn_as_it_is(pipeline, prompt, note):
    done = pipeline.generate(GenerationRequest(prompt=prompt))
    assert done.captions == ("",) and any(note in said for said in done.notes)
    plain = pipeline.generate(GenerationRequest(prompt=prompt, complete_prompt=False))
    assert done.images[0].tobytes() == plain.images[0].tobytes()


def test_wildcards_are_filled_in_before_the_prompt_is_read(pipeline):
    done = pipeline.generate(GenerationRequest(prompt="a {red|blue} {car|cat}", num_images=6))
    assert all(done.captions) and len(set(done.captions)) > 2


def test_chosen_candidate_is_drawn_again_alone(pipeline):
    def scorer(prompt):
        return lambda images: [image.getpixel((0, 0))[0] for image in images]

    request = replace(ASKED, num_images=1, candidates=3)
    *_, done = pipeline.stream(request, previews="off", scorer=scorer)
    record = read_record(done.images[0])
    assert record.template == ASKED.prompt and record.drawn_as == record.request.prompt
    again = pipeline.generate(record.request)
    assert again.images[0].tobytes() == done.images[0].tobytes()


def test_what_is_drawn_on_keeps_the_choices_made(pipeline):
    image = pipeline.generate(replace(ASKED, num_images=1)).images[0]
    source = source_of(pipeline, image)
    assert source.request is not None and KEY in image.info
    assert source.request.prompt == caption(ASKED.prompt, ASKED.seed)
    assert not source.request.complete_prompt
    assert pipeline.generate(source.request).images[0].tobytes() == image.tobytes()


def test_command_line_completes_or_not_and_says_what_was_drawn(
    pipeline, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(InfinityPipeline, "from_pretrained", lambda *_, **__: pipeline)
    for option, drawn_as in (((), caption("two cats", 3)), (("--no-complete-prompt",), "")):
        assert not main(["generate", "two cats", "--seed", "3", "-o", "cats.png", *option])
        assert (f"drawn as: {drawn_as}\n" in capsys.readouterr().out) == bool(drawn_as)
        record = read_record("cats.png")
        assert (record.drawn_as, record.request.complete_prompt) == (drawn_as, not option)
        assert not main(["replay", "cats.png", "-o", "again.png", "--model", "tiny"])
        assert "The pixels are the same" in capsys.readouterr().out


def test_history_tells_what_was_drawn_and_old_entries_are_not_completed(pipeline, tmp_path):
    done = pipeline.generate(replace(ASKED, num_images=1))
    folder = new_folder()
    path = save_png(done.images[0], folder / "infinity-cats-5.png")
    run = FinishedRun("tiny", done.request, (path,), 1.0, 1.0, done.captions)
    (entry,) = entries_of(run)
    assert entry.drawn_as == done.captions[0] in details_html(entry, path, "Tiny")
    kept = json.loads(json.dumps(entry.to_dict()))
    assert Entry.from_dict(kept) == entry
    del kept["request"]["complete_prompt"], kept["drawn_as"]
    assert not Entry.from_dict(kept).request.complete_prompt


def test_grid_completes_each_cell_by_its_seed(pipeline):
    plan = GridPlan(model="tiny", request=replace(ASKED, num_images=1), x=Axis.parse("seed", "1-3"))
    events = draw_plan(plan, lambda _: pipeline, threading.Event())
    captions = [event.captions[0] for _, event in events if isinstance(event, Done)]
    assert captions == [caption(ASKED.prompt, seed) for seed in (1, 2, 3)]
