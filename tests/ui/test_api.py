"""The running server as a program sees it: every named endpoint, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from infinity.grid.plan import read_plan
from infinity.images import open_image
from infinity.metadata import attach, read_record, save_png
from infinity.presets import PRESET_NAMES, ramp
from infinity.request import GenerationRequest
from infinity.ui.controls.choices import GENERAL_STYLES
from infinity.ui.opening.replay import read_link
from infinity.ui.shared.runs import Runs
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.tiny_page import tiny_page

PIPELINE = tiny_pipeline()
CHANGES: dict[str, Any] = {
    "negative_prompt": "snow",
    "aspect_ratio": "3:2",
    "seed": 2,
    "guidance": 5.5,
    "temperature": 0.4,
    "top_k": 1,
    "top_p": 0.8,
    "confidence": [0.6, 0.8],
    "num_images": 2,
    "guidance_layers": [-1],
    "guided_scales": 2,
    "pruning": 0.5,
    "fp8_scales": 1,
}
BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"prompt": ""}, "The prompt is empty"),
    ({"prompt": " \n\t"}, "The prompt is empty"),
    ({"prompt": "word " * 10_000}, "shorten it"),
    ({"prompt": None}, "must be text"),
    ({"prompt": ["a"]}, "must be text"),
    ({"seed": -2}, "seed must be a whole number"),
    ({"seed": 2**32}, "seed must be a whole number"),
    ({"seed": "seven"}, "seed must be a whole number"),
    ({"guidance": "nan"}, "guidance must be a number"),
    ({"guidance": -1}, "guidance must be a number"),
    ({"temperature": 1000}, "temperature must be a number"),
    ({"top_k": 1.5}, "top_k must be a whole number"),
    ({"top_p": 0}, "top_p must be above 0"),
    ({"confidence": 0.4}, "confidence must be a number from 0.5 to 1"),
    ({"num_images": 0}, "num_images must be a whole number"),
    ({"aspect_ratio": "9:1"}, "choose one of 1:1, 3:2, 2:3"),
    ({"model": "tyni"}, "Unknown model 'tyni'; choose one of tiny"),
    (
        {"preset": "slow"},
        "Unknown preset 'slow'; choose one of balanced, fast, turbo, paper, pyramid, varied",
    ),
    ({"style": "baroque"}, "Unknown style 'baroque'; choose one of None, Photograph"),
    ({"guidance": [1, "x"]}, "guidance must be a number"),
    ({"guidance_layers": [3]}, "guidance_layers must be a list"),
    ({"start": "x"}, "start must be the bits of a picture and what of it stays"),
    ({"start": {"bitz": ""}}, "has no setting 'bitz'; did you mean 'bits'"),
    ({"start": {"bits": "x"}}, "The bits"),
)


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[str]:
    with tiny_page(tmp_path_factory.mktemp("page"), PIPELINE, runs) as url:
        yield url


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def client(url: str, downloads: str) -> Iterator[Client]:
    client = Client(url, verbose=False, download_files=downloads)
    yield client
    client.close()


@pytest.fixture
def another_client(url: str, downloads: str) -> Iterator[Client]:
    """Somebody else, who has drawn nothing yet."""
    client = Client(url, verbose=False, download_files=downloads)
    yield client
    client.close()


def pixels(path: str | Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_prompt_alone_is_enough_and_equals_python(client):
    (path,) = client.predict("a red apple", api_name="/generate")
    assert Path(path).suffix == ".png"
    assert (
        pixels(path)
        == PIPELINE.generate(GenerationRequest(prompt="a red apple")).images[0].tobytes()
    )


def test_file_replays_to_the_same_pixels(client):
    (path,) = client.predict("two penguins", seed=9, guidance=4.0, api_name="/generate")
    record = read_record(path)
    assert record.model == "tiny"
    assert PIPELINE.generate(record.request).images[0].tobytes() == pixels(path)


def test_pictures_come_in_the_order_of_their_seeds(client):
    paths = client.predict("a castle", seed=2**32 - 1, num_images=2, api_name="/generate")
    assert [read_record(path).request.seed for path in paths] == [2**32 - 1, 0]


@pytest.mark.parametrize("name", CHANGES)
def test_parameter_reaches_the_model(client, name):
    (path, *_) = client.predict("a red apple", **{name: CHANGES[name]}, api_name="/generate")
    asked = GenerationRequest.from_dict({"prompt": "a red apple", name: CHANGES[name]})
    record = read_record(path).request
    expected = 1 if name == "num_images" else getattr(asked, name)
    assert getattr(record, name) == expected
    assert pixels(path) == PIPELINE.generate(asked).images[0].tobytes()


def test_preset_is_what_settings_given_beside_it_replace(client):
    (path,) = client.predict("x", preset="paper", temperature=0.5, api_name="/generate")
    request = read_record(path).request
    assert (request.guidance, request.temperature) == (4.0, 0.5)
    (path,) = client.predict("x", preset="pyramid", api_name="/generate")
    assert read_record(path).request.guidance == ramp(1.0, 5.0, len(SPEC.schedules["1:1"]))


def test_values_may_differ_from_scale_to_scale(client):
    (path,) = client.predict("x", guidance=[1, 2.5], temperature=[1, 0.5], api_name="/generate")
    request = read_record(path).request
    assert (request.guidance, request.temperature) == ((1, 2.5), (1, 0.5))


def test_minus_one_draws_a_random_seed(client):
    seeds = {
        read_record(client.predict("x", seed=-1, api_name="/generate")[0]).request.seed
        for _ in range(2)
    }
    assert len(seeds) == 2


def test_style_ends_the_prompt(client):
    (path,) = client.predict("a red apple", style="oil painting", api_name="/generate")
    phrase = GENERAL_STYLES["Oil painting"]
    assert read_record(path).request.prompt == f"a red apple, {phrase}"


def test_null_takes_the_models_defaults(client):
    (path,) = client.predict(
        "x", guidance=None, temperature=None, top_k=None, top_p=None, api_name="/generate"
    )
    assert read_record(path).request.guidance == SPEC.sampling.guidance


@pytest.mark.parametrize(("change", "message"), BAD, ids=lambda value: str(value)[:24])
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(client, runs, change, message):
    with pytest.raises(AppError, match=message) as caught:
        client.predict(**{"prompt": "a red apple", **change}, api_name="/generate")
    assert "\n" not in str(caught.value)
    assert len(runs) == 0


@pytest.mark.parametrize("prompt", ["🍎🐧🚗", "красное яблоко", "一个红苹果"])
def test_unusual_prompts_give_a_picture(client, prompt):
    (path,) = client.predict(prompt, api_name="/generate")
    assert read_record(path).request.prompt == prompt


def test_nan_that_json_lets_through_is_refused(url):
    """Python's own clients cannot send NaN; a careless one can."""
    body = b'{"data": ["x", "", "tiny", "1:1", 0, NaN, null, null, null, 1]}'
    call = urllib.request.Request(
        f"{url}gradio_api/call/generate", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(call, timeout=60) as reply:
            event = json.load(reply)["event_id"]
    except urllib.error.HTTPError as error:
        assert 400 <= error.code < 500
        return
    with urllib.request.urlopen(f"{url}gradio_api/call/generate/{event}", timeout=60) as reply:
        assert b"event: error" in reply.read()


def test_many_at_once_are_all_answered_alike(client, runs):
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(client.predict, "a red apple", seed=i % 2, api_name="/generate")
            for i in range(6)
        ]
        pictures = [pixels(job.result()[0]) for job in jobs]
    assert pictures[0::2] == [pictures[0]] * 3
    assert pictures[1::2] == [pictures[1]] * 3
    assert pictures[0] != pictures[1]
    assert len(runs) == 0


ENDPOINTS = {
    "/generate", "/grid", "/stop", "/settings", "/history", "/zip", "/models", "/rewrite", "/plan",
    "/load", "/unload", "/vary", "/edit", "/mix", "/repair", "/extend", "/inspect", "/flip", "/reconstruct",
    "/bits", "/watch",
}  # fmt: skip


def described(client: Client) -> dict[str, Any]:
    found = client.view_api(return_format="dict", print_info=False)
    assert isinstance(found, dict)
    assert found["unnamed_endpoints"] == {}
    return found["named_endpoints"]


def test_every_endpoint_is_offered_and_described(client):
    endpoints = described(client)
    assert set(endpoints) == ENDPOINTS
    for name, endpoint in endpoints.items():
        assert endpoint["description"], name
        for parameter in endpoint["parameters"]:
            assert parameter["parameter_name"], name
    parameters = endpoints["/generate"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == [
        "prompt", "negative_prompt", "model", "aspect_ratio", "seed",
        "guidance", "temperature", "top_k", "top_p", "num_images", "guidance_layers",
        "guided_scales", "pruning", "fp8_scales", "confidence", "candidates",
        "prune_at_scale", "scorer", "complete_prompt", "preset", "style", "start",
    ]  # fmt: skip
    assert [p["parameter_has_default"] for p in parameters] == [False] + [True] * 21
    *watched, growth = endpoints["/watch"]["parameters"]
    assert watched == parameters
    assert growth["parameter_name"] == "growth"
    common = [p["parameter_name"] for p in parameters if p["parameter_name"] != "num_images"]
    grid = [p["parameter_name"] for p in endpoints["/grid"]["parameters"]]
    assert [name for name in grid if name.split("_")[0] not in "xy"] == common


def test_models_tell_what_they_draw_and_whether_they_are_in_memory(client):
    client.predict("a red apple", api_name="/generate")
    tiny = next(m for m in client.predict(api_name="/models") if m["name"] == "tiny")
    assert tiny["aspect_ratios"] == {"1:1": [16, 16], "3:2": [18, 12], "2:3": [12, 18]}
    assert list(tiny["presets"]) == list(PRESET_NAMES)
    assert tiny["styles"]["Watercolour"] == GENERAL_STYLES["Watercolour"]
    assert tiny["loaded"] is True
    assert (tiny["bytes"], tiny["device"], tiny["dtype"]) == (PIPELINE.nbytes, "cpu", "float32")


def test_models_are_planned_loaded_and_unloaded(client):
    assert client.predict("tiny", api_name="/load") == {"name": "tiny", "bytes": PIPELINE.nbytes}
    assert client.predict("tiny", api_name="/unload") is True
    assert client.predict("tiny", api_name="/unload") is False
    plan = client.predict("tiny", "most", api_name="/plan")
    assert (plan["memory_mode"], plan["obstacle"]) == ("most", "")
    assert plan["need"] > 0


@pytest.mark.parametrize("name", ["/plan", "/load", "/unload"])
def test_unknown_model_is_one_sentence_everywhere(client, name):
    with pytest.raises(AppError, match="Unknown model 'tyni'; choose one of tiny"):
        client.predict("tyni", api_name=name)


def test_grid_is_one_png_with_its_recipe_and_its_cells_are_what_generate_draws(another_client):
    path = another_client.predict(
        "a red apple", "words", "red, blue", "guidance", '1, "1,3"', seed=5, api_name="/grid"
    )
    plan = read_plan(open_image(path))
    assert plan is not None
    assert (plan.shape, plan.request.seed, plan.model) == ((2, 2), 5, "tiny")
    drawn = another_client.predict(api_name="/history")
    assert [picture["prompt"] for picture in drawn] == [
        "a blue apple", "a red apple", "a blue apple", "a red apple",
    ]  # fmt: skip
    (alone,) = another_client.predict(**drawn[0]["arguments"], api_name="/generate")
    assert pixels(alone) == pixels(drawn[0]["picture"])
    settings = another_client.predict(handle_file(path), api_name="/settings")
    assert settings["endpoint"] == "/grid"
    again = another_client.predict(**settings["arguments"], api_name="/grid")
    assert pixels(again) == pixels(path)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (("seed", "x"), "not a value"),
        (("colour", "red"), "A grid cannot vary 'colour'"),
        (("seed", ""), "the list is empty"),
        (("seed", "1-9", "guidance", "1-9"), "at most 64"),
        (("model", "tiny, tyni"), "Unknown model 'tyni'"),
        (("aspect_ratio", "1:1, 9:1"), "choose one of 1:1, 3:2, 2:3"),
    ],
)
def test_bad_grid_is_one_sentence_and_draws_nothing(client, runs, axes, message):
    with pytest.raises(AppError, match=message):
        client.predict("a red apple", *axes, api_name="/grid")
    assert len(runs) == 0


def test_grid_takes_its_styles_from_one_place(client):
    with pytest.raises(AppError, match="leave style empty"):
        client.predict("x", "style", "a, b", style="anime", api_name="/grid")


def test_history_has_what_this_client_drew_and_nobody_else(client, another_client):
    assert another_client.predict(api_name="/history") == []
    with pytest.raises(AppError, match="no pictures of yours"):
        another_client.predict(api_name="/zip")
    another_client.predict("a {red|blue} car", seed=1, num_images=2, api_name="/generate")
    second, first = another_client.predict(api_name="/history")
    assert (first["seed"], second["seed"]) == (1, 2)
    assert {first["prompt"], second["prompt"]} == {"a red car", "a blue car"}
    found = read_link(parse_qsl(first["link"].removeprefix("?")))
    assert found == ("tiny", read_record(first["picture"]).request)
    with zipfile.ZipFile(another_client.predict(api_name="/zip")) as archive:
        assert [name.rsplit("-", 1)[1] for name in archive.namelist()] == ["2.png", "1.png"]
    assert not [p for p in client.predict(api_name="/history") if p["prompt"].endswith(" car")]


def test_settings_of_a_picture_are_the_arguments_that_draw_it_again(client):
    (path,) = client.predict("two penguins", seed=9, guidance=[1, 4], api_name="/generate")
    found = client.predict(handle_file(path), api_name="/settings")
    assert found["endpoint"] == "/generate"
    (again,) = client.predict(**found["arguments"], api_name="/generate")
    assert pixels(again) == pixels(path)
    (other,) = client.predict(**{**found["arguments"], "prompt": "a fox"}, api_name="/generate")
    assert read_record(other).request == replace(read_record(path).request, prompt="a fox")


def test_settings_of_an_edited_picture_draw_it_again(client):
    (path,) = client.predict("two penguins", seed=9, api_name="/generate")
    changed = {"prompt": "a fox", "box": [0, 0, 0.5, 1], "api_name": "/edit"}
    (edited,) = client.predict(handle_file(path), **changed)
    found = client.predict(handle_file(edited), api_name="/settings")
    (again,) = client.predict(**found["arguments"], api_name=found["endpoint"])
    assert pixels(again) == pixels(edited) != pixels(path)
    job = client.submit(**found["arguments"], api_name="/watch")
    assert pixels(job.result()["pictures"][0]) == pixels(edited)


@pytest.mark.parametrize(("weights", "told"), [("0abc", True), ("", False)])
def test_settings_of_other_weights_say_so(client, tmp_path, monkeypatch, weights, told):
    monkeypatch.setattr(PIPELINE, "fingerprint", "0def")
    (path,) = client.predict("two penguins", seed=9, api_name="/generate")
    assert read_record(path).weights == "0def"
    assert client.predict(handle_file(path), api_name="/settings")["note"] == ""
    image = open_image(path)
    attach(image, replace(read_record(image), weights=weights))
    other = save_png(image, tmp_path / "other.png")
    note = client.predict(handle_file(other), api_name="/settings")["note"]
    assert ("other weights" in note) == told


@pytest.mark.parametrize(
    "picture",
    ["/etc/passwd", "../../etc/passwd", "", "http://127.0.0.1/x.png", {"path": None}, 3, "a\0b"],
)
def test_settings_reads_nothing_but_uploads(client, picture):
    with pytest.raises(AppError, match="Send the PNG itself"):
        sent = {"path": picture} if isinstance(picture, str) else picture
        client.predict(sent, api_name="/settings")


def test_settings_of_a_file_made_elsewhere_are_refused(client, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (("plain.png", "has no Infinity record"), ("text.png", "cannot be read")):
        with pytest.raises(AppError, match=message):
            client.predict(handle_file(tmp_path / name), api_name="/settings")


def test_stop_with_nothing_running_says_so(client):
    assert client.predict(api_name="/stop") is False


def test_prompt_help_is_off_until_the_host_sets_it_up(client):
    with pytest.raises(AppError, match="Prompt help is off"):
        client.predict("a fox", api_name="/rewrite")


def blocks_of(language: str) -> list[str]:
    """The examples of docs/api.md, which the page shows."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_python_example_runs(url, capsys):
    (example,) = blocks_of("python")
    exec(compile(example.replace("http://127.0.0.1:7860", url), "docs/api.md", "exec"), {})
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("Loaded")]
    assert read_record(lines[0]).request.seed == 3
    assert read_plan(open_image(lines[1])) is not None
    assert any(line.startswith("a fox in the snow 3 ") for line in lines)
    assert any(line.startswith("tiny ") for line in lines)


def test_curl_example_runs(url, tmp_path):
    (example,) = blocks_of("bash")
    script = example.replace("http://127.0.0.1:7860", url.rstrip("/"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [line for line in done.stdout.splitlines() if line.startswith("data: ")]
    grid, settings = (json.loads(line.removeprefix("data: "))[0] for line in answers)
    with urllib.request.urlopen(grid["url"], timeout=60) as reply:
        assert reply.read(8) == b"\x89PNG\r\n\x1a\n"
    assert read_record(tmp_path / "penguin.png").request.seed == 3
    assert (settings["arguments"]["prompt"], settings["arguments"]["seed"]) == (
        "a penguin in the snow", 3,
    )  # fmt: skip


def test_page_names_no_foreign_host(url):
    with urllib.request.urlopen(url, timeout=60) as reply:
        page = reply.read().decode()
    for tag in ('<script src="http', '<link rel="stylesheet" href="http', "fonts.googleapis"):
        assert tag not in page
    with urllib.request.urlopen(f"{url}theme.css", timeout=60) as reply:
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", reply.read().decode())
