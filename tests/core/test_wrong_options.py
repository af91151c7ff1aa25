"""An option of the wrong type is refused before any training, with its name and a fix."""

from __future__ import annotations

from functools import partial
from typing import Any, Unpack

import pytest

import gangplank
from gangplank import AdapterExporter, ConfigurationError, Exporter, ExporterOptions
from gangplank.core.errors import kind_of
from support.wrong_options import assert_refused, each_wrong_option


class OwnAdapter(AdapterExporter):
    """An adapter as its users write it."""

    def __init__(self, address: str, job: str, **options: Unpack[ExporterOptions]) -> None:
        super().__init__()
        self.export_with(Exporter(address, job, framework={"framework": "toy_framework"}, **options))


@each_wrong_option()
@pytest.mark.parametrize("construct", [Exporter, gangplank.run, OwnAdapter])
def test_it_is_refused(construct: Any, option: str, wrong: Any) -> None:
    assert_refused(partial(construct, "gateway:9091"), option, wrong)


@pytest.mark.parametrize("framework", ["keras", 5, ["keras"], {"framework": None}])
def test_a_framework_that_is_no_labels_is_refused(framework: Any) -> None:
    assert_refused(partial(Exporter, "gateway:9091"), "framework", framework)


@pytest.mark.parametrize("address", [5, None, b"gateway:9091", [5], {}, [["gateway:9091"]], True])
def test_an_address_that_is_none_is_refused(address: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^the address is .*: give text such as host:port"):
        Exporter(address, "digits")


@pytest.mark.parametrize(
    ("thing", "kind"), [(5, "an int"), ([], "a list"), (None, "None"), (object(), "an object"), (b"", "bytes")]
)
def test_a_message_says_what_it_is(thing: object, kind: str) -> None:
    assert kind_of(thing) == kind
