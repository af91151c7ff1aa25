"""What the embedded gateway reads, and what it refuses."""

from __future__ import annotations

import time

import pytest

from support.gateway_client import JOB, Client
from support.gateway_corpus import ACCEPTED, DIFFERENT, INCONSISTENT, MALFORMED, NUMBERS


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_accepts(client: Client, name: str, method: str) -> None:
    body, page = ACCEPTED[name]
    assert client.send(method, JOB, body) == (200, "")
    assert client.page() == sorted(page.rstrip("\n").split("\n") if page else [])
    pushed, failed = client.times()['{instance="",job="a"}']
    assert abs(pushed - time.time()) < 5
    assert failed == 0


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_generations_differ(client: Client, kind: str, name: str) -> None:
    body, old, new = DIFFERENT[name]
    page = old if kind == "old" else new
    status, reason = client.send("PUT", JOB, body)
    if page is None:
        assert (status, reason[:33]) == (400, "text format parsing error in line")
    else:
        assert (status, client.page()) == (200, sorted(page.rstrip("\n").split("\n")))


@pytest.mark.parametrize(("pushed", "scraped"), NUMBERS.items())
def test_writes_numbers_as_go_does(client: Client, pushed: str, scraped: str) -> None:
    bucket = f'# TYPE h histogram\nh_bucket{{le="{pushed}"}} 1\n'
    assert client.put(JOB, f"# TYPE m gauge\nm {pushed}\n{bucket}".encode()) == 200
    assert f"m {scraped}" in client.page()
    if scraped != "NaN":
        assert f'h_bucket{{le="{scraped}"}} 1' in client.page()


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses_what_is_malformed(client: Client, name: str) -> None:
    assert client.put(JOB, b"before 1\n") == 200
    times = client.times()
    for method in ("PUT", "POST"):
        status, reason = client.send(method, JOB, b"good 1\n" + MALFORMED[name])
        assert status == 400
        assert reason.startswith("text format parsing error in line ")
    assert client.page() == ["# TYPE before untyped", "before 1"]
    assert client.times() == times


@pytest.mark.parametrize("name", INCONSISTENT)
def test_refuses_what_does_not_fit(client: Client, name: str) -> None:
    assert client.put(JOB, b"before 1\n") == 200
    [(pushed, _)] = client.times().values()
    for method in ("PUT", "POST"):
        status, reason = client.send(method, JOB, b"good 1\n" + INCONSISTENT[name])
        assert status == 400
        assert reason.startswith("pushed metrics are invalid or inconsistent with existing metrics: ")
    assert client.page() == ["# TYPE before untyped", "before 1"]
    assert client.times().keys() == {'{instance="",job="a"}'}
    [(still, failed)] = client.times().values()
    assert still == pushed
    assert abs(failed - time.time()) < 5


@pytest.mark.parametrize("name", INCONSISTENT)
def test_a_group_never_accepted_has_only_its_times(client: Client, name: str) -> None:
    assert client.put(JOB, INCONSISTENT[name]) == 400
    assert client.page() == []
    assert client.times().keys() == {'{instance="",job="a"}'}
    [(pushed, failed)] = client.times().values()
    assert pushed == 0
    assert abs(failed - time.time()) < 5


def test_bytes_that_are_no_text_are_welcome_in_help(client: Client) -> None:
    assert client.put(JOB, b"# HELP m \xe9\nm 1\n") == 200
    client.connection.request("GET", "/metrics")
    assert b'm{instance="",job="a"} 1\n' in client.connection.getresponse().read()
