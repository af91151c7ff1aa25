"""The outbox alone, with a `send` that the test holds in its hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Queue

import pytest

from gangplank import DeliveryError
from gangplank.core import outbox
from gangplank.core.outbox import Outbox
from reading import eventually


@dataclass(eq=False)
class Source:
    group: str = "train"
    running: bool = True
    newest: int = 0
    checks: int = 0

    def check(self) -> None:
        self.checks += 1


@dataclass
class Post:
    """Records what is sent; fails while `failing`, holds while `gate` is closed."""

    sent: Queue[tuple[str, int]] = field(default_factory=Queue)
    attempts: int = 0
    failing: bool = False
    gate: threading.Event = field(default_factory=threading.Event)

    def send(self, source: Source, timeout: float) -> None:
        self.attempts += 1
        newest = source.newest
        assert self.gate.wait(20)
        if self.failing:
            raise DeliveryError("refused", "unreachable")
        self.sent.put((source.group, newest))


@pytest.fixture
def post() -> Iterator[Post]:
    post = Post()
    post.gate.set()
    yield post
    post.gate.set()


@pytest.fixture
def box(post: Post) -> Outbox[Source]:
    return Outbox(post.send, to="the post", timeout=5, push_interval=0.3)


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 0.01)


def timed(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def test_what_is_woken_is_sent_off_the_callers_thread(post: Post, box: Outbox[Source]) -> None:
    post.gate.clear()
    assert timed(lambda: box.wake(Source(newest=1))) < 1
    post.gate.set()
    assert post.sent.get(timeout=5) == ("train", 1)


def test_only_the_newest_is_sent_of_what_came_meanwhile(post: Post, box: Outbox[Source]) -> None:
    source = Source()
    post.gate.clear()
    box.wake(source)
    eventually(lambda: post.attempts)
    for source.newest in range(1, 100):
        box.wake(source)
    post.gate.set()
    assert box.flush("train", 5) is None
    assert post.attempts == 2
    assert [post.sent.get()[1] for _ in range(2)] == [0, 99]


def test_the_newer_source_of_a_group_takes_the_others_place(post: Post, box: Outbox[Source], no_backoff: None) -> None:
    post.failing = True
    box.wake(Source(newest=1, running=False))
    eventually(lambda: post.attempts)
    box.wake(Source(newest=2, running=False))
    post.failing = False
    assert box.flush("train", 5) is None
    assert post.sent.get(timeout=5)[1] == 2
    assert post.sent.empty()


def test_a_group_that_fails_does_not_hold_up_another(post: Post, no_backoff: None) -> None:
    def send(source: Source, timeout: float) -> None:
        post.failing = source.group == "bad"
        post.send(source, timeout)

    box = Outbox(send, to="the post", timeout=5, push_interval=0.3)
    box.wake(Source("bad", running=False))
    box.wake(Source("good", running=False))
    assert box.flush("good", 5) is None
    error = box.flush("bad", 5)
    assert error is not None
    assert error.reason == "unreachable"


def test_a_failed_push_is_tried_again_until_it_arrives(post: Post, box: Outbox[Source], no_backoff: None) -> None:
    post.failing = True
    source = Source(running=False)
    box.wake(source)
    eventually(lambda: post.attempts >= 3)
    source.newest = 7
    post.failing = False
    assert post.sent.get(timeout=5) == ("train", 7)


def test_attempts_are_ever_further_apart(post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 0.05)
    post.failing = True
    box.wake(Source())
    start = time.monotonic()
    eventually(lambda: post.attempts == 4)
    # Jitter takes up to half of each step: (0.05 + 0.1 + 0.2) / 2.
    assert time.monotonic() - start >= 0.175


def test_a_wake_does_not_cut_a_backoff_short(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    attempted: list[str] = []

    def send(source: Source, timeout: float) -> None:
        attempted.append(source.group)
        post.failing = source.group == "bad"
        post.send(source, timeout)

    box = Outbox(send, to="the post", timeout=5, push_interval=0.3)
    bad = Source("bad")
    box.wake(bad)
    assert box.flush("bad", 5) is not None
    before = attempted.count("bad")
    for _ in range(100):
        box.wake(bad)
    box.wake(Source("good"))
    assert box.flush("good", 5) is None  # by now the thread has looked at both
    assert attempted.count("bad") == before


def test_a_flush_ends_with_the_attempt_under_way_where_that_has_the_newest(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    post.failing = True
    post.gate.clear()
    box.wake(Source())
    eventually(lambda: post.attempts)
    threading.Timer(0.05, post.gate.set).start()
    error = box.flush("train", 5)
    assert error is not None
    assert error.reason == "unreachable"
    assert post.attempts == 1


def test_a_flush_does(post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    post.failing = True
    box.wake(Source(running=False))
    assert box.flush("train", 5) is not None
    post.failing = False
    assert box.flush("train", 5) is None


def test_a_flush_ends_with_the_first_attempt_that_fails(post: Post, box: Outbox[Source]) -> None:
    post.failing = True
    box.wake(Source())
    assert timed(lambda: box.flush("train", 20)) < 5


def test_a_flush_waits_for_what_is_newest_not_for_the_push_under_way(post: Post, box: Outbox[Source]) -> None:
    post.gate.clear()
    source = Source(running=False)
    box.wake(source)
    eventually(lambda: post.attempts)
    source.newest = 5
    box.wake(source)
    threading.Timer(0.05, post.gate.set).start()
    assert box.flush("train", 5) is None
    assert [post.sent.get(timeout=1)[1] for _ in range(2)] == [0, 5]


def test_a_flush_is_bounded_where_nothing_comes_back(post: Post, box: Outbox[Source]) -> None:
    post.gate.clear()
    box.wake(Source())
    start = time.monotonic()
    error = box.flush("train", 0.2)
    assert 0.2 <= time.monotonic() - start < 5
    assert error is not None
    assert error.reason == "timeout"
    assert "the post" in str(error)


def test_a_flush_of_what_has_arrived_returns_at_once(post: Post, box: Outbox[Source]) -> None:
    assert box.flush("nothing", 5) is None
    box.wake(Source())
    assert box.flush("train", 5) is None
    assert box.flush("train", 0) is None
    assert post.attempts == 1


def test_what_nobody_waits_for_keeps_to_the_push_interval(post: Post, box: Outbox[Source]) -> None:
    source = Source()
    box.wake(source, at_once=False)  # the first has no push before it to keep away from
    assert box.flush("train", 5) is None
    start = time.monotonic()
    for source.newest in range(1, 6):
        box.wake(source, at_once=False)
    post.sent.get(timeout=5)
    assert post.sent.get(timeout=5) == ("train", 5)
    assert time.monotonic() - start >= 0.2
    assert post.attempts == 2


def test_a_running_source_beats_with_nothing_new(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)
    source = Source()
    box.wake(source)
    post.sent.get(timeout=5)
    assert not source.checks
    for _ in range(3):
        post.sent.get(timeout=5)
    assert source.checks >= 3
    source.running = False
    box.wake(source)
    eventually(lambda: box._thread is None)  # noqa: SLF001  the end of a thread shows nowhere else
    attempts = post.attempts
    time.sleep(0.1)
    assert post.attempts == attempts


def test_the_thread_ends_when_nothing_runs_and_nothing_is_pending(post: Post, box: Outbox[Source]) -> None:
    before = threading.active_count()
    for newest in range(3):
        box.wake(Source(newest=newest, running=False))
        assert post.sent.get(timeout=5) == ("train", newest)
        eventually(lambda: threading.active_count() == before)


def test_a_send_that_breaks_in_any_way_does_not_end_the_thread(no_backoff: None) -> None:
    errors = [SystemExit(1), RuntimeError("a fault of ours"), None]
    arrived = threading.Event()

    def send(source: Source, timeout: float) -> None:
        if error := errors.pop(0):
            raise error
        arrived.set()

    Outbox(send, to="the post", timeout=5, push_interval=0.3).wake(Source(running=False))
    assert arrived.wait(5)
