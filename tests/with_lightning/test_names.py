"""What the module names as we do: both are exported, and told apart."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import hypothesis
import hypothesis.strategies as some
import pytest
import torch

import gangplank
from gangplank.lightning.learning_rates import named, rates_of
from support.lightning_model import WARNINGS, data, each_package, module, trainer
from support.lightning_pages import Pages, exporter, values
from support.logged import warnings

pytestmark = WARNINGS


@pytest.fixture
def pages() -> Pages:
    return Pages()


def apart(pages: Pages) -> dict[str, float]:
    """Return the metrics of the last page; the digest at the end of a name is written `#`."""
    return {re.sub("_[0-9a-f]{8}$", "_#", name): number for name, number in values(pages.last).items()}


@each_package()
@pytest.mark.parametrize("by_step", [False, True])
def test_a_module_that_logs_a_gradient_norm_and_a_learning_rate_of_its_own(
    pages: Pages, pl: Any, by_step: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        loss = self.layer(batch).pow(2).mean()
        self.log("gradient_norm", 1234.0, on_step=by_step, on_epoch=not by_step)
        self.log("learning_rate", 5678.0, on_step=by_step, on_epoch=not by_step)
        return loss

    options: Any = {"update_freq": "batch", "push_interval": 0.000001} if by_step else {}
    trainer(exporter(pages, gradient_norm=True, **options), pl=pl).fit(module(pl, training_step=training_step), data())
    found = apart(pages)
    assert found.keys() == {"gradient_norm", "gradient_norm_#", "learning_rate_#"}
    assert (found["gradient_norm_#"], found["learning_rate_#"]) == (1234.0, 5678.0)
    assert 0 < found["gradient_norm"] < 100
    assert pages.last.newest.learning_rates == {"": 0.1}
    assert all(page.newest.learning_rates in ({}, {"": 0.1}) for page in pages.pages)
    assert {page.metrics["gradient_norm"][0] for page in pages.pages if "gradient_norm" in page.metrics} & {
        1234.0
    } == set()
    said = " ".join(warnings(caplog))
    assert said.count("gangplank_train_gradient_norm is the metric 'gradient_norm' computed by gangplank") == 1
    assert said.count("gangplank_train_learning_rate is one of gangplank's own") == 1


def test_a_module_that_logs_the_norm_of_one_of_several_optimizers(pages: Pages) -> None:
    def configure_optimizers(self: Any) -> Any:
        weight, bias = self.layer.parameters()
        return [torch.optim.SGD([weight], lr=0.1), torch.optim.SGD([bias], lr=0.2)]

    def training_step(self: Any, batch: Any, index: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.layer(batch).pow(2).mean())
            optimizer.step()
        self.log("gradient_norm_0", 1234.0, on_step=False, on_epoch=True)

    model = module(configure_optimizers=configure_optimizers, training_step=training_step)
    model.automatic_optimization = False
    trainer(exporter(pages, gradient_norm=True)).fit(model, data())
    found = apart(pages)
    assert found.keys() == {"gradient_norm_0", "gradient_norm_0_#", "gradient_norm_1"}
    assert found["gradient_norm_0_#"] == 1234.0


def test_without_one_of_ours_the_modules_own_norm_has_the_name(pages: Pages) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        self.log("gradient_norm", 1234.0, on_step=False, on_epoch=True)
        return self.layer(batch).pow(2).mean()

    trainer(exporter(pages)).fit(module(training_step=training_step), data())
    assert values(pages.last) == {"gradient_norm": 1234.0}


# Learning rates


@each_package()
@pytest.mark.parametrize("name", ["decayed", ""])
def test_groups_of_one_name_have_a_rate_each(pages: Pages, pl: Any, name: str) -> None:
    def configure_optimizers(self: Any) -> Any:
        weight, bias = self.layer.parameters()
        groups = [{"params": [weight], "lr": 0.1, "name": name}, {"params": [bias], "lr": 0.2, "name": name}]
        return torch.optim.SGD(groups)

    trainer(exporter(pages), pl=pl).fit(module(pl, configure_optimizers=configure_optimizers), data())
    prefix = f"SGD/{name}/" if name else "SGD/"
    assert pages.last.newest.learning_rates == {f"{prefix}pg1": 0.1, f"{prefix}pg2": 0.2}


# Names that are close to those that are made.
group_names = some.lists(
    some.none() | some.sampled_from(["", "a", "pg1", "pg2", "a/pg1", "pg1/pg1", "1", "Adam", "\ud800"]),
    min_size=1,
    max_size=4,
)


@hypothesis.given(some.lists(some.tuples(some.sampled_from(["Adam", "Adam-1", "SGD"]), group_names), max_size=4))
def test_no_rate_is_lost_whatever_the_groups_are_called(optimizers: list[tuple[str, list[str | None]]]) -> None:
    rates = iter(range(1, 100))
    made = [
        type(kind, (SimpleNamespace,), {})(param_groups=[{"name": name, "lr": next(rates)} for name in groups])
        for kind, groups in optimizers
    ]
    found = named(rates_of(made), made)
    given = [group["lr"] for one in made for group in one.param_groups]
    assert sorted(found.values()) == given
    assert named(rates_of(made), made) == found
    pages = Pages()
    with gangplank.run("here", "digits", sink=pages) as run:
        run.record(epoch=0, learning_rates=found)
    assert sorted(pages.last.newest.learning_rates.values()) == given


def test_optimizers_and_groups_keep_the_names_of_lightnings_monitor() -> None:
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(5)]
    groups = [{"params": [weights[0]]}, {"params": [weights[1]], "name": "bias"}]
    made: list[Any] = [torch.optim.SGD(groups, lr=0.1), torch.optim.SGD([weights[2]], lr=0.2)]
    assert named(rates_of(made), made) == {"SGD/pg1": 0.1, "SGD/bias": 0.1, "SGD-1": 0.2}
