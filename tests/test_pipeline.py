import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from infinity import GenerationRequest, InfinityPipeline
from infinity.errors import CheckpointError, RequestError, ResourceError
from infinity.events import Cancelled, Done, Event, Preview
from infinity.memory_modes import get_memory_mode
from infinity.metadata import read_record, read_request, save_png
from infinity.request import MAX_SEED
from infinity.tokenizer.quality import psnr
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_folder, tiny_pipeline

REQUEST = GenerationRequest(prompt="a red apple on a sandy beach", seed=3)
PIPELINE = tiny_pipeline()
NUM_SCALES = len(SPEC.schedules["1:1"])


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def same(one: Sequence[Image.Image], other: Sequence[Image.Image]) -> bool:
    return all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(one, other, strict=True))


def draw(request: GenerationRequest, pipeline: InfinityPipeline = PIPELINE) -> Done:
    return pipeline.generate(request)


# Events


@pytest.mark.parametrize("previews", ["off", "live", "full"])
def test_stream_gives_a_preview_a_scale_and_then_the_pictures(previews):
    events = list(PIPELINE.stream(replace(REQUEST, num_images=2), previews=previews))
    *shown, done = events
    assert isinstance(done, Done)
    schedule = SPEC.schedules["1:1"]
    assert [(e.index, e.num_scales, e.height, e.width) for e in shown] == [
        (i, NUM_SCALES, s.height, s.width) for i, s in enumerate(schedule)
    ]
    assert [event.bits for event in shown] == [scale.tokens * 8 for scale in schedule]
    assert all(event.seconds > 0 for event in shown)
    assert [image.size for image in done.images] == [(16, 16)] * 2
    assert shown[-1].images == done.images
    assert done.seconds == pytest.approx(
        done.text_seconds + done.model_seconds + done.decode_seconds + done.preview_seconds
    )
    assert done.preview_seconds == pytest.approx(sum(event.preview_seconds for event in shown))
    assert done.model_seconds == pytest.approx(sum(event.seconds for event in shown))
    assert done.request == replace(REQUEST, num_images=2).resolved(SPEC.sampling)


def test_previews_off_show_nothing_before_the_end():
    shown = [e for e in PIPELINE.stream(REQUEST, previews="off") if isinstance(e, Preview)]
    assert [event.images is None for event in shown] == [True] * (NUM_SCALES - 1) + [False]


def test_full_previews_are_full_size_and_show_the_picture_so_far():
    shown = [e for e in PIPELINE.stream(REQUEST, previews="full") if isinstance(e, Preview)]
    assert all(event.images[0].size == (16, 16) for event in shown)
    assert len({event.images[0].tobytes() for event in shown}) == NUM_SCALES


def test_live_previews_are_whole_where_that_is_quick():
    shown = [e for e in PIPELINE.stream(REQUEST) if isinstance(e, Preview)]
    assert all(event.is_exact for event in shown), "the first run too"


def test_live_previews_show_every_scale_small_and_say_that_they_are_rough(monkeypatch):
    monkeypatch.setattr("infinity.generation.previews.QUICK_SECONDS", 0.0)
    pipeline = tiny_pipeline()
    shown = [e for e in pipeline.stream(REQUEST) if isinstance(e, Preview)]
    assert [event.is_exact for event in shown][-1]
    assert all(event.images is not None for event in shown)
    rough = [event for event in shown if not event.is_exact]
    assert len(rough) >= 1
    assert all(event.images[0].size == (16, 16) for event in rough)
    assert len({event.images[0].tobytes() for event in shown}) == NUM_SCALES


def test_refined_scales_come_after_the_picture_and_equal_full_previews(monkeypatch):
    monkeypatch.setattr("infinity.generation.previews.QUICK_SECONDS", 0.0)
    pipeline = tiny_pipeline()
    full = [e.images for e in pipeline.stream(REQUEST, previews="full") if isinstance(e, Preview)]
    events = list(pipeline.stream(REQUEST, refine=True))
    after = events[[isinstance(e, Done) for e in events].index(True) + 1 :]
    rough = [e.index for e in events if isinstance(e, Preview) and not e.is_exact]
    assert [e.index for e in after] == rough[::-1]
    assert all(same(event.images, full[event.index]) for event in after)


def test_refining_ends_when_cancelled(monkeypatch):
    monkeypatch.setattr("infinity.generation.previews.QUICK_SECONDS", 0.0)
    pipeline = tiny_pipeline()
    cancel = threading.Event()
    stream = pipeline.stream(REQUEST, refine=True, cancel=cancel)
    next(event for event in stream if isinstance(event, Done))
    cancel.set()
    assert list(stream) == []


def test_refining_needs_no_more_where_previews_are_off_or_whole():
    for previews in ("off", "full"):
        *_, last = PIPELINE.stream(REQUEST, previews=previews, refine=True)
        assert isinstance(last, Done)


def test_previews_never_change_the_picture():
    results = [list(PIPELINE.stream(REQUEST, previews=p))[-1] for p in ("off", "live", "full")]
    assert same(results[0].images, results[1].images)
    assert same(results[0].images, results[2].images)


def test_wide_picture_is_wider_than_tall():
    assert draw(replace(REQUEST, aspect_ratio="3:2")).images[0].size == (18, 12)
    assert draw(replace(REQUEST, aspect_ratio="2:3")).images[0].size == (12, 18)


def test_patchified_model_draws():
    pipeline = tiny_pipeline(PATCHIFY_SPEC)
    events = list(pipeline.stream(REQUEST, previews="full"))
    assert events[-1].images[0].size == (32, 32)


# The same seed, the same pixels


def test_same_seed_gives_the_same_pixels_and_another_seed_others():
    assert same(draw(REQUEST).images, draw(REQUEST).images)
    assert not same(draw(REQUEST).images, draw(replace(REQUEST, seed=4)).images)


def test_every_setting_reaches_the_picture():
    base = draw(REQUEST).images
    for change in (
        {"prompt": "a blue cat"},
        {"negative_prompt": "snow"},
        {"guidance": 1.0},
        {"guidance": (5.0, 1.0)},
        {"temperature": 0.3},
        {"top_k": 1},
        {"top_p": 0.7},
        {"guidance_layers": (-1,)},
        {"guided_scales": 1},
    ):
        assert not same(base, draw(replace(REQUEST, **change)).images), change


@pytest.mark.parametrize(
    "settings",
    [{}, {"guidance": 1.0}, {"guided_scales": 2, "negative_prompt": "snow"}],
    ids=["guided", "unguided", "guided at first"],
)
def test_each_picture_of_a_request_replays_alone_to_the_same_pixels(settings, tmp_path):
    done = draw(replace(REQUEST, num_images=3, **settings))
    for image in done.images:
        request, model = read_request(save_png(image, tmp_path / "x.png"))
        assert (request.num_images, model) == (1, "tiny")
        assert same(draw(request).images, [image])


def test_record_holds_the_whole_resolved_request_and_where_it_ran():
    done = draw(replace(REQUEST, num_images=2))
    record = read_record(done.images[1])
    expected = replace(done.request, seed=4, num_images=1)
    assert record.request == expected
    assert (record.model, record.device, record.dtype) == ("tiny", "cpu", "float32")
    assert record.threads == torch.get_num_threads()
    assert record.versions["torch"] == torch.__version__
    assert set(record.versions) == {"infinity", "torch"}


def test_wildcards_draw_what_each_record_says_and_keep_the_template():
    request = replace(
        REQUEST, prompt="a {red|blue|green} {car|bus}", negative_prompt="{snow|rain}", num_images=6
    )
    done = draw(request)
    records = [read_record(image) for image in done.images]
    assert len({record.request.prompt for record in records}) > 1
    assert done.request.prompt == request.prompt
    for image, record in zip(done.images, records, strict=True):
        assert record.template == request.prompt
        assert "{" not in record.request.prompt
        alone = draw(record.request)
        assert same(alone.images, [image])
        assert read_record(alone.images[0]).template == ""
        assert same(draw(replace(request, seed=record.request.seed, num_images=1)).images, [image])


@pytest.fixture
def card():
    """A pipeline that draws as on a GPU: pictures in one pass, the host a scale behind."""
    pipeline = tiny_pipeline()
    pipeline._drawing.is_on_gpu = True
    return pipeline


def test_pictures_of_one_pass_are_drawn_again_from_any_of_their_records(card, tmp_path):
    request = replace(
        REQUEST,
        prompt="a {red|blue} car",
        negative_prompt="{snow|rain}",
        seed=MAX_SEED,
        num_images=3,
    )
    (drawn,) = card.generate_batch([request])
    done = card.generate(request)
    assert done.bits == drawn.bits
    for place, image in enumerate(done.images):
        record = read_record(save_png(image, tmp_path / "x.png"))
        assert (record.batch, record.only) == (done.request, place)
        assert record.request == done.request.pictures()[place]
        again = card.generate(record.batch, record.only)
        assert same(again.images, [image])
        assert again.bits == (done.bits[place],)
        assert again.request == record.request
        assert read_record(again.images[0]) == record
        # Where pictures are drawn by themselves, the same record asks for no other one.
        alone = PIPELINE.generate(record.batch, record.only)
        assert same(alone.images, PIPELINE.generate(record.request).images)
        assert read_record(alone.images[0]).batch is None
    assert read_record(card.generate(REQUEST).images[0]).batch is None


@pytest.mark.parametrize("previews", ["off", "live", "full"])
def test_host_that_is_a_scale_behind_shows_the_same(card, previews):
    expected = list(PIPELINE.stream(REQUEST, previews=previews))
    found = list(card.stream(REQUEST, previews=previews))
    assert [type(event) for event in found] == [type(event) for event in expected]
    for one, other in zip(found[:-1], expected[:-1], strict=True):
        assert (one.index, one.height) == (other.index, other.height)
        assert (one.images is None) == (other.images is None)
    assert same(found[-1].images, expected[-1].images)
    assert found[-1].model_seconds == pytest.approx(sum(event.seconds for event in found[:-1]))


def test_stop_while_the_host_is_behind_ends_with_one_word(card):
    cancel = threading.Event()
    events = card.stream(REQUEST, cancel=cancel)
    assert isinstance(next(events), Preview)
    cancel.set()
    assert list(events) == [Cancelled(completed_scales=2)]


def test_bits_of_a_batch_are_those_of_each_request():
    requests = [replace(REQUEST, seed=5), GenerationRequest(prompt="snow", seed=9, num_images=2)]
    found = [done.bits for done in PIPELINE.generate_batch(requests)]
    assert found == [draw(request).bits for request in requests]


def test_wildcards_of_a_single_picture_are_filled_in_in_its_request():
    done = draw(replace(REQUEST, prompt="a {red|blue} car"))
    assert done.request.prompt in ("a red car", "a blue car")
    assert read_record(done.images[0]).request == done.request


def test_plain_braces_reach_the_text_encoder_as_they_are():
    pipeline = tiny_pipeline()
    pipeline.generate(replace(REQUEST, prompt=r"a \{red\} car"))
    assert pipeline.text_encoder.prompts == ["a {red} car"]  # type: ignore[attr-defined]


def test_batch_of_prompts_equals_each_prompt_alone():
    requests = [
        replace(REQUEST, seed=5),
        GenerationRequest(prompt="a blue cat", seed=9, num_images=2),
        GenerationRequest(prompt="snow", negative_prompt="rain and wind", seed=1),
    ]
    batch = PIPELINE.generate_batch(requests)
    assert [len(done.images) for done in batch] == [1, 2, 1]
    for request, done in zip(requests, batch, strict=True):
        for image, alone in zip(done.images, draw(request).images, strict=True):
            # Larger products round differently; the tiny model's bits are far from the edge.
            assert psnr(image, alone) > 40
        assert read_request(done.images[0])[0].prompt == request.prompt


@pytest.mark.parametrize(
    ("requests", "sentence"),
    [
        ([], "at least one request"),
        ([REQUEST, replace(REQUEST, aspect_ratio="3:2")], "must share aspect ratio"),
        ([REQUEST, replace(REQUEST, guidance=2.0)], "must share aspect ratio and sampling"),
        ([REQUEST, replace(REQUEST, aspect_ratio="7:1")], "no pictures of aspect ratio"),
    ],
)
def test_batch_that_cannot_run_together_is_refused(requests, sentence):
    with pytest.raises(RequestError, match=sentence):
        PIPELINE.generate_batch(requests)


def test_batch_takes_settings_spelled_out_or_left_to_the_model():
    spelled = REQUEST.resolved(SPEC.sampling)
    one, other = PIPELINE.generate_batch([REQUEST, spelled])
    assert psnr(one.images[0], other.images[0]) > 40


# Stopping, and several requests


@pytest.mark.parametrize("after", range(NUM_SCALES))
def test_cancelled_request_stops_before_the_next_scale_and_the_next_one_is_whole(after):
    cancel = threading.Event()
    events: list[Event] = []
    if after == 0:
        cancel.set()
    for event in PIPELINE.stream(REQUEST, cancel=cancel):
        events.append(event)
        if len(events) == after:
            cancel.set()
    assert events[-1] == Cancelled(completed_scales=after)
    assert len(events) == after + 1
    assert same(draw(REQUEST).images, tiny_pipeline().generate(REQUEST).images)


def test_cancel_between_the_last_scale_and_decoding_gives_no_picture(monkeypatch):
    cancel = threading.Event()
    pipeline = tiny_pipeline()
    original = pipeline.transformer.forward_scale

    def forward_scale(*arguments):
        if arguments[3] == NUM_SCALES - 1:
            cancel.set()
        return original(*arguments)

    monkeypatch.setattr(pipeline.transformer, "forward_scale", forward_scale)
    events = list(pipeline.stream(REQUEST, cancel=cancel))
    assert events[-1] == Cancelled(completed_scales=NUM_SCALES)


def test_abandoned_stream_leaves_nothing_behind():
    stream = PIPELINE.stream(REQUEST)
    next(stream)
    stream.close()
    assert not torch.is_inference_mode_enabled()
    assert same(draw(REQUEST).images, tiny_pipeline().generate(REQUEST).images)


def test_two_requests_at_once_equal_the_same_requests_alone():
    requests = [replace(REQUEST, num_images=2), GenerationRequest(prompt="a blue cat", seed=8)]
    expected = [draw(request).images for request in requests]
    found: dict[int, Done] = {}
    start = threading.Barrier(2)

    def work(index: int) -> None:
        start.wait(10)
        found[index] = draw(requests[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for index in range(2):
        assert same(found[index].images, expected[index])


def test_stream_resumed_on_other_threads_draws_the_same():
    stream = PIPELINE.stream(REQUEST)
    events: list[Event] = []
    leaked: list[bool] = []

    def resume() -> None:
        events.append(next(stream))
        leaked.append(torch.is_inference_mode_enabled())

    for _ in range(NUM_SCALES + 1):
        thread = threading.Thread(target=resume)
        thread.start()
        thread.join(30)
    assert isinstance(events[-1], Done)
    assert same(events[-1].images, draw(REQUEST).images)
    assert not any(leaked)


# What is asked for badly, and what goes wrong


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"aspect_ratio": "16:9"},
            r"tiny makes no pictures of aspect ratio '16:9'; choose one of 1:1, 3:2, 2:3\.",
        ),
        ({"guidance_layers": (-4,)}, r"guidance layer -4 does not exist: this model has 3 blocks"),
    ],
)
def test_what_the_model_cannot_do_is_refused_at_once(change, sentence):
    with pytest.raises(RequestError, match=sentence):
        PIPELINE.stream(replace(REQUEST, **change))


def test_unknown_preview_policy_is_refused_at_once():
    with pytest.raises(RequestError, match="previews must be one of off, live, full"):
        PIPELINE.stream(REQUEST, previews="tiny")


def test_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(RequestError, match="did you mean 'infinity-2b'"):
        InfinityPipeline.from_pretrained("infinity-2")


def test_missing_device_is_refused_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="This machine has no device 'cuda'"):
        InfinityPipeline.from_pretrained("infinity-8b", device="cuda")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError):
        InfinityPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "part", ["transformer.forward_scale", "tokenizer.decode", "text_encoder.encode"]
)
def test_out_of_memory_is_a_sentence_and_the_next_request_is_fine(monkeypatch, part):
    pipeline = tiny_pipeline()
    owner, name = part.split(".")

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(getattr(pipeline, owner), name, full)
        with pytest.raises(
            ResourceError, match=r"Out of memory while \w+.*; ask for fewer pictures"
        ):
            pipeline.generate(REQUEST)
    assert same(pipeline.generate(REQUEST).images, draw(REQUEST).images)


def test_other_errors_surface_and_the_next_request_is_fine(monkeypatch):
    pipeline = tiny_pipeline()
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.tokenizer, "decode", lambda latent: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pipeline.generate(REQUEST)
    assert not torch.is_inference_mode_enabled()
    assert same(pipeline.generate(REQUEST).images, draw(REQUEST).images)


# Notes on the prompt


def test_plain_prompt_needs_no_note():
    assert draw(REQUEST).notes == ()


def test_long_prompt_is_cut_with_a_note():
    done = draw(replace(REQUEST, prompt="word " * 3000))
    assert len(done.notes) == 1
    assert done.notes[0].startswith("The prompt was cut to its first 24 tokens")


def test_prompt_the_model_cannot_read_draws_with_a_note():
    (note,) = draw(replace(REQUEST, prompt="🎉🎉")).notes
    assert note.startswith("The model knows nothing of the prompt")
    (note,) = draw(replace(REQUEST, prompt="a red りんご")).notes
    assert "read it as “a red”" in note


def test_negative_prompt_without_guidance_has_no_effect_and_a_note():
    plain = replace(REQUEST, guidance=1.0)
    done = draw(replace(plain, negative_prompt="snow"))
    assert done.notes == ("The negative prompt has no effect while guidance is 1; raise guidance.",)
    assert same(done.images, draw(plain).images)


def test_values_beyond_the_last_scale_get_a_note():
    (note,) = draw(replace(REQUEST, guidance=(3.0,) * 9)).notes
    assert note.startswith("Of the 9 values of guidance only the first 5 are used")


def test_negative_prompt_is_read_without_syntax_and_says_so():
    done = draw(replace(REQUEST, negative_prompt="(snow:1.3)"))
    assert same(done.images, draw(replace(REQUEST, negative_prompt="snow")).images)
    assert done.notes == ("A negative prompt has no weights or changes; it was read as “snow”.",)


def test_prompt_that_ends_at_a_scale_is_no_unknown_prompt():
    assert draw(replace(REQUEST, prompt="[a red dog::2]")).notes == ()


def test_confidence_without_chance_has_no_effect_and_a_note():
    plain = replace(REQUEST, temperature=0.0)
    done = draw(replace(plain, confidence=0.6))
    assert same(done.images, draw(plain).images)
    assert [note.split(";")[0] for note in done.notes] == [
        "Confidence has no effect while every bit takes its likelier value"
    ]


def test_blank_negative_prompt_is_none():
    assert same(draw(replace(REQUEST, negative_prompt="  ")).images, draw(REQUEST).images)


def test_text_encoder_is_released_after_encoding_if_asked():
    pipeline = tiny_pipeline()
    pipeline.memory_mode = get_memory_mode("most")
    pipeline.generate(REQUEST)
    assert pipeline.text_encoder.released == 1


# Reconstruction


def test_reconstruction_takes_the_nearest_aspect_ratio_and_tells_the_bits():
    image = Image.effect_noise((300, 200), 90)
    result = PIPELINE.reconstruct(image)
    assert result.aspect_ratio == "3:2"
    assert result.image.size == result.original.size == (18, 12)
    schedule = SPEC.schedules["3:2"]
    assert [bits.shape for bits in result.bits] == [(scale.tokens, 8) for scale in schedule]
    assert all(bits.dtype == np.bool_ for bits in result.bits)
    assert result.psnr == pytest.approx(psnr(result.original, result.image))


def test_reconstruction_takes_the_ratio_asked_for_or_refuses_it():
    image = Image.new("RGBA", (30, 20))
    assert PIPELINE.reconstruct(image, "2:3").image.size == (12, 18)
    with pytest.raises(RequestError, match="no pictures of aspect ratio '5:1'"):
        PIPELINE.reconstruct(image, "5:1")


def test_psnr_of_equal_pictures_is_infinite():
    image = Image.new("RGB", (4, 4), "red")
    assert psnr(image, image) == float("inf")
    assert psnr(image, Image.new("RGB", (4, 4), (254, 0, 0))) == pytest.approx(52.9, abs=0.05)


# A model from a folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("model") / "tiny")


def test_model_from_a_folder_draws_and_reports_its_loading(folder):
    seen: list[tuple[str, float]] = []
    pipeline = InfinityPipeline.from_pretrained(
        folder, device="cpu", progress=lambda what, fraction: seen.append((what, fraction))
    )
    assert seen and all(what and 0 <= fraction <= 1 for what, fraction in seen)
    assert (pipeline.device.type, pipeline.dtype) == ("cpu", torch.float32)
    assert pipeline.nbytes == PIPELINE.nbytes
    done = pipeline.generate(GenerationRequest(prompt="a red apple on a sandy beach"))
    assert done.notes == ()
    assert pipeline.nbytes > PIPELINE.nbytes, "the text encoder is loaded now, and counted"
    pipeline.text_encoder.release()
    assert pipeline.nbytes == PIPELINE.nbytes
    again = InfinityPipeline.from_pretrained(folder, device="cpu")
    assert same(again.generate(done.request).images, done.images)


def test_emoji_and_unknown_letters_draw_with_a_note_on_a_real_text_encoder(folder):
    pipeline = InfinityPipeline.from_pretrained(folder, device="cpu")
    for prompt in ("🎉🎉", "りんご"):
        (note,) = pipeline.generate(GenerationRequest(prompt=prompt)).notes
        assert "knows nothing of the prompt" in note
    (note,) = pipeline.generate(GenerationRequest(prompt="a red 🎉 apple")).notes
    assert "read it as “a red apple”" in note
    (note,) = pipeline.generate(GenerationRequest(prompt="apple " * 3000)).notes
    assert "cut to its first 24 tokens" in note


def test_bfloat16_model_draws_and_replays_exactly(folder):
    pipeline = InfinityPipeline.from_pretrained(folder, device="cpu", dtype="bfloat16")
    assert pipeline.dtype == torch.bfloat16
    done = pipeline.generate(replace(REQUEST, num_images=2))
    assert read_record(done.images[0]).dtype == "bfloat16"
    for image in done.images:
        assert same(pipeline.generate(read_request(image)[0]).images, [image])
