"""An instrumented object is like the object in all but its calls."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

import pytest
from prometheus_client import CollectorRegistry

from gangplank import instrument
from support.predicted import Model, shown


class Chain:
    """A chain of layers."""

    def __init__(self, *layers: Any) -> None:
        self.layers = list(layers)
        self.training = True

    def __call__(self, x: list[int], scale: int = 1) -> list[int]:
        return [scale * one for one in x]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, place: int) -> Any:
        return self.layers[place]

    def __setitem__(self, place: int, layer: Any) -> None:
        self.layers[place] = layer

    def __contains__(self, layer: Any) -> bool:
        return layer in self.layers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.layers.clear()

    def __repr__(self) -> str:
        return "Chain()"

    def eval(self) -> Chain:
        """Stop training."""
        self.training = False
        return self

    def first(self) -> Any:
        return self.layers[0]

    @property
    def itself(self) -> Chain:
        return self


@pytest.fixture
def pair(registry: CollectorRegistry) -> tuple[Chain, Any]:
    """A chain, and its proxy."""
    chain = Chain("a", "b")
    return chain, instrument(chain, registry=registry)


def test_attributes_are_read_set_and_deleted_in_the_object(pair: tuple[Chain, Any]) -> None:
    chain, proxy = pair
    proxy.depth = 3
    assert chain.depth == proxy.depth == 3  # type: ignore[attr-defined]
    del proxy.depth
    assert not hasattr(chain, "depth")
    with pytest.raises(AttributeError, match="depth"):
        proxy.depth  # noqa: B018
    with pytest.raises(AttributeError):
        del proxy.depth
    assert proxy.layers is chain.layers


def test_a_method_that_returns_the_object_returns_the_proxy(
    pair: tuple[Chain, Any], registry: CollectorRegistry
) -> None:
    chain, proxy = pair
    assert proxy.eval() is proxy
    assert not chain.training
    assert proxy.first() == "a"
    assert (proxy.eval.__name__, proxy.eval.__doc__) == ("eval", "Stop training.")
    proxy.eval()([1, 2])
    assert shown(registry, "total") == 2


def test_special_methods_are_the_objects(pair: tuple[Chain, Any]) -> None:
    chain, proxy = pair
    assert (len(proxy), proxy[1], list(proxy), "b" in proxy) == (2, "b", ["a", "b"], True)
    proxy[0] = "c"
    assert chain.layers[0] == "c"
    with proxy as entered:
        assert entered is proxy
    assert chain.layers == []
    plain = instrument(Model())
    assert not hasattr(plain, "__len__")
    assert bool(plain)


def test_it_shows_itself_as_the_object(pair: tuple[Chain, Any]) -> None:
    chain, proxy = pair
    assert repr(proxy) == str(proxy) == "Chain()"
    assert set(dir(chain)) <= set(dir(proxy))
    assert inspect.signature(proxy) == inspect.signature(chain)
    assert not isinstance(proxy, Chain)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_measures_too(pair: tuple[Chain, Any], registry: CollectorRegistry, copied: Any) -> None:
    chain, proxy = pair
    another = copied(proxy)
    another.training = None
    assert chain.training is True
    assert (another.layers is chain.layers) == (copied is copy.copy)
    another([1, 2, 3])
    proxy([1])
    assert shown(registry, "total") == 4


def test_one_that_is_only_half_made_has_no_attributes(pair: tuple[Chain, Any]) -> None:
    half = object.__new__(type(pair[1]))
    with pytest.raises(AttributeError):
        half.anything  # noqa: B018
