"""The constructor, copies of what it makes, and how it is switched off."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import re
from functools import partial
from typing import Any

import keras
import pytest

import gangplank
from gangplank import ConfigurationError, TrainTestExporter
from support.keras_fits import Data, exporter, fit
from support.reading import value
from support.servers import Server
from support.shown import assert_shows_no_password, each_mistake
from support.wrong_options import assert_refused, each_wrong_option


def copied_by_pickle(callback: TrainTestExporter) -> TrainTestExporter:
    again = pickle.loads(pickle.dumps(callback))
    assert isinstance(again, TrainTestExporter)
    return again


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, copied_by_pickle])
def test_a_copy_exports_as_the_original_does(gateway: Server, model: keras.Model, data: Data, copied: Any) -> None:
    original = exporter(gateway, histogram_buckets=[0.0], metrics=["loss"])
    history = fit(model, data, copied(original), epochs=1)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_train_accuracy") is None
    history = fit(model, data, original, epochs=1)
    again = copied(original)  # after a fit, too: without the model
    assert again.model is None
    evaluated = model.evaluate(*data, callbacks=[again], return_dict=True, verbose=0)
    assert value(gateway, "gangplank_test_loss") == evaluated["loss"]
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]


def test_disabled_it_is_no_op(model: keras.Model, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", "1")
    callback = TrainTestExporter("127.0.0.1:1", "digits", ignore_exceptions=False, histogram_buckets=[0.0])
    fit(model, data, callback, epochs=1, validation_data=data)
    model.evaluate(*data, callbacks=[callback], verbose=0)


def test_it_works_where_nothing_is_known_of_the_machine(without_facts: None) -> None:
    TrainTestExporter("127.0.0.1:1", "digits").close()


def test_a_mistake_is_refused_at_construction() -> None:
    with pytest.raises(ConfigurationError, match="increase strictly"):
        TrainTestExporter("gateway:9091", "digits", histogram_buckets=[1, 0])
    with pytest.raises(ConfigurationError, match="job is empty"):
        TrainTestExporter("gateway:9091", "")


@each_mistake()
def test_a_mistake_shows_no_password(mistake: dict[str, Any]) -> None:
    assert_shows_no_password(TrainTestExporter, mistake)


@each_wrong_option()
def test_an_option_of_the_wrong_type_is_refused(option: str, wrong: Any) -> None:
    assert_refused(partial(TrainTestExporter, "gateway:9091"), option, wrong)


def test_a_misspelt_option_is_refused() -> None:
    # By mypy as well: it reports an ignore that ignores nothing.
    with pytest.raises(TypeError, match="'push_intervall'"):
        TrainTestExporter("gateway:9091", "digits", push_intervall=1)  # type: ignore[call-arg]


def test_help_shows_each_option_with_its_text_and_default() -> None:
    shown = pydoc.plain(pydoc.render_doc(TrainTestExporter))
    texts = dict(re.findall(r"^ {4}(\w+): (.*)$", inspect.cleandoc(gangplank.Exporter.__doc__ or ""), re.MULTILINE))
    options = gangplank.ExporterOptions.__annotations__
    assert len(options) == 17
    defaults = inspect.signature(gangplank.Exporter).parameters
    for option in options:
        assert len(re.findall(rf"^ \|\s+{option}: {re.escape(texts[option])}$", shown, re.MULTILINE)) == 1, option
        assert re.search(rf"\b{option}: [^=]*= {re.escape(repr(defaults[option].default))}[,)]", shown), option
    assert "options" not in inspect.signature(TrainTestExporter).parameters
    assert not re.search(r"^ \|\s+options: ", shown, re.MULTILINE)


def test_the_signature_is_the_published_one_and_keywords() -> None:
    parameters = inspect.signature(TrainTestExporter).parameters
    positional = {name: p.default for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert positional == {
        "pgw_addr": inspect.Parameter.empty,
        "job": inspect.Parameter.empty,
        "metrics": None,
        "histogram_buckets": None,
        "handler": None,
        "ignore_exceptions": True,
    }
    assert {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == {
        *("grouping_key", "run", "concurrent", "per_rank", "info", "histogram_freq", "per_tensor"),
        "update_freq",
        *("push_interval", "timeout", "flush_timeout", "credentials", "sink"),
    }
    neutral = inspect.signature(gangplank.Exporter).parameters
    assert {name: p.default for name, p in parameters.items() if name in neutral} == {
        name: p.default for name, p in neutral.items() if name in parameters
    }
    assert neutral.keys() - parameters.keys() == {"address", "framework"}
    assert issubclass(TrainTestExporter, keras.callbacks.Callback)
    assert gangplank.keras.TrainTestExporter is TrainTestExporter
