"""The settings of a host, and what they let visitors do."""

from __future__ import annotations

from pathlib import Path

import pytest

from infinity.errors import CheckpointError, RequestError
from infinity.hosting import Allowance, Hosting
from infinity.request import MAX_IMAGES, MAX_PROMPT_CHARACTERS, GenerationRequest
from infinity.start import Start

ROOT = Path(__file__).resolve().parent.parent


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def asked(prompt: str = "a fox", **changes) -> GenerationRequest:
    return GenerationRequest(prompt=prompt, **changes)


def test_without_settings_nothing_is_limited():
    allowance = Allowance()
    largest = asked("x" * MAX_PROMPT_CHARACTERS, num_images=MAX_IMAGES)
    for _ in range(500):
        allowance.admit("alice", largest)


def test_shipped_settings_are_meant_for_strangers():
    hosting = Hosting.from_file(ROOT / "assets" / "hosting.toml")
    assert hosting.public
    assert not hosting.history
    assert hosting.requests_per_minute > 0
    assert hosting.max_pictures < Hosting().max_pictures
    assert hosting.rewriter.kind == "off"


def test_shipped_settings_spell_out_every_setting():
    text = (ROOT / "assets" / "hosting.toml").read_text()
    for name in Hosting().to_dict():
        assert f"\n{name} =" in text or f"\n[{name}]" in text, name
    for name in Hosting().rewriter.to_dict():
        assert f"\n{name} =" in text, name


def test_unknown_setting_is_refused_with_the_nearest(tmp_path):
    path = tmp_path / "hosting.toml"
    path.write_text("max_picture = 3")
    with pytest.raises(RequestError, match="did you mean 'max_pictures'"):
        Hosting.from_file(path)


@pytest.mark.parametrize("text", ["public = ", "\x00", "max_pictures = 0", "rewriter = 3"])
def test_damaged_settings_are_one_sentence(tmp_path, text):
    path = tmp_path / "hosting.toml"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"settings file .*hosting\.toml") as caught:
        Hosting.from_file(path)
    assert "\n" not in str(caught.value)


def test_missing_settings_are_one_sentence(tmp_path):
    with pytest.raises(RequestError, match="cannot be read"):
        Hosting.from_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "setting",
    [
        {"max_pictures": 0},
        {"max_prompt_characters": "many"},
        {"requests_per_minute": -1},
        {"login": "google"},
        {"public": "yes"},
        {"memory_gigabytes": -1},
        {"memory_gigabytes": float("nan")},
        {"upload_types": ["png"]},
        {"models": [3]},
        {"trusted_proxies": "nonsense"},
        {"trusted_proxies": "10.0.0.0/8, 10.0.0.0/99"},
        {"rewriter": {"kind": "endpoint", "model": "m", "base_url": "file:///etc/passwd"}},
        {"rewriter": {"kind": "endpoint", "base_url": "http://x"}},
    ],
)
def test_setting_out_of_range_is_refused(setting):
    with pytest.raises(CheckpointError):
        Hosting.from_dict(setting)


def test_settings_round_trip():
    hosting = Hosting.from_file(ROOT / "assets" / "hosting.toml")
    assert Hosting.from_dict(hosting.to_dict()) == hosting


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked("x" * 11), "prompt of at most 10 characters"),
        (asked("x", negative_prompt="y" * 11), "negative prompt of at most 10 characters"),
        (asked("x", num_images=3), "at most 2 pictures a request"),
        (asked("x", start=Start(bits="", told="y" * 11)), "picture's prompt of at most 10"),
    ],
)
def test_request_beyond_the_limits_is_refused(request_, message):
    allowance = Allowance(Hosting(max_prompt_characters=10, max_pictures=2))
    with pytest.raises(RequestError, match=message):
        allowance.admit("alice", request_)
    allowance.admit("alice", asked("x" * 10, num_images=2))


def test_visitor_waits_after_too_many_requests_and_others_do_not():
    clock = Clock()
    allowance = Allowance(Hosting(requests_per_minute=2), clock)
    allowance.admit("alice", asked())
    clock.now += 20
    allowance.admit("alice", asked())
    with pytest.raises(RequestError, match="2 requests a minute; try again in 40 s"):
        allowance.admit("alice", asked())
    allowance.admit("bob", asked())
    clock.now += 40
    allowance.admit("alice", asked())
    with pytest.raises(RequestError, match="try again in 20 s"):
        allowance.admit("alice", asked())


def test_request_that_is_worth_several_counts_as_many():
    clock = Clock()
    allowance = Allowance(Hosting(requests_per_minute=4), clock)
    allowance.admit("alice", asked(), requests=3)
    clock.now += 20
    allowance.admit("alice", asked())
    with pytest.raises(RequestError, match="4 requests a minute; try again in 40 s"):
        allowance.admit("alice", asked(), requests=3)
    clock.now += 40
    allowance.admit("alice", asked(), requests=3)
    few = Allowance(Hosting(requests_per_minute=2), clock)
    few.admit("alice", asked(), requests=3)
    with pytest.raises(RequestError, match="try again in 60 s"):
        few.admit("alice", asked())


def test_refused_request_is_not_counted():
    clock = Clock()
    allowance = Allowance(Hosting(requests_per_minute=1, max_pictures=1), clock)
    with pytest.raises(RequestError):
        allowance.admit("alice", asked(num_images=2))
    allowance.admit("alice", asked())


def test_visitors_long_gone_are_forgotten(monkeypatch):
    monkeypatch.setattr("infinity.hosting.MAX_VISITORS", 3)
    clock = Clock()
    allowance = Allowance(Hosting(requests_per_minute=2), clock)
    for name in "abcd":
        allowance.admit(name)
    clock.now += 61
    allowance.admit("e")
    assert set(allowance._begun) == {"e"}
