"""The options of an exporter, as an adapter's signature and docstring show them."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Any, Unpack, get_type_hints

import pytest

from gangplank import AdapterExporter, Exporter, ExporterOptions
from gangplank.core.options import show_options

if TYPE_CHECKING:
    from decimal import Decimal


class ToyExporter(AdapterExporter):
    """Exports each fit.

    Args:
        address: the destination.
        job: the `job` label.
        options: those of `Exporter`, which are many,
            and on two lines.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(self, address: str, job: str, *, ranks: int = 1, **options: Unpack[ExporterOptions]) -> None:
        self.export_with(Exporter(address, job, **options))


def keyword_only(called: Any) -> dict[str, inspect.Parameter]:
    """Return the keyword-only parameters of a class."""
    parameters = inspect.signature(called, eval_str=True).parameters
    return {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}


def entries(docstring: str | None) -> dict[str, str]:
    """Return the entries under `Args:`, on one line each."""
    args = inspect.cleandoc(docstring or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", args, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def test_the_options_of_adapters_are_the_keyword_only_parameters_of_the_exporter() -> None:
    taken = {name: parameter.annotation for name, parameter in keyword_only(Exporter).items()}
    del taken["framework"]
    assert get_type_hints(ExporterOptions) == taken
    assert len(taken) == 17


def test_every_parameter_of_the_exporter_is_documented() -> None:
    assert list(entries(Exporter.__doc__)) == list(inspect.signature(Exporter).parameters)


def test_an_adapter_shows_each_option_with_its_type_and_its_default() -> None:
    own, theirs = keyword_only(ToyExporter), keyword_only(Exporter)
    assert own.pop("ranks").default == 1, "its own parameter stays"
    del theirs["framework"]
    assert own == theirs
    assert list(inspect.signature(ToyExporter).parameters)[:2] == ["address", "job"]
    assert inspect.signature(ToyExporter.__init__).return_annotation is None


def test_an_adapter_shows_the_text_of_each_option() -> None:
    own, theirs = entries(ToyExporter.__doc__), entries(Exporter.__doc__)
    assert own.pop("address") == "the destination."
    assert own.pop("job") == "the `job` label."
    assert own == {name: text for name, text in theirs.items() if name in own}
    assert own.keys() == ExporterOptions.__annotations__.keys()
    assert "which are many" not in (ToyExporter.__doc__ or "")
    assert (ToyExporter.__doc__ or "").rstrip().endswith("ConfigurationError: an argument cannot work.")


def test_an_adapter_that_inherits_its_constructor_shows_the_options() -> None:
    class Mine(ToyExporter):
        """Mine."""

    assert keyword_only(Mine) == keyword_only(ToyExporter)
    assert Mine.__doc__ == "Mine."


def test_a_docstring_without_indentation_shows_the_options() -> None:
    """Python 3.13 removes it."""

    class Cleaned(Exporter):
        __doc__ = inspect.cleandoc(Exporter.__doc__ or "")

    class Bare:
        __doc__ = "Exports.\n\nArgs:\n    options: those of `Exporter`."

        def __init__(self, **options: object) -> None: ...

    show_options(Bare, Cleaned)
    assert entries(Bare.__doc__) == {
        name: text for name, text in entries(Exporter.__doc__).items() if name in ExporterOptions.__annotations__
    }


def test_an_annotation_that_only_type_checkers_know_is_no_error() -> None:
    class Lazy(AdapterExporter):
        def __init__(self, price: Decimal, **options: Unpack[ExporterOptions]) -> None: ...

    parameters = inspect.signature(Lazy).parameters
    assert parameters["price"].annotation == "Decimal"
    assert parameters["push_interval"].default == 15.0


def test_an_option_that_the_adapter_takes_itself_is_shown_once() -> None:
    class Own(AdapterExporter):
        """Exports.

        Args:
            timeout: of the adapter.
            options: the others.
        """

        def __init__(self, timeout: float = 1.0, **options: Any) -> None: ...

    parameters = inspect.signature(Own).parameters
    assert parameters["timeout"].default == 1.0
    assert parameters.keys() == {"timeout"} | ExporterOptions.__annotations__.keys()
    assert entries(Own.__doc__)["timeout"] == "of the adapter."
    assert (Own.__doc__ or "").count("\n    timeout: ") == 1


def test_a_subclass_that_passes_on_whatever_it_takes_hides_no_argument_of_the_adapter() -> None:
    class Mine(ToyExporter):
        def __init__(self, mine: int = 1, **options) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN003
            super().__init__(**options)

    class Fixed(ToyExporter):
        def __init__(self, **options: Unpack[ExporterOptions]) -> None:
            super().__init__("gateway:9091", "digits", **options)

    class Partial(ToyExporter):
        __init__ = functools.partialmethod(ToyExporter.__init__, "gateway:9091")

    inspect.signature(Mine).bind(address="gateway:9091", job="digits", mine=2)
    assert inspect.signature(Fixed).parameters.keys() == ExporterOptions.__annotations__.keys()
    assert "job" in inspect.signature(Partial).parameters


def test_a_parameter_that_is_only_called_options_stays() -> None:
    class Other(AdapterExporter):
        """Args: none.

        Args:
            options: a number.
        """

        def __init__(self, options: int) -> None: ...

    assert list(inspect.signature(Other).parameters) == ["options"]
    assert "a number" in (Other.__doc__ or "")


def test_an_option_that_is_misspelt_is_refused() -> None:
    with pytest.raises(TypeError, match="histogram_bucket"):
        ToyExporter("gateway:9091", "digits", histogram_bucket=[0.0])  # type: ignore[call-arg]
