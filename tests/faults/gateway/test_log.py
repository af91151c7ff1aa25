"""What the log says of a gateway that fails."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import gangplank
from gangplank import DeliveryError
from gangplank.core import log
from gangplank.core.delivery import outbox
from support import proxy as proxies
from support.logged import warnings
from support.proxy import Proxy
from support.reading import eventually
from support.servers import pushgateway

# Row 2: what the log says


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error", "302 Found"])
def test_one_line_a_minute_with_the_beginning_of_the_reason(
    proxy: Proxy, status: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_BACKOFF", 0.02)
    caplog.set_level(logging.INFO, "gangplank")
    reason = "".join(f"{index:04}" for index in range(100))
    proxy.behaviour = proxies.answers(status, reason)
    run = gangplank.run(proxy.address, "digits")
    run.start()

    def attempts() -> int:
        if status.startswith("400"):  # sent again only when it has changed
            run.record({"loss": 0.5})
        return len(proxy.accepted)

    eventually(lambda: attempts() > 20)
    (said,) = warnings(caplog)
    assert f"answered {status[:3]}: {reason[:200]}" in said
    assert reason[196:204] not in said
    assert "phase='train'" in said

    monkeypatch.setattr(log, "QUIET_SECONDS", 0.0)  # the minute is over
    eventually(lambda: attempts() and len(warnings(caplog)) > 1)
    monkeypatch.undo()
    counted = re.search(r"answered .*\((\d+) more like it since the last line\)$", warnings(caplog)[1])
    assert counted
    assert 19 <= int(counted[1]) <= len(proxy.accepted)

    proxy.behaviour = proxies.answers("200 OK")
    run.finish()
    eventually(lambda: any("arrive again" in entry.getMessage() for entry in caplog.records))


def test_each_cause_has_a_line_of_its_own(
    proxy: Proxy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_BACKOFF", 0.02)
    run = gangplank.run(proxy.address, "digits", timeout=0.2)

    def attempts() -> int:
        run.record({"loss": 0.5})  # what was refused is sent again only when it has changed
        return len(proxy.accepted)

    for behaviour in (
        *(proxies.answers("400 Bad Request"), proxies.answers("502 Bad Gateway")),
        *(proxies.resets_the_request, proxies.is_silent),
    ):
        proxy.behaviour = behaviour
        seen = len(proxy.accepted)
        eventually(lambda seen=seen: attempts() > seen + 2)  # type: ignore[misc]
    causes = [re.search(r"answered \d+|unreachable|did not answer", line) for line in warnings(caplog)]
    assert [found and found[0] for found in causes] == [
        "answered 400",
        "answered 502",
        "unreachable",
        "did not answer",
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(proxy: Proxy, tmp_path: Path, status: int) -> None:
    with pushgateway(tmp_path) as elsewhere:
        target = f"Location: {elsewhere.url}/metrics/job/digits/phase/train"
        proxy.behaviour = proxies.answers(f"{status} Moved", "go away", target)
        run = gangplank.run(f"http://me:secret@{proxy.address}", "digits", ignore_exceptions=False)
        with pytest.raises(DeliveryError, match=f"answered {status}: go away"):
            run.start()
        assert "gangplank" not in elsewhere.metrics()
