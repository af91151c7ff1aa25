"""The installed plugins, and what the log says about them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator

from gangplank.core.log import logger, one_line
from gangplank.core.plugins.hookspecs import PROJECT
from gangplank.core.plugins.loading import Plugin


def describe_state(plugin: Plugin) -> str:
    """Return the state of a plugin in words: its hooks, or why it is not used."""
    if plugin.state == "switched off":
        return f"switched off by {plugin.problem}"
    if plugin.state == "broken":
        return f"broken: {one_line(plugin.problem)}"
    hooks = ", ".join(sorted(hook.removeprefix(f"{PROJECT}_") for hook in plugin.hooks))
    problem = f"; {one_line(plugin.problem)}" if plugin.problem else ""
    return f"loaded: {hooks or 'implements no hook'}{problem}"


def problem_of(plugin: Plugin) -> str:
    """Return what is wrong with a plugin, or an empty string; a plugin that is switched off has no problem."""
    return "" if plugin.state == "switched off" else one_line(plugin.problem)


@contextlib.contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Collect what gangplank logs, instead of logging it."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def other_warnings(messages: Iterable[str], plugins: Iterable[Plugin]) -> list[str]:
    """Return the messages that do not repeat the problem of a plugin."""
    problems = [problem for plugin in plugins if (problem := problem_of(plugin))]
    return [message for message in messages if not any(problem in message for problem in problems)]
