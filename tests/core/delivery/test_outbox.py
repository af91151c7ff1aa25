"""The outbox alone, with a `send` that the test holds in its hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Queue

import pytest

from gangplank import Delivery, DeliveryError
from gangplank.core.delivery import outbox
from gangplank.core.delivery.outbox import Outbox
from support.reading import eventually
from support.timing import timed


@dataclass(eq=False)
class Source:
    group: str = "train"
    running: bool = True
    newest: int = 0


@dataclass
class Post:
    """Records what is sent; fails while `failing`, holds while `gate` is closed."""

    sent: Queue[tuple[str, int]] = field(default_factory=Queue)
    attempts: int = 0
    failing: bool = False
    error: DeliveryError = field(default_factory=lambda: DeliveryError("refused", "unreachable"))
    gate: threading.Event = field(default_factory=threading.Event)
    deliveries: list[Delivery] = field(default_factory=list)

    def send(self, source: Source, timeout: float) -> None:
        newest = source.newest
        self.attempts += 1
        assert self.gate.wait(20)
        if self.failing:
            raise self.error
        self.sent.put((source.group, newest))

    def note(self, source: Source, delivery: Delivery) -> None:
        self.deliveries.append(delivery)


@pytest.fixture
def post() -> Iterator[Post]:
    post = Post()
    post.gate.set()
    yield post
    post.gate.set()


@pytest.fixture
def box(post: Post) -> Outbox[Source]:
    return Outbox(post.send, to="the post", timeout=5, push_interval=0.3, on_delivery=post.note)


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 0.01)


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
    assert box.flush(source, 5) is None
    assert post.attempts == 2
    assert [post.sent.get()[1] for _ in range(2)] == [0, 99]


def test_two_sources_of_a_group_are_both_sent(post: Post, box: Outbox[Source], no_backoff: None) -> None:
    post.failing = True
    for newest in (1, 2):
        box.wake(Source(newest=newest, running=False))
    eventually(lambda: post.attempts)
    post.failing = False
    assert sorted(post.sent.get(timeout=5)[1] for _ in range(2)) == [1, 2]


def test_the_next_page_of_a_group_is_sent_twice_if_one_may_still_be_on_its_way(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SETTLING", 0.01)
    post.failing, post.error = True, DeliveryError("no answer", "timeout", retry_after=30)
    older = Source(newest=1)
    box.wake(older)
    assert box.flush(older, 5) is post.error
    box.drop(older)
    post.failing = False
    box.wake(Source("other", newest=2, running=False))
    box.wake(Source(newest=3, running=False))
    assert sorted(post.sent.get(timeout=5)[1] for _ in range(3)) == [2, 3, 3]
    eventually(lambda: not box._worker.alive)  # noqa: SLF001  so nothing is due any more
    assert post.sent.empty()


@pytest.mark.parametrize("then", ["another page", "another failure"])
def test_the_newest_page_is_sent_twice_whatever_comes_between(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(outbox, "SETTLING", 0.3)
    post.failing, post.error = True, DeliveryError("no answer", "timeout", retry_after=30)
    older, newer = Source(newest=1), Source(newest=2, running=False)
    box.wake(older)
    assert box.flush(older, 5) is post.error
    box.drop(older)
    if then == "another failure":
        post.error = DeliveryError("refused", "unreachable")
        box.wake(newer)
        assert box.flush(newer, 5) is post.error
        post.failing = False
    else:
        tried, post.failing = post.attempts, False  # two, if the outbox was faster than `flush`
        post.gate.clear()
        box.wake(newer)
        eventually(lambda: post.attempts > tried)
        newer.newest = 3
        box.wake(newer)
        post.gate.set()
    sent = [2, 2] if then == "another failure" else [2, 3, 3]
    assert [post.sent.get(timeout=5)[1] for _ in sent] == sent
    eventually(lambda: not box._worker.alive)  # noqa: SLF001  so nothing is due any more
    assert post.sent.empty()


def test_a_group_that_fails_does_not_hold_up_another(post: Post, no_backoff: None) -> None:
    def send(source: Source, timeout: float) -> None:
        post.failing = source.group == "bad"
        post.send(source, timeout)

    box = Outbox(send, to="the post", timeout=5, push_interval=0.3, on_delivery=post.note)
    bad = Source("bad", running=False)
    box.wake(bad)
    good = Source("good", running=False)
    box.wake(good)
    assert box.flush(good, 5) is None
    error = box.flush(bad, 5)
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
    eventually(lambda: post.attempts >= 4)
    # Jitter takes up to half of each step: (0.05 + 0.1 + 0.2) / 2.
    assert time.monotonic() - start >= 0.175


def test_a_wake_does_not_cut_a_backoff_short(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    attempted: list[str] = []

    def send(source: Source, timeout: float) -> None:
        attempted.append(source.group)
        post.failing = source.group == "bad"
        post.send(source, timeout)

    box = Outbox(send, to="the post", timeout=5, push_interval=0.3, on_delivery=post.note)
    bad = Source("bad")
    box.wake(bad)
    assert box.flush(bad, 5) is not None
    before = attempted.count("bad")
    for _ in range(100):
        box.wake(bad)
    good = Source("good")
    box.wake(good)
    assert box.flush(good, 5) is None  # by now the thread has looked at both
    assert attempted.count("bad") == before


def test_a_flush_ends_with_the_attempt_under_way_where_that_has_the_newest(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    post.failing = True
    post.gate.clear()
    source = Source()
    box.wake(source)
    eventually(lambda: post.attempts)
    threading.Timer(0.05, post.gate.set).start()
    error = box.flush(source, 5)
    assert error is not None
    assert error.reason == "unreachable"
    assert post.attempts == 1


def test_a_flush_does(post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    post.failing = True
    source = Source(running=False)
    box.wake(source)
    assert box.flush(source, 5) is not None
    post.failing = False
    assert box.flush(source, 5) is None


def test_a_flush_ends_with_the_first_attempt_that_fails(post: Post, box: Outbox[Source]) -> None:
    post.failing = True
    source = Source()
    box.wake(source)
    assert timed(lambda: box.flush(source, 20)) < 5


def test_a_flush_waits_for_what_is_newest_not_for_the_push_under_way(post: Post, box: Outbox[Source]) -> None:
    post.gate.clear()
    source = Source(running=False)
    box.wake(source)
    eventually(lambda: post.attempts)
    source.newest = 5
    box.wake(source)
    threading.Timer(0.05, post.gate.set).start()
    assert box.flush(source, 5) is None
    assert [post.sent.get(timeout=1)[1] for _ in range(2)] == [0, 5]


def test_a_flush_is_bounded_where_nothing_comes_back(post: Post, box: Outbox[Source]) -> None:
    post.gate.clear()
    source = Source()
    box.wake(source)
    start = time.monotonic()
    error = box.flush(source, 0.2)
    assert 0.2 <= time.monotonic() - start < 5
    assert error is not None
    assert error.reason == "timeout"
    assert "the post" in str(error)


def test_a_signal_handler_that_interrupts_a_wake_can_wait_for_the_page(post: Post, box: Outbox[Source]) -> None:
    source = Source(running=False)
    box.wake(source)
    with box._lock:  # noqa: SLF001  as in the middle of a wake
        source.newest = 1
        box.wake(source)
        assert box.flush(source, 5) is None
    assert [post.sent.get(timeout=5)[1] for _ in range(post.attempts)][-1] == 1


def test_a_flush_of_what_has_arrived_returns_at_once(post: Post, box: Outbox[Source]) -> None:
    source = Source()
    assert box.flush(source, 5) is None
    box.wake(source)
    assert box.flush(source, 5) is None
    assert box.flush(source, 0) is None
    assert post.attempts == 1


def test_what_nobody_waits_for_keeps_to_the_push_interval(post: Post, box: Outbox[Source]) -> None:
    source = Source()
    box.wake(source, at_once=False)  # the first has no push before it to keep away from
    assert box.flush(source, 5) is None
    start = time.monotonic()
    for source.newest in range(1, 6):
        box.wake(source, at_once=False)
    post.sent.get(timeout=5)
    assert post.sent.get(timeout=5) == ("train", 5)
    assert time.monotonic() - start >= 0.2
    assert post.attempts == 2


def test_a_push_is_due_when_the_interval_has_passed_since_the_last(post: Post, box: Outbox[Source]) -> None:
    source = Source()
    assert box.is_due(source)
    began = time.monotonic()
    box.wake(source)
    assert box.flush(source, 5) is None
    assert not box.is_due(source) or time.monotonic() - began >= 0.3
    eventually(lambda: box.is_due(source))
    assert time.monotonic() - began >= 0.3


def test_no_push_is_due_in_a_group_that_fails(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_BACKOFF", 30.0)
    box = Outbox(post.send, to="the post", timeout=5, push_interval=0, on_delivery=post.note)
    post.failing = True
    source = Source()
    box.wake(source)
    assert box.flush(source, 5) is not None
    assert not box.is_due(source)
    post.failing = False
    assert box.flush(source, 5) is None
    assert box.is_due(source)


def test_a_running_source_beats_with_nothing_new(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)
    source = Source()
    box.wake(source)
    post.sent.get(timeout=5)
    for _ in range(3):
        post.sent.get(timeout=5)
    source.running = False
    box.wake(source)
    eventually(lambda: not box._worker.alive)  # noqa: SLF001  the end of a thread shows nowhere else
    attempts = post.attempts
    time.sleep(0.1)
    assert post.attempts == attempts


def test_a_long_push_interval_delays_no_heartbeat(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)
    box = Outbox(post.send, to="the post", timeout=5, push_interval=3600, on_delivery=post.note)
    source = Source()
    post.gate.clear()
    box.wake(source)
    eventually(lambda: post.attempts)
    box.wake(source, at_once=False)  # while the first page is on its way
    post.gate.set()
    for _ in range(3):
        post.sent.get(timeout=5)
    box.abandon()


def test_the_thread_ends_when_nothing_runs_and_nothing_is_pending(post: Post, box: Outbox[Source]) -> None:
    before = set(threading.enumerate())  # other tests may have left some, which end meanwhile
    for newest in range(3):
        box.wake(Source(newest=newest, running=False))
        assert post.sent.get(timeout=5) == ("train", newest)
        eventually(lambda: set(threading.enumerate()) <= before)


def test_a_send_that_breaks_in_any_way_does_not_end_the_thread(no_backoff: None) -> None:
    errors = [SystemExit(1), RuntimeError("a fault of ours"), None]
    arrived = threading.Event()

    def send(source: Source, timeout: float) -> None:
        if error := errors.pop(0):
            raise error
        arrived.set()

    ended: list[DeliveryError | None] = []
    box = Outbox(
        send, to="the post", timeout=5, push_interval=0.3, on_delivery=lambda _, delivery: ended.append(delivery.error)
    )
    box.wake(Source(running=False))
    assert arrived.wait(5)
    eventually(lambda: len(ended) == 3)
    assert [error and (error.reason, str(error)) for error in ended] == [
        ("internal", "pushing failed: SystemExit: 1"),
        ("internal", "pushing failed: RuntimeError: a fault of ours"),
        None,
    ]


def test_a_report_that_breaks_in_any_way_does_not_end_the_thread(post: Post, no_backoff: None) -> None:
    def note(source: Source, delivery: Delivery) -> None:
        post.failing = False
        raise SystemExit(1)

    post.failing = True
    box = Outbox(post.send, to="the post", timeout=5, push_interval=0.3, on_delivery=note)
    source = Source(running=False)
    box.wake(source)
    assert post.sent.get(timeout=5) == ("train", 0)
    assert box.flush(source, 5) is None


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.2), (2, 0.4), (4, 1.6), (9, 51.2), (10, 60), (10_000, 60)])
def test_a_retry_waits_twice_as_long_each_time_up_to_a_minute(failures: int, longest: float) -> None:
    delays = [outbox.retry_delay(DeliveryError("refused", "unreachable"), failures) or 0 for _ in range(200)]
    assert longest / 2 <= min(delays) < max(delays) <= longest
    assert len(set(delays)) > 100, "all trainings of a cluster would come back at the same time"


@pytest.mark.parametrize(
    ("retry_after", "shortest", "longest"), [(7.0, 7, 7), (0.0, 0.1, 0.2), (0.01, 0.1, 0.2), (86_400.0, 600, 600)]
)
def test_a_retry_waits_as_long_as_the_server_asks_up_to_ten_minutes(
    retry_after: float, shortest: float, longest: float
) -> None:
    delay = outbox.retry_delay(DeliveryError("busy", "server_error", retry_after=retry_after), 1)
    assert delay is not None
    assert shortest <= delay <= longest


def test_a_page_that_no_retry_helps_is_not_due_again() -> None:
    assert outbox.retry_delay(DeliveryError("bad", "rejected", retry=False, retry_after=1.0), 1) is None


def test_the_retry_after_of_a_server_is_obeyed(post: Post, box: Outbox[Source], no_backoff: None) -> None:
    post.failing, post.error = True, DeliveryError("busy", "server_error", retry_after=0.5)
    start = time.monotonic()
    box.wake(Source(running=False))
    eventually(lambda: post.attempts >= 2)
    assert time.monotonic() - start >= 0.5


def test_what_no_retry_helps_is_sent_again_once_it_has_changed(
    post: Post, box: Outbox[Source], no_backoff: None
) -> None:
    post.failing, post.error = True, DeliveryError("bad", "rejected", retry=False)
    source = Source(running=False)
    box.wake(source)
    assert box.flush(source, 5) is post.error
    eventually(lambda: not box._worker.alive)  # noqa: SLF001  so nothing is due any more
    assert post.attempts == 1
    assert box.undelivered() == []
    box.retry_now()
    assert box.flush(source, 5) is post.error, "the error of the page that the group holds"
    assert post.attempts == 1
    post.failing, source.newest = False, 2
    box.wake(source)
    assert post.sent.get(timeout=5) == ("train", 2)


def test_what_no_retry_helps_is_sent_with_the_next_heartbeat(
    post: Post, box: Outbox[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.2)
    post.failing, post.error = True, DeliveryError("bad", "rejected", retry=False)
    start = time.monotonic()
    box.wake(Source())
    eventually(lambda: post.attempts >= 2)
    assert time.monotonic() - start >= 0.2
    post.failing = False
    assert post.sent.get(timeout=5) == ("train", 0)


def test_abandoned_pages_are_not_sent_again_and_end_every_flush(
    post: Post, box: Outbox[Source], no_backoff: None
) -> None:
    post.failing = True
    post.gate.clear()
    under_way, waits = Source("under way"), Source("waits")
    box.wake(under_way)
    eventually(lambda: post.attempts)
    box.wake(waits)
    errors: list[DeliveryError | None] = []
    flushes = [
        threading.Thread(target=lambda source=source: errors.append(box.flush(source, 30)))
        for source in (under_way, waits)
    ]
    for flush in flushes:
        flush.start()
    eventually(lambda: all(pending.waiting for pending in box._sources.values()))  # noqa: SLF001
    box.abandon()
    for flush in flushes:
        flush.join(5)
        assert not flush.is_alive()
    assert [error and error.reason for error in errors] == ["internal", "internal"]
    assert all("the post" in str(error) for error in errors)
    assert box.undelivered() == []
    post.gate.set()
    eventually(lambda: not box._worker.alive)  # noqa: SLF001
    assert post.attempts == 1
    assert [delivery.error for delivery in post.deliveries] == [post.error], "the attempt under way has ended"
    post.failing = False
    box.wake(Source("under way", newest=3, running=False))
    assert post.sent.get(timeout=5) == ("under way", 3)


def test_a_source_that_is_woken_before_it_is_dropped_is_sent(post: Post) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def send(source: Source, timeout: float) -> None:
        if not began.is_set():
            began.set()
            assert goes_on.wait(20)
            itself.drop_if_unchanged(source)
        else:
            post.send(source, timeout)

    itself: Outbox[Source] = Outbox(send, to="the post", timeout=5, push_interval=0.3, on_delivery=post.note)
    source = Source(running=False)
    itself.wake(source)
    assert began.wait(5)
    source.newest = 1
    itself.wake(source)
    goes_on.set()
    assert itself.flush(source, 5) is None
    assert post.sent.get(timeout=5) == ("train", 1)


def test_a_source_that_has_nothing_to_send_is_dropped(post: Post) -> None:
    attempts: list[Source] = []

    def send(source: Source, timeout: float) -> None:
        attempts.append(source)
        itself.drop_if_unchanged(source)

    itself: Outbox[Source] = Outbox(send, to="the post", timeout=5, push_interval=0.3, on_delivery=post.note)
    itself.wake(Source())
    eventually(lambda: not itself._worker.alive)  # noqa: SLF001  although it is running
    assert len(attempts) == 1


def test_each_attempt_is_reported(post: Post, box: Outbox[Source], no_backoff: None) -> None:
    post.failing = True
    box.wake(Source(running=False))
    eventually(lambda: post.attempts >= 2)
    post.failing = False
    post.sent.get(timeout=5)
    eventually(lambda: len(post.deliveries) == post.attempts)
    *failed, last = post.deliveries
    assert {delivery.to for delivery in post.deliveries} == {"the post"}
    assert [delivery.error for delivery in failed] == [post.error] * len(failed)
    assert last.error is None
    assert all(0 <= delivery.seconds < 5 for delivery in post.deliveries)


def test_a_source_that_ends_while_it_is_sent_is_sent_once(post: Post) -> None:
    source = Source()

    def send(source: Source, timeout: float) -> None:
        if source.running:
            source.running, source.newest = False, 1
            itself.wake(source)  # as a page does that finds the training gone
        post.send(source, timeout)

    itself: Outbox[Source] = Outbox(send, to="the post", timeout=5, push_interval=0.3, on_delivery=post.note)
    itself.wake(source)
    assert post.sent.get(timeout=5) == ("train", 1)
    eventually(lambda: not itself._worker.alive)  # noqa: SLF001  the end of a thread shows nowhere else
    assert post.attempts == 1


def test_a_source_that_is_dropped_is_sent_no_more_and_its_thread_ends(post: Post, box: Outbox[Source]) -> None:
    older, newer = Source(newest=1), Source("other", newest=2)
    before = set(threading.enumerate())
    box.wake(older)
    assert post.sent.get(timeout=5) == ("train", 1)
    box.drop(newer)  # which is not there
    box.drop(older)
    eventually(lambda: set(threading.enumerate()) <= before)
    assert box.undelivered() == []
    assert post.sent.empty()
