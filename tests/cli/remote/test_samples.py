"""Reading the samples of a page: as prometheus_client reads them, and faster."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gangplank.cli.remote.samples import parse_labels, parse_line, read_samples

VALUES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])), st.floats(), min_size=1, max_size=5
)  # by the value of the label


def read(page: str, wanted: Callable[[str], bool] = lambda _: True) -> list[tuple[str, str, dict[str, str], str]]:
    return [
        (some.type, some.name, parse_labels(labels), repr(value))
        for some in read_samples(page, wanted)
        for labels, value in map(parse_line, some.lines)
    ]


@given(VALUES, st.floats(min_value=0, allow_infinity=False))
@example({'} 5"\n\\': math.nan, "\r\x85 # TYPE x y": -math.inf, 'a="b",c="d"}': 1e-9}, 1)
def test_samples_are_those_that_prometheus_client_reads(values: dict[str, float], total: float) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("some_gauge", 'a "help" text', ["label", "other"], registry=registry)
    for label, value in values.items():
        gauge.labels(label, "x").set(value)
    Counter("all", "", registry=registry).inc(total)
    histogram = Histogram("some_seconds", "", ["label"], registry=registry, buckets=(1, 2))
    for label in values:
        histogram.labels(label).observe(total)
    text = generate_latest(registry).decode()
    expected = [
        (family.type, sample.name, sample.labels, repr(float(sample.value)))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert sorted(read(text), key=repr) == sorted(expected, key=repr)


def test_a_sample_without_a_type_before_it_has_none() -> None:
    page = '# TYPE a histogram\na_bucket{le="1"} 2 1234\nb 1\n\n# comment\n'
    assert read(page) == [("histogram", "a_bucket", {"le": "1"}, "2.0"), ("untyped", "b", {}, "1.0")]


def test_other_samples_are_not_looked_at() -> None:
    page = 'wanted{a="1"} 1\nother{"quoted" 1\nother\n'
    typed = '# TYPE other gauge\nother{"quoted"} one\n# TYPE wanted gauge\nwanted{a="1"} 1\n'
    for text in (page, typed):
        assert read(text, lambda name: name == "wanted") == [
            ("gauge" if text == typed else "untyped", "wanted", {"a": "1"}, "1.0")
        ]


@pytest.mark.parametrize("line", ["<html>", "a{", 'a{b="1" 1', "a", "a one", 'a{b="1"}', '{b="1"} 1', " a 1"])
def test_a_line_that_is_not_valid(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(f"{line}\n")


@pytest.mark.parametrize("labels", ["b", 'b="1" c="2"', 'b="1",b="2"', 'b="\\x"', '1b="1"', "b=1"])
def test_labels_that_are_not_valid(labels: str) -> None:
    with pytest.raises(ValueError, match="label"):
        read(f"a{{{labels}}} 1\n")


def test_a_family_without_a_type_is_read_though_its_name_begins_like_another_one() -> None:
    page = '# TYPE a histogram\na_sum{b="1"} 1\n# HELP a_more words\na_more{b="1"} 2\n'
    assert [name for _, name, _, _ in read(page, lambda name: name == "a_more")] == ["a_more"]


def test_a_long_text_that_is_no_label_is_refused_at_once() -> None:
    before = time.process_time()
    for text in ("a" * 1_000_000, 'a="1",' + "b" * 1_000_000, 'a="' + "b" * 1_000_000, "a=" * 500_000):
        with pytest.raises(ValueError, match="labels"):
            parse_labels(text)
    assert time.process_time() - before < 10
