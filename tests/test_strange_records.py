"""Records, recipes and configurations with anything anywhere in them: read, or one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infinity.errors import CheckpointError, RequestError
from infinity.files import parse_object
from infinity.grid.axes import Axis
from infinity.grid.plan import GridPlan
from infinity.metadata import PictureRecord, weights_note
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.request import GenerationRequest
from infinity.spec import ModelSpec, read_spec
from infinity.world.vocabulary import Vocabulary, read_vocabulary

NESTED: list[Any] = []
for _ in range(200):
    NESTED = [NESTED]

HOSTILE: list[Any] = [
    None, True, -5, 0, 1, 1.5, 1e30, -1e30, 2**64, 10**400, -(10**400), float("nan"), float("inf"),
    "4", "", "\0", "\ud800", "x" * 100_000, [], {}, NESTED, {"a": NESTED}, {"": None}, [1] * 10_000,
    [[1, 1]] * 3, ["1", None], [10**400], [float("nan")],
]  # fmt: skip

REQUEST = GenerationRequest(
    prompt="a {red|blue} car",
    negative_prompt="blur",
    seed=3,
    guidance=(1.0, 2.0),
    temperature=0.5,
    top_k=2,
    top_p=0.9,
    guidance_layers=(0, -2),
    guided_scales=2,
    pruning=0.5,
)
RECORD = PictureRecord(
    request=REQUEST.pictures()[0],
    model="default",
    weights="0123456789abcdef",
    device="cpu",
    dtype="float32",
    threads=2,
    versions={"torch": "2"},
    template="a {red|blue} car",
    batch=replace(REQUEST, num_images=2),
)
PLAN = GridPlan(
    model="default",
    request=REQUEST,
    x=Axis(parameter="guidance", values=(1.0, 2.0)),
    y=Axis(parameter="seed", values=(1, 2)),
)
CONFIG = read_spec(DEFAULT_MODEL_FOLDER).to_dict()


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON: the whole first; of long lists the beginning alone."""
    yield ()
    inside = value.items() if isinstance(value, dict) else ()
    inside = list(enumerate(value[:2])) if isinstance(value, list) else list(inside)[:12]
    for key, part in inside:
        yield from ((key, *deeper) for deeper in places(part))


def changed(value: Any, place: tuple[Any, ...], put: Any) -> Any:
    if not place:
        return put
    value = copy.copy(value)
    value[place[0]] = changed(value[place[0]], place[1:], put)
    return value


def variants(whole: Any) -> list[str]:
    """The JSON texts with every hostile value at every place, and with a foreign entry."""
    texts = [json.dumps(changed(whole, p, put)) for p in places(whole) for put in HOSTILE]
    return [
        *texts,
        json.dumps({**whole, "foreign": 1}),
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 9999,
    ]


def refusals(read, texts: list[str], error: type[Exception]) -> int:
    count = 0
    for text in texts:
        try:
            read(text)
        except error as refusal:
            count += 1
            assert len(str(refusal)) < 700, str(refusal)[:1000]
            assert "\n" not in str(refusal)
        except BaseException as crash:
            raise AssertionError(f"{text[:300]} ... gives {crash!r}"[:600]) from crash
    return count


def test_record_with_anything_in_it_is_read_or_refused():
    texts = variants(json.loads(RECORD.to_json()))
    assert refusals(PictureRecord.from_json, texts, RequestError) > 200


def test_recipe_of_a_grid_with_anything_in_it_is_read_or_refused():
    assert refusals(GridPlan.from_json, variants(json.loads(PLAN.to_json())), RequestError) > 200


def test_request_with_anything_in_it_is_read_or_refused():
    def read(text: str) -> GenerationRequest:
        return GenerationRequest.from_dict(parse_object(text, "The request"))

    assert refusals(read, variants(REQUEST.to_dict()), RequestError) > 100


def test_configuration_with_anything_in_it_is_read_or_refused(tmp_path):
    def read(text: str) -> ModelSpec:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        return read_spec(tmp_path)

    assert refusals(read, variants(CONFIG), CheckpointError) > 1000


def test_vocabulary_with_anything_in_it_is_read_or_refused(tmp_path):
    known = read_vocabulary(DEFAULT_MODEL_FOLDER)
    assert known is not None

    def read(text: str) -> Vocabulary | None:
        (tmp_path / "world.json").write_text(text, encoding="utf-8")
        vocabulary = read_vocabulary(tmp_path)
        assert vocabulary is not None
        vocabulary.corrected("a rde aple")
        return vocabulary

    short = {name: dict(list(v.items())[:2]) if isinstance(v, dict) else v if isinstance(v, int) else v[:3] for name, v in
             known.to_dict().items()}  # fmt: skip
    assert refusals(read, variants(short), CheckpointError) > 200


@pytest.mark.parametrize(
    ("weights", "here", "told"),
    [
        ("", "", 0),
        ("", "ab", 0),
        ("ab", "", 0),
        ("ab", "ab", 0),
        ("ab", "cd", 1),
        ("x" * 99, "cd", 1),
    ],
)
def test_other_weights_are_told_where_both_are_known(weights, here, told):
    note = weights_note(weights, here)
    assert bool(note) == told
    assert len(note) < 400


def test_record_without_a_fingerprint_still_reads():
    data = json.loads(RECORD.to_json())
    del data["weights"]
    assert PictureRecord.from_json(json.dumps(data)).weights == ""
    assert PictureRecord.from_json(RECORD.to_json()) == RECORD
