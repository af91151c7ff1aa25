"""Options of the wrong type, for every exporter."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gangplank import ConfigurationError, ExporterOptions

NO_FLAGS = ("False", "", 0, 1, None, [True], np.True_)
NO_SECONDS = ("15", None, True, [1], 1j)
NO_LABELS = ("text", 5, ["a"], [("a", "b")], {"a": None}, {"a": b"x"}, {1: "x"})
WRONG: dict[str, tuple[Any, ...]] = {
    "metrics": (5, "loss", b"loss", [1], [None]),
    "histogram_buckets": (5, "0.1", b"0.1", True, [None], ["0.1"], object()),
    "histogram_freq": ("1", 1.5, None, True, [1]),
    "per_tensor": ("all", 1.5, None, [1]),
    "update_freq": ("steps", b"batch", 1.5, None, True, [1], np.arange(3)),
    "grouping_key": NO_LABELS,
    "run": (5, b"x", ["x"], True),
    "concurrent": NO_FLAGS,
    "per_rank": NO_FLAGS,
    "info": NO_LABELS,
    "ignore_exceptions": NO_FLAGS,
    "push_interval": NO_SECONDS,
    "timeout": NO_SECONDS,
    "flush_timeout": NO_SECONDS,
    "credentials": ("me:secret", ("me", "secret"), 5),
    "handler": ("handler", 5),
    "sink": ("memory", 5),
    "job": (5, None, b"x", ["x"]),
}
assert set(WRONG) - {"job"} == set(ExporterOptions.__annotations__)


def each_wrong_option() -> pytest.MarkDecorator:
    """Run a test with each wrong value, as `option` and `wrong`."""
    each = [(option, wrong) for option, values in WRONG.items() for wrong in values]
    numbers = [f"{option}-{number}" for option, values in WRONG.items() for number in range(len(values))]
    return pytest.mark.parametrize(("option", "wrong"), each, ids=numbers)


def assert_refused(construct: Callable[..., Any], option: str, wrong: Any) -> None:
    """Check that a constructor refuses an option, names it, and suggests a fix."""
    with pytest.raises(ConfigurationError, match=rf"^{option}\b.*(give|must match|are finite numbers)") as refused:
        construct(**{"job": "digits", option: wrong})
    assert not {"a int", "a object", "a NoneType"} & {" ".join(pair) for pair in _pairs(str(refused.value))}
    assert "secret" not in str(refused.value)


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.replace(":", "").replace(",", "").split()
    return list(itertools.pairwise(words))
