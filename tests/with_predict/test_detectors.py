"""The detectors of examples/drift."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gangplank import Drift
from support import serving

Rows = NDArray[np.float64]
CLASSES, FEATURES = 10, 20
chi_square, kolmogorov_smirnov, adaptive_window, reference = map(
    importlib.import_module, ("chi_square", "kolmogorov_smirnov", "adaptive_window", "reference")
)
WINDOWED = pytest.mark.parametrize("detector", [chi_square, kolmogorov_smirnov])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def inputs(random: np.random.Generator, rows: int) -> Rows:
    return random.normal(size=(rows, FEATURES))


def predictions(random: np.random.Generator, rows: int, dropped: int | None = None) -> Rows:
    """Return scores, of which the largest is any class's but the dropped one's."""
    scores = random.random(size=(rows, CLASSES))
    if dropped is not None:
        scores[:, dropped] = 0
    return scores


def made(random: np.random.Generator, rows: int = 700) -> Any:
    return reference.Reference(inputs(random, rows), predictions(random, rows))


def in_batches(get_drift_metrics: Callable[[Any, Any], Drift], x: Rows, y: Rows, size: int) -> list[Drift]:
    return [get_drift_metrics(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]


def detected(found: list[Drift]) -> int:
    return sum(drift.drift_detected or 0 for drift in found)


def test_a_reference_is_read_as_it_was_saved(tmp_path: Path, random: np.random.Generator) -> None:
    before = made(random)
    reference.save(str(tmp_path / "reference.npz"), before)
    after = reference.load(str(tmp_path / "reference.npz"))
    assert [part.dtype for part in after] == [part.dtype for part in before]
    assert all(map(np.array_equal, before, after))


@WINDOWED
@pytest.mark.parametrize("size", [1, 7, 99, 100])
def test_small_batches_are_tested_together_and_none_of_their_rows_twice(
    detector: ModuleType, size: int, random: np.random.Generator
) -> None:
    before, x, y = made(random), inputs(random, 100), predictions(random, 100)
    get_drift_metrics = detector.detector(before, window=100)
    *waiting, last = in_batches(get_drift_metrics, x, y, size)
    assert waiting == [Drift()] * len(waiting)
    assert last == detector.detector(before, window=1)(x, y)
    assert last.p_value is not None
    assert get_drift_metrics(x[:99], y[:99]) == Drift(), "the window is empty again"


@WINDOWED
def test_a_batch_that_is_larger_than_the_window_is_tested_whole(
    detector: ModuleType, random: np.random.Generator
) -> None:
    before, x, y = made(random), inputs(random, 2_000), predictions(random, 2_000)
    assert detector.detector(before)(x, y) == detector.detector(before, window=2_000)(x, y)


# With a reference taken for exact, or without the correction, most of them would be alarms.
@WINDOWED
def test_one_in_twenty_at_most_has_a_p_value_below_one_in_twenty(
    detector: ModuleType, random: np.random.Generator
) -> None:
    alarms = 0
    for _ in range(200):
        get_drift_metrics = detector.detector(made(random, 300), window=100, alpha=0.05)
        drift = get_drift_metrics(inputs(random, 300), predictions(random, 300))
        assert drift.p_value is not None
        assert 0 < drift.p_value <= 1
        assert drift.drift_detected == (drift.p_value < 0.05)
        alarms += drift.drift_detected
    assert 1 <= alarms <= 20


# With p < 0.01, each of the first two would raise several alarms.
@pytest.mark.parametrize(
    ("detector", "rows"), [(chi_square, 500_000), (kolmogorov_smirnov, 100_000), (adaptive_window, 100_000)]
)
def test_undrifted_data_is_no_drift(detector: ModuleType, rows: int, random: np.random.Generator) -> None:
    get_drift_metrics = detector.detector(made(random))
    found = in_batches(get_drift_metrics, inputs(random, rows), predictions(random, rows), 100)
    assert detected(found) == 0


@pytest.mark.parametrize("detector", [chi_square, adaptive_window])
@pytest.mark.parametrize("dropped", range(CLASSES))
def test_a_class_that_is_no_longer_predicted_is_drift(
    detector: ModuleType, dropped: int, random: np.random.Generator
) -> None:
    get_drift_metrics = detector.detector(made(random))
    found = in_batches(get_drift_metrics, inputs(random, 2_000), predictions(random, 2_000, dropped), 100)
    assert detected(found) > 0
    statistics = [drift.test_statistic for drift in found if drift.test_statistic is not None]
    assert all(isinstance(statistic, float) for statistic in statistics)


def test_a_class_that_was_never_predicted_before_is_drift(random: np.random.Generator) -> None:
    before = reference.Reference(inputs(random, 700), predictions(random, 700, dropped=3))
    for detector in chi_square, adaptive_window:
        drift = detector.detector(before)(inputs(random, 2_000), predictions(random, 2_000))
        assert drift.drift_detected, detector


def test_a_class_that_is_predicted_neither_before_nor_now_is_none(random: np.random.Generator) -> None:
    before = reference.Reference(inputs(random, 700), predictions(random, 700, dropped=3))
    for detector in chi_square, adaptive_window:
        drift = detector.detector(before)(inputs(random, 2_000), predictions(random, 2_000, dropped=3))
        assert drift.drift_detected == 0, detector


@pytest.mark.parametrize("feature", [0, FEATURES - 1])
def test_one_feature_that_moves_is_drift(feature: int, random: np.random.Generator) -> None:
    x = inputs(random, 500)
    x[:, feature] += 1
    drift = kolmogorov_smirnov.detector(made(random))(x, None)
    assert drift.drift_detected == 1
    assert drift.p_value < kolmogorov_smirnov.ALPHA


def test_images_are_flattened(random: np.random.Generator) -> None:
    before, x = made(random), inputs(random, 500)
    drift = kolmogorov_smirnov.detector(before)(x, None)
    assert drift.p_value is not None
    assert kolmogorov_smirnov.detector(before)(x.reshape(500, 4, -1), None) == drift


def test_a_change_in_a_stream_is_told_once_and_its_size_remains(random: np.random.Generator) -> None:
    get_drift_metrics = adaptive_window.detector(made(random))
    before = in_batches(get_drift_metrics, inputs(random, 1_000), predictions(random, 1_000), 10)
    after = in_batches(get_drift_metrics, inputs(random, 20_000), predictions(random, 20_000, dropped=3), 10)
    assert detected(before) == 0
    assert 1 <= detected(after) <= CLASSES
    assert detected(after[-1_000:]) == 0
    assert before[-1].test_statistic == pytest.approx(0, abs=0.05)
    assert after[-1].test_statistic == pytest.approx(0.1, abs=0.02)


def test_the_script_shows_drift_and_no_drift_as_the_readme_says(tmp_path: Path) -> None:
    (told,) = re.findall(r"```text\n(.*?)```", (serving.DRIFT / "README.md").read_text(), re.DOTALL)
    said = serving.run(tmp_path, serving.DRIFT / "show.py")
    # The last digits of the p-values depend on the machine.
    p_value = re.compile(r"(?<=p = )[\d.e-]+")
    assert p_value.sub("", said) == p_value.sub("", told)
    assert [float(value) for value in p_value.findall(said)] == pytest.approx(
        [float(value) for value in p_value.findall(told)], rel=0.5
    )


def test_the_false_alarms_are_measured_as_the_readme_says(tmp_path: Path) -> None:
    said = serving.run(tmp_path, serving.DRIFT / "false_alarms.py", "--batches", "20")
    assert re.findall(r"^(\w+)\n  false alarms: (\d+) in 20 batches", said, re.MULTILINE) == [
        ("chi_square", "0"),
        ("kolmogorov_smirnov", "0"),
        ("adaptive_window", "0"),
    ]
    dropped = [float(share) for share in re.findall(r"a digit dropped: .* within two ([\d.]+)%", said)]
    assert dropped[0] > 60
    assert dropped[1] == 0
    assert dropped[2] > 60
