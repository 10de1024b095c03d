"""Hostile calls over every endpoint and way in: each is answered in words, and drawing goes on."""

from __future__ import annotations

import io
import urllib.request
from collections import Counter

from PIL import Image

from infinity.request import GenerationRequest
from tests.hostile import answer, calls, functions
from tests.ui.test_gate import PIPELINE, ask, runs, url  # noqa: F401 (fixtures)


def drawn(address: str) -> bytes:
    """The pixels of an apple that the server draws."""
    kind, said = ask(address, "generate", {"data": ["an apple"]})
    assert kind == "complete"
    with urllib.request.urlopen(said[0][0]["url"], timeout=60) as reply:
        return Image.open(io.BytesIO(reply.read())).tobytes()


def test_hostile_calls_are_answered_in_words_and_drawing_goes_on(url):  # noqa: F811
    bad: list[tuple[str, str, str, str]] = []
    kinds: Counter[str] = Counter()
    for call in calls(functions(url), 300):
        kind, text = answer(url, call)
        kinds[kind] += 1
        if kind not in ("picture", "value", "sentence"):
            bad.append((call.path, str(call.body[:200]), kind, text[:300]))
    assert not bad, (kinds, bad)
    assert kinds["sentence"] > 100
    expected = PIPELINE.generate(GenerationRequest(prompt="an apple")).images[0]
    assert drawn(url) == expected.tobytes()
