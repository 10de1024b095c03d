"""Pages over reloads: one key a tab, runs that wait for whoever comes back, and end for who does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from infinity.request import GenerationRequest
from infinity.ui.shared import pages as module
from infinity.ui.shared.pages import GENERATE, GRID, KINDS, Pages, Relay
from infinity.ui.shared.runs import Run, Runs

LONG = 600.0


class Stopped(list[str]):
    """The names whose runs were stopped; a page's last one wakes whoever waits."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = threading.Event()

    def __call__(self, name: str) -> None:
        self.append(name)
        if name.endswith(GRID):
            self.is_over.set()


def test_key_brings_a_left_tab_back_to_its_page():
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first")
    assert pages.of("first") is page
    pages.leave("first")
    assert pages.claim("second", page.key) is page
    assert pages.of("second") is page
    assert pages.of("first") is not page


def test_page_that_drew_before_it_was_claimed_stays_the_sessions():
    """A quick visitor presses Enter before the page's own first call is answered."""
    runs = Runs()
    name = runs.pages.of("first").runs_of(GENERATE)
    assert runs.begin(name, Run("default", GenerationRequest(prompt="a red apple")))
    claimed = runs.pages.claim("first", owner="somebody")
    assert claimed.runs_of(GENERATE) == name and runs.is_waiting(name)
    assert claimed.owner == "somebody"
    assert runs.pages.claim("first", owner="somebody else") is not claimed


def test_key_is_at_least_128_random_bits():
    pages = Pages(Stopped(), LONG)
    keys = {pages.claim(str(i)).key for i in range(50)}
    assert len(keys) == 50
    assert min(map(len, keys)) * 6 >= 128


@pytest.mark.parametrize("key", [None, "", "guessed", 7, {}, "first", "x" * 100_000])
def test_key_that_was_never_given_gets_a_page_of_its_own(key):
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first")
    pages.of("first")
    pages.leave("first")
    other = pages.claim("second", key, left=True)
    assert other is not page
    assert other.key not in (key, page.key)


def test_name_of_a_pages_runs_is_no_way_in():
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first")
    assert pages.claim("second", page.runs_of(GENERATE), left=True) is not page
    assert pages.of(page.runs_of(GENERATE)) is not page


def test_copy_of_an_open_tab_gets_a_page_of_its_own():
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first")
    copy = pages.claim("second", page.key)
    assert copy is not page
    assert copy.key != page.key
    assert pages.of("first") is page


def test_tab_that_says_it_was_left_need_not_wait_for_its_connection_to_end():
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first")
    assert pages.claim("second", page.key, left=True) is page
    pages.of("second")
    pages.leave("first")  # heard of late: it is the page's no more
    assert not page.is_left


def test_page_of_somebody_else_is_not_given():
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first", owner="user:ann")
    pages.of("first")
    pages.leave("first")
    assert pages.claim("second", page.key, "user:bob", left=True) is not page
    assert pages.claim("third", page.key, "user:ann", left=True) is page


def test_page_nobody_comes_back_to_has_its_runs_stopped():
    stopped = Stopped()
    pages = Pages(stopped, LONG)
    page = pages.claim("first")
    pages.of("first")
    pages.grace_s = 0.0
    pages.leave("first")
    assert stopped.is_over.wait(60)
    assert stopped == [page.runs_of(kind) for kind in KINDS]


def test_page_that_comes_back_in_time_keeps_its_runs():
    stopped = Stopped()
    pages = Pages(stopped, LONG)
    page = pages.claim("first")
    pages.of("first")
    heard = page.heard
    pages.leave("first")
    pages.claim("second", page.key)
    pages._give_up(page, heard)  # its time is over
    assert stopped == []


def test_page_that_comes_back_and_follows_nothing_does_not_hold_up_others():
    stopped = Stopped()
    pages = Pages(stopped, LONG)
    page = pages.claim("first")
    pages.of("first")
    pages.grace_s = 0.0
    pages.claim("second", page.key, left=True)
    assert stopped.is_over.wait(60)


def test_run_begun_after_its_page_went_away_is_stopped():
    """Enter and at once a reload: the call may come last."""
    runs = Runs()
    runs.pages.grace_s = LONG
    name = runs.pages.of("gone").runs_of(GENERATE)
    run = Run("default", GenerationRequest(prompt="x"))
    runs.begin(name, run)
    page = runs.pages.of("gone")
    runs.pages._give_up(page, page.heard)
    assert run.cancel.is_set()
    assert len(runs) == 0


def test_pages_used_longest_ago_are_forgotten_but_none_in_the_middle_of_a_run(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAGES", 3)
    pages = Pages(Stopped(), LONG)
    busy = pages.claim("0")
    busy.relays[GENERATE] = Relay(iter([1]))
    old, *_ = (pages.claim(str(i)) for i in range(1, 4))
    newest = pages.claim("4")
    pages.claim("5")
    assert pages.claim("6", old.key, left=True) is not old
    assert pages.claim("7", busy.key, left=True) is busy
    assert pages.claim("8", newest.key, left=True) is newest


def test_pictures_of_few_pages_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "MOST_DRAWN", 2)
    pages = Pages(Stopped(), LONG)
    untouched = pages.claim("untouched")
    drawn = [pages.claim(str(i)) for i in range(3)]
    for page in drawn:
        page.relays[GENERATE] = Relay(iter([1]))
        list(pages.follow(page.session, page.relays[GENERATE]))
    pages.claim("another")
    for page, is_known in zip((untouched, *drawn), (True, False, True, True), strict=True):
        assert (pages.claim(f"{page.session} again", page.key, left=True) is page) is is_known


def test_follower_sees_every_view_and_one_who_comes_later_the_newest():
    relay = Relay(iter([1, 2, 3]))
    first = relay.follow()
    assert [next(first), next(first)] == [1, 2]
    assert list(relay.follow()) == [2, 3]
    assert list(first) == [], "another has taken its place"
    assert list(relay.follow()) == [3]


def test_run_pauses_while_nobody_follows_and_finishes_for_nobody():
    made: list[int] = []

    def views() -> Iterator[int]:
        for number in (1, 2, 3):
            made.append(number)
            yield number

    relay = Relay(views())
    follower = relay.follow()
    next(follower)
    follower.close()
    assert made == [1]
    relay.finish()
    assert made == [1, 2, 3]
    assert (relay.newest, relay.has_ended) == (3, True)


def test_follower_that_waits_gives_way_to_the_next():
    entered, gate = threading.Event(), threading.Event()

    def views() -> Iterator[int]:
        entered.set()
        gate.wait(60)
        yield 1

    relay = Relay(views())
    seen: dict[str, list[int]] = {}
    threads = [
        threading.Thread(target=lambda who=who: seen.update({who: list(relay.follow())}))
        for who in ("working", "waiting", "last")
    ]
    threads[0].start()
    assert entered.wait(60)
    threads[1].start()
    while relay._follower is None:
        pass
    threads[1].join(0.5)
    threads[2].start()
    threads[1].join(60)
    assert seen == {"waiting": []}
    gate.set()
    threads[2].join(60)
    assert seen["last"] == [1]


def test_closed_follower_has_left():
    pages = Pages(Stopped(), LONG)
    page = pages.claim("first")
    pages.of("first")
    following = pages.follow("first", Relay(iter([1, 2])))
    next(following)
    following.close()
    assert page.is_left
    assert list(pages.follow("first", Relay(iter([1, 2])))) == [1, 2]


def test_page_that_keeps_something_is_there_for_whoever_comes_back():
    pages = Pages(lambda name: None, LONG)
    page, empty = pages.claim("first"), pages.claim("second")
    page.kept["edit"] = "a tree"
    for left in (page, empty):
        pages._give_up(left, left.heard)
    assert pages.claim("third", page.key, left=True) is page
    assert pages.claim("fourth", empty.key, left=True) is not empty
