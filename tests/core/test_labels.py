"""Labels: which are refused, and why."""

from __future__ import annotations

import pytest

from gangplank import ConfigurationError
from gangplank.core.labels import RESERVED_LABELS, check_labels, check_value


@pytest.mark.parametrize("name", sorted(RESERVED_LABELS | {"__x", "__address__", "a-b", "1a", "", "é", "host", "mine"}))
def test_a_label_that_would_break_a_page_is_refused_as_a_key(name: str) -> None:
    with pytest.raises(ConfigurationError, match="grouping_key"):
        check_labels("grouping_key", {name: "x"}, reserved=("host", "mine"))


def test_labels_become_text_in_the_order_they_were_written() -> None:
    assert list(check_labels("info", {"b": 1, "a": True}).items()) == [("b", "1"), ("a", "True")]


@pytest.mark.parametrize(
    ("value", "why"),
    [("", "empty"), ("a\ud800", "surrogate"), (None, "not None"), (3, "not an int"), (b"x", "not bytes")],
)
def test_a_label_value_that_prometheus_cannot_hold_is_refused_with_the_reason(value: object, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        check_value("job", value)
