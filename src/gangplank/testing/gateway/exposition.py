"""Parses the text of a push into metric families, or refuses it with a reason.

prometheus_client's parser is made for scraping: it renames counters, and accepts mistakes that a Pushgateway refuses.
So the text is parsed here as the real gateway parses it, with its oddities: `# TYPE` in any case, a value directly
after the name (`a-1`), a bucket under the name of its histogram without a suffix.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

BOUND_LABELS = {"summary": "quantile", "histogram": "le"}
SUFFIXES = {"summary": ("sum", "count"), "histogram": ("sum", "count", "bucket")}
KINDS = {
    **{kind: kind for kind in ("counter", "gauge", "summary", "untyped", "histogram")},
    **dict.fromkeys(("gaugehistogram", "gauge_histogram"), "histogram"),
}

# Possessive (`*+`): a long line is refused in linear time.
_BLANKS = r"[ \t]*+"
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL = rf'{_BLANKS}([a-zA-Z_][a-zA-Z0-9_]*+){_BLANKS}={_BLANKS}"((?:[^"\\]|\\["\\n])*+)"{_BLANKS}'
SAMPLE = re.compile(
    rf"(?P<name>{_NAME}){_BLANKS}"
    rf"(?:\{{(?P<labels>(?:{_LABEL},)*+(?:{_LABEL})?+){_BLANKS}\}}{_BLANKS})?+"
    rf"(?P<value>[^ \t]*+)(?:[ \t]++(?P<timestamp>[+-]?[0-9]++))?",
)
LABEL = re.compile(_LABEL)
COMMENT = re.compile(rf"#{_BLANKS}(HELP|TYPE)[ \t]++(.*)")
COMMENT_ON = re.compile(rf"({_NAME})(?:([ \t]++)(.*))?")
HELP = re.compile(r'(?:[^\\]|\\[\\n"])*+')
ESCAPE = re.compile(r'\\([\\n"])')
NUMBER = re.compile(r"[+-]?(?:inf(?:inity)?|(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:e[+-]?[0-9]++)?)|nan", re.IGNORECASE)
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how the surrogateescape handler represents such bytes
INT64 = range(-(2**63), 2**63)


class MalformedError(ValueError):
    """A body that is not valid in the text format."""


@dataclass(slots=True)
class Metric:
    """One label set of a family: its value, or its buckets or quantiles (bound, value), sum and count."""

    labels: dict[str, str]
    value: float = 0
    points: list[tuple[float, float]] = field(default_factory=list)
    sum: float = 0
    count: float = 0
    stamped: bool = False


@dataclass(slots=True)
class Family:
    """A metric family as it was pushed, before the grouping labels are added."""

    name: str
    kind: str | None = None
    help: str | None = None
    metrics: list[Metric] = field(default_factory=list)


def parse(body: bytes) -> dict[str, Family]:
    """Return the families of a body by name, without those that have no sample; raise MalformedError."""
    reader = _Reader()
    *lines, rest = body.decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            reader.read(line.lstrip(" \t"))
        except ValueError as error:
            raise MalformedError(f"text format parsing error in line {number}: {error}") from None
    if rest.strip(" \t"):
        raise MalformedError(f"text format parsing error in line {len(lines) + 1}: unexpected end of input stream")
    return {name: family for name, family in reader.families.items() if family.metrics}


class _Reader:
    """Parses line by line; raises ValueError."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self._merged: dict[tuple[str, frozenset[tuple[str, str]]], Metric] = {}

    def read(self, line: str) -> None:
        """Parse one line that has no leading blanks."""
        if line.startswith("#"):
            self._comment(line)
        elif line:
            self._sample(line)

    def _comment(self, line: str) -> None:
        comment = COMMENT.fullmatch(line)
        if not comment or not comment[2]:
            return
        subject = COMMENT_ON.fullmatch(comment[2])
        if not subject:
            raise ValueError("invalid metric name in comment")
        name, blanks, text = subject.groups()
        if not blanks:
            return
        family, _ = self._family(name)
        if text and comment[1] == "HELP":
            if family.help is not None:
                raise ValueError(f'second HELP line for metric name "{family.name}"')
            if not HELP.fullmatch(text):
                raise ValueError("invalid escape sequence in HELP")
            family.help = unescape(text)
        elif text:
            if family.kind is not None:
                raise ValueError(f'second TYPE line for metric name "{family.name}", or TYPE reported after samples')
            family.kind = KINDS.get(text.replace("\\", "").lower())
            if family.kind is None:
                raise ValueError(f'unknown metric type "{text}"')

    def _sample(self, line: str) -> None:
        sample = SAMPLE.fullmatch(line)
        if not sample:
            raise ValueError("not a sample: expected a name, labels in braces, a value")
        family, suffix = self._family(sample["name"])
        family.kind = family.kind or "untyped"
        labels, bound = _labels(sample["labels"] or "", BOUND_LABELS.get(family.kind))
        metric = self._metric(family, labels)
        value = number(sample["value"])
        if family.kind == "histogram" and suffix != "sum" and value < 0:
            raise ValueError(f'negative count for histogram "{family.name}"')
        if suffix == "sum":
            metric.sum = value
        elif suffix == "count":
            metric.count = value
        elif family.kind not in BOUND_LABELS:
            metric.value = value
        elif not math.isnan(bound):
            metric.points.append((bound, value))
        if sample["timestamp"]:
            if int(sample["timestamp"]) not in INT64:
                raise ValueError("expected integer as timestamp")
            metric.stamped = True

    def _family(self, name: str) -> tuple[Family, str]:
        """Return the family that a line with this name belongs to, and the name's suffix in a summary or histogram."""
        base, _, suffix = name.rpartition("_")
        if name not in self.families and base in self.families:
            family = self.families[base]
            if suffix in SUFFIXES.get(family.kind or "", ()):
                return family, suffix
        return self.families.setdefault(name, Family(name)), ""

    def _metric(self, family: Family, labels: dict[str, str]) -> Metric:
        """Return the metric with these labels: a new one for each line, except in a summary or histogram."""
        if family.kind not in BOUND_LABELS:
            family.metrics.append(Metric(labels))
            return family.metrics[-1]
        key = family.name, frozenset(labels.items())
        if key not in self._merged:
            self._merged[key] = Metric(labels)
            family.metrics.append(self._merged[key])
        return self._merged[key]


def _labels(text: str, bound_label: str | None) -> tuple[dict[str, str], float]:
    """Return the labels, and separately the bound of a bucket or quantile, NaN if there is none."""
    labels: dict[str, str] = {}
    bound = math.nan
    for name, escaped in LABEL.findall(text):
        value = unescape(escaped)
        if NOT_UTF8.search(value):
            raise ValueError(f'invalid label value of "{name}": not UTF-8')
        if name == "__name__":
            raise ValueError('label name "__name__" is reserved')
        if name == bound_label:
            bound = number(value)
        elif name in labels:
            raise ValueError(f'duplicate label name "{name}"')
        else:
            labels[name] = value
    return labels, bound


def number(text: str) -> float:
    """Return the float that Go would parse; raise ValueError if only Python would, or if it overflows."""
    if not NUMBER.fullmatch(text):
        raise ValueError(f'expected float, got "{text}"')
    value = float(text)
    if math.isinf(value) and "i" not in text.lower():
        raise ValueError(f'value out of range: "{text}"')
    return value


def unescape(text: str) -> str:
    """Return the value of a label, or a help text, from its escaped form."""
    return ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], text) if "\\" in text else text
