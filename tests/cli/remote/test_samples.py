"""Reading the samples of a page: as prometheus_client reads them, and faster."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gangplank.cli.remote.samples import parse_labels, read_samples

VALUES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])), st.floats(), min_size=1, max_size=5
)  # by the value of the label


@given(VALUES, st.floats(min_value=0, allow_infinity=False))
@example({'} 5"\n\\': math.nan, "\r\x85 # TYPE x y": -math.inf, 'a="b",c="d"}': 1e-9}, 1)
def test_samples_are_those_that_prometheus_client_reads(values: dict[str, float], total: float) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("some_gauge", 'a "help" text', ["label", "other"], registry=registry)
    for label, value in values.items():
        gauge.labels(label, "x").set(value)
    Counter("all", "", registry=registry).inc(total)
    text = generate_latest(registry).decode()
    expected = [
        (family.type, sample.name, sample.labels, repr(float(sample.value)))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    read = [
        (sample.type, sample.name, parse_labels(sample.labels), repr(sample.value))
        for sample in read_samples(text, lambda _: True)
    ]
    assert read == expected


def test_a_sample_without_a_type_before_it_has_none() -> None:
    page = '# TYPE a histogram\na_bucket{le="1"} 2 1234\nb 1\n\n# comment\n'
    assert [(sample.type, sample.name, sample.value) for sample in read_samples(page, lambda _: True)] == [
        ("histogram", "a_bucket", 2),
        ("untyped", "b", 1),
    ]


def test_other_samples_are_not_looked_at() -> None:
    page = 'wanted{a="1"} 1\nother{"quoted" 1\nother\n'
    assert [sample.name for sample in read_samples(page, lambda name: name == "wanted")] == ["wanted"]


@pytest.mark.parametrize("line", ["<html>", "a{", 'a{b="1" 1', "a", "a one", 'a{b="1"}', '{b="1"} 1', " a 1"])
def test_a_line_that_is_not_valid(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(read_samples(f"{line}\n", lambda _: True))


@pytest.mark.parametrize("labels", ["b", 'b="1" c="2"', 'b="1",b="2"', 'b="\\x"', '1b="1"', "b=1"])
def test_labels_that_are_not_valid(labels: str) -> None:
    [sample] = read_samples(f"a{{{labels}}} 1\n", lambda _: True)
    with pytest.raises(ValueError, match="label"):
        parse_labels(sample.labels)
