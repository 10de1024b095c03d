"""Best of several: the best one is taken, alone it is the same picture, and the worse half goes early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from infinity.errors import RequestError
from infinity.events import Done, Preview, Refined
from infinity.generation.selection import candidate_seed
from infinity.hosting import Allowance, Hosting
from infinity.metadata import read_record
from infinity.request import GenerationRequest
from tests.test_hub import without_network
from tests.tiny import tiny_pipeline

PIPELINE = tiny_pipeline()
REQUEST = GenerationRequest(prompt="a {red|blue} dog", seed=7, candidates=4)


def redness(image: Image.Image) -> float:
    return float(np.asarray(image, dtype=float)[..., 0].mean())


class Reddest:
    """Scores by redness, and remembers what it was asked."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.asked: list[int] = []

    def __call__(self, prompt: str):
        self.prompts.append(prompt)

        def scores(images: Sequence[Image.Image]) -> list[float]:
            self.asked.append(len(images))
            return [*map(redness, images)]

        return scores


def draw(request: GenerationRequest, scorer: Reddest | None = None, **options) -> list:
    return [*PIPELINE.stream(request, scorer=scorer or Reddest(), **options)]


def alone(request: GenerationRequest, candidate: int) -> Image.Image:
    seed = candidate_seed(request.seed, candidate)
    prompt = request.prompts[0]
    plain = replace(request, prompt=prompt, seed=seed, candidates=1, prune_at_scale=0)
    return PIPELINE.generate(plain).images[0]


def test_best_candidate_is_taken_and_its_record_draws_it_alone():
    scorer = Reddest()
    done = draw(REQUEST, scorer)[-1]
    candidates = [alone(REQUEST, number) for number in range(4)]
    best = max(range(4), key=lambda number: redness(candidates[number]))
    (image,) = done.images
    assert image.tobytes() == candidates[best].tobytes()
    assert len({one.tobytes() for one in candidates}) == 4
    assert scorer.prompts == [REQUEST.prompts[0]] and scorer.asked == [4]
    record = read_record(image)
    assert record.chosen.startswith(f"candidate {best + 1} of 4 from seed 7, chosen by a scorer")
    assert record.request.candidates == 1
    assert PIPELINE.generate(record.request).images[0].tobytes() == image.tobytes()
    assert done.request.candidates == 4 and done.request.seed == 7
    assert done.notes == (f"Of 4 candidates number {best + 1} was taken.",)


def test_each_picture_is_the_best_of_its_own():
    both = draw(replace(REQUEST, num_images=2))[-1]
    second = draw(replace(REQUEST, seed=8))[-1]
    assert both.images[1].tobytes() == second.images[0].tobytes()
    assert len(both.images) == len(both.bits) == 2


def test_worse_half_is_dropped_after_its_scale_and_not_drawn_on():
    scorer = Reddest()
    request = replace(REQUEST, candidates=5, prune_at_scale=3)
    done = draw(request, scorer)[-1]
    assert scorer.asked == [5, 3]
    so_far = [
        redness(
            next(
                event.images[0]
                for event in PIPELINE.stream(
                    replace(REQUEST, prompt=REQUEST.prompts[0], seed=candidate_seed(7, number), candidates=1),
                    previews="full",
                )
                if isinstance(event, Preview) and event.index == 2 and event.images
            )
        )
        for number in range(5)
    ]  # fmt: skip
    left = sorted(range(5), key=lambda number: -so_far[number])[:3]
    best = max(left, key=lambda number: redness(alone(REQUEST, number)))
    assert done.images[0].tobytes() == alone(REQUEST, best).tobytes()


def test_previews_show_all_and_the_timeline_ends_as_the_chosen_ones():
    events = draw(replace(REQUEST, prune_at_scale=2), refine=True)
    previews = [event.images for event in events if isinstance(event, Preview)]
    assert {len(images) for images in previews if images} == {1}
    done = next(event for event in events if isinstance(event, Done))
    refined = {event.index: event.images[0] for event in events if isinstance(event, Refined)}
    own = [*PIPELINE.stream(read_record(done.images[0]).request, previews="full")]
    assert set(refined) == set(range(len(previews) - 1))
    for event in own[: len(refined)]:
        assert event.images[0].tobytes() == refined[event.index].tobytes()


def test_same_request_takes_the_same_candidate():
    request = replace(REQUEST, prune_at_scale=1)
    first, again = (draw(request)[-1].images[0] for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prune_at_scale": 5}, "cannot be dropped after scale 5: the picture has 5"),
        ({}, "judge does not know the pictures of tiny; name a scorer"),
        ({"num_images": 20}, "20 pictures of 4 candidates each are more than 64"),
        ({"candidates": 0}, "candidates must be a whole number"),
        ({"scorer": "no/such-model-here", "candidates": 2}, "cannot be loaded; name a CLIP-like model"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_one_sentence(changes, sentence, monkeypatch):
    without_network(monkeypatch)
    with pytest.raises(Exception, match=sentence):
        PIPELINE.generate(replace(REQUEST, **changes))


def test_batch_draws_no_candidates():
    with pytest.raises(RequestError, match="A batch draws no candidates"):
        PIPELINE.generate_batch([replace(REQUEST, scorer="judge")])


def test_public_page_counts_candidates_and_names_its_scorers():
    allowance = Allowance(Hosting(public=True, max_pictures=4, scorers=("some/clip",)))
    allowance.check(REQUEST)
    allowance.check(replace(REQUEST, scorer="some/clip"))
    with pytest.raises(RequestError, match="at most 4 pictures a request, candidates among them"):
        allowance.check(replace(REQUEST, num_images=2))
    with pytest.raises(RequestError, match="nobody but judge, some/clip choose"):
        allowance.check(replace(REQUEST, scorer="/etc"))
