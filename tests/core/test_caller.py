"""Whether a framework's function that calls us is still running."""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Callable

import pytest

from gangplank import watch_caller

FRAMEWORK = """
def fit(call, then=None):
    call()
    if then:
        then()

def train(call, then=None):
    fit(call)
    if then:
        then()
"""


@pytest.fixture
def framework() -> types.ModuleType:
    module = types.ModuleType("toy_framework.training")
    exec(FRAMEWORK, module.__dict__)  # noqa: S102  our own
    return module


class Watched:
    """What is watched, and what the function says."""

    def __init__(self, *functions: str, outermost: bool = False) -> None:
        self.functions = functions
        self.outermost = outermost
        self.is_running: Callable[[], bool] | None = None

    def __call__(self) -> None:
        self.is_running = watch_caller("toy_framework", *self.functions, outermost=self.outermost)


def test_it_runs_until_the_function_has_ended_seen_from_any_thread(framework: types.ModuleType) -> None:
    watched, seen = Watched("fit"), []

    def look() -> None:
        assert watched.is_running is not None
        seen.append(watched.is_running())

    def elsewhere() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    framework.fit(watched, then=elsewhere)
    elsewhere()
    assert seen == [True, False]


@pytest.mark.parametrize(("functions", "found"), [(("train", "fit"), True), (("train",), True), (("predict",), False)])
def test_a_function_is_found_by_its_name(framework: types.ModuleType, functions: tuple[str, ...], found: bool) -> None:
    watched = Watched(*functions)
    framework.train(watched)
    assert (watched.is_running is not None) is found


@pytest.mark.parametrize("outermost", [False, True])
def test_of_functions_that_call_each_other_the_innermost_is_watched_unless_the_outermost_is_wanted(
    framework: types.ModuleType, outermost: bool
) -> None:
    watched, seen = Watched("fit", "train", outermost=outermost), []

    def look() -> None:
        assert watched.is_running is not None
        seen.append(watched.is_running())

    framework.train(watched, look)
    assert seen == [outermost]


def test_a_function_of_another_package_is_not_found(framework: types.ModuleType) -> None:
    for name in ("toy_framework2", "my.toy_framework", "None"):
        framework.__dict__["__name__"] = name
        watched = Watched("fit")
        framework.fit(watched)
        assert watched.is_running is None


def test_nothing_of_the_call_is_kept_alive(framework: types.ModuleType) -> None:
    class Model:
        """Belongs to the call."""

    watched, models = Watched("fit"), []

    def call() -> None:
        model = Model()
        models.append(weakref.ref(model))
        watched()

    framework.fit(call)
    assert models[0]() is None
