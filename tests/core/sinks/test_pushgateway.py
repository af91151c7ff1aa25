"""What a run asks of a Pushgateway: the URL, the headers and the page."""

from __future__ import annotations

import email.utils
import io
import logging
import time
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import gangplank
from gangplank import DeliveryError
from gangplank.testing.gateway import Gateway
from support.handlers import Recorder
from support.reading import eventually
from support.servers import Server, pushgateway
from support.verbs import served


def test_ipv6() -> None:
    with Gateway("[::1]:0") as embedded, gangplank.run(embedded.address, "digits", ignore_exceptions=False) as run:
        run.record({"loss": 1}, epoch=0)
        assert embedded.address.startswith("[::1]:")
        assert "gangplank_train_loss{" in embedded.metrics()


def test_a_handler_gets_what_prometheus_client_gives_it() -> None:
    handler = Recorder()
    run = gangplank.run(
        "https://gateway/prefix/",
        "a/b c",
        handler=handler,
        grouping_key={"zone": "ü?#%", "a": ".."},
        run="r1",
        concurrent=True,
        timeout=3,
    )
    run.record({"loss": 0.5}, epoch=0)
    run.finish()
    call = handler.calls[-1]
    # job and phase first, then the user's in the user's order: proxies match on the path.
    assert call["url"] == (
        "https://gateway/prefix/metrics/job@base64/YS9iIGM=/phase/train/zone/%C3%BC%3F%23%25/a@base64/Li4=/run/r1"
    )
    assert call["method"] == "PUT"
    assert call["timeout"] == 3
    assert dict(call["headers"])["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b'gangplank_train_loss{run="r1"} 0.5\n' in call["data"]


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pushgateway(tmp_path_factory.mktemp("shared")) as server:
        yield server


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["job", "key"]))
@example("a/b", "job")
@example(".", "job")
@example("..", "key")
@example("/", "key")
@example(" a ", "job")
@example("@base64", "job")
@example("\x00\n\r\t", "key")
@example("100% + ?x=1#y&z", "job")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_round_trips_as_a_job_and_as_a_key(shared_gateway: Server, text: str, where: str) -> None:
    job, key = (text, "k") if where == "job" else ("j", text)
    with gangplank.run(shared_gateway.address, job, grouping_key={"key": key}, ignore_exceptions=False) as run:
        run.record({"loss": 1}, epoch=0)
    assert f"job={_quoted(job)}" in shared_gateway.metrics()
    assert f"key={_quoted(key)}" in shared_gateway.metrics()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{escaped}"'


def refusal(address: str, **options: Any) -> DeliveryError:
    """Return what a strict run raises that pushes there."""
    with pytest.raises(DeliveryError) as raised:
        gangplank.run(address, "digits", ignore_exceptions=False, **options).start()
    return raised.value


@pytest.mark.parametrize(
    ("status", "reason", "retry"),
    [
        *((status, "rejected", False) for status in (400, 413, 422)),
        *((status, "rejected", True) for status in (302, 401, 403, 404, 408, 429)),
        *((status, "server_error", True) for status in (500, 502, 503)),
    ],
)
def test_a_refusal_says_whether_a_retry_can_help(status: int, reason: str, retry: bool) -> None:
    with served(lambda method, path: (status, {}, "why"), takes_pushes=True) as (address, _):
        error = refusal(address)
    assert (error.reason, error.retry, error.retry_after) == (reason, retry, None)


LOGIN = "<!DOCTYPE html><html><title>Log in</title></html>"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        *((status, {"Content-Type": "text/html; charset=utf-8"}, LOGIN) for status in (200, 201, 202, 203)),
        (200, {}, "OK"),
        (200, {"Content-Type": "application/json"}, '{"login": "/sso"}'),
        (200, {"content-type": "TEXT/HTML"}, ""),
        (200, {}, "x" * 100_000),
    ],
)
def test_a_page_of_its_own_is_not_an_arrival(status: int, headers: dict[str, str], body: str) -> None:
    """A proxy that wants somebody to log in says so with a 200; the response of a Pushgateway is empty."""
    with served(lambda method, path: (status, headers, body), takes_pushes=True) as (address, _):
        error = refusal(address)
    assert (error.reason, error.retry) == ("rejected", True)
    said = f"answered {status} with a page of its own (is a proxy or a login page in front of it?)"
    assert str(error).startswith(f"http://{address} {said}: {body[:10]}" if body else f"http://{address} {said}")


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_an_empty_response_is_an_arrival(status: int, headers: dict[str, str]) -> None:
    """Old and new Pushgateways answer 202 and 200, VictoriaMetrics 204."""
    with served(lambda method, path: (status, headers, ""), takes_pushes=True) as (address, asked):
        with gangplank.run(address, "digits", ignore_exceptions=False) as run:
            run.record({"loss": 1}, epoch=0)
        assert len(asked) == 3


def test_a_login_page_is_said_and_the_page_is_sent_again_once_it_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    login = [True]

    def answer(method: str, path: str) -> tuple[int, dict[str, str], str]:
        return (200, {}, LOGIN if login[0] else "")

    with served(answer, takes_pushes=True) as (address, asked):
        with gangplank.run(address, "digits", flush_timeout=0) as run:
            run.record({"loss": 1}, epoch=0)
            eventually(lambda: "answered 200 with a page of its own" in caplog.text)
            login[0] = False
        eventually(lambda: "arrive again" in caplog.text)
        assert len(asked) > 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 120 ", 120),
        ("soon", None),
        ("-1", None),
        ("", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
    ],
)
def test_a_refusal_says_when_the_gateway_wants_the_next_attempt(header: str, seconds: float | None) -> None:
    with served(lambda method, path: (503, {"Retry-After": header}, ""), takes_pushes=True) as (address, _):
        assert refusal(address).retry_after == seconds


def test_the_next_attempt_may_be_given_as_a_date() -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    with served(lambda method, path: (503, {"Retry-After": date}, ""), takes_pushes=True) as (address, _):
        assert refusal(address).retry_after == pytest.approx(60, abs=20)


@pytest.mark.parametrize("answered", [None, {"Retry-After": "9"}])
def test_a_handlers_refusal_says_it_as_well(answered: dict[str, str] | None) -> None:
    def handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
        def send() -> None:
            raise urllib.error.HTTPError(url, 400, "no", answered, io.BytesIO(b"why not"))  # type: ignore[arg-type]

        return send

    error = refusal("gateway:1", handler=handler)
    assert "answered 400: why not" in str(error)
    assert (error.reason, error.retry, error.retry_after) == ("rejected", False, 9 if answered else None)


def test_a_gateway_that_asks_for_time_gets_it() -> None:
    times: list[float] = []

    def answer(method: str, path: str) -> tuple[int, dict[str, str], str]:
        times.append(time.monotonic())
        return (503, {"Retry-After": "1"}, "") if len(times) == 1 else (200, {}, "")

    with (
        served(answer, takes_pushes=True) as (address, _),
        gangplank.run(address, "digits", flush_timeout=0) as run,
    ):
        run.start()
        eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.9  # the backoff alone is 0.2 s at most
