"""Weights and gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3
from gangplank.lightning import TrainTestExporter
from support.lightning_model import PL, WARNINGS, data, module, trainer
from support.lightning_pages import Pages, exporter, values
from support.reading import samples, value
from support.servers import Server

pytestmark = WARNINGS


def tied(self: Any) -> None:
    PL.LightningModule.__init__(self)
    self.layer = torch.nn.Linear(4, 4)
    self.other = torch.nn.Linear(4, 4)
    self.other.weight = self.layer.weight


def frozen(self: Any) -> None:
    PL.LightningModule.__init__(self)
    self.layer = torch.nn.Linear(4, 2)
    self.other = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4)).requires_grad_(False)


def reduced(dtype: torch.dtype) -> Any:
    def init(self: Any) -> None:
        PL.LightningModule.__init__(self)
        self.layer = torch.nn.Linear(4, 2)
        self.other = torch.nn.Linear(4, 2, dtype=dtype)

    return init


@pytest.mark.parametrize(
    ("init", "trainable", "others"),
    [
        pytest.param(tied, 16 + 4 + 4, 0, id="tied weights"),
        pytest.param(frozen, 10, 16 + 4 + 8, id="frozen ones"),
        pytest.param(reduced(torch.bfloat16), 20, 0, id="bfloat16"),
        pytest.param(reduced(torch.half), 20, 0, id="half"),
    ],
)
def test_each_trainable_weight_is_counted_once(gateway: Server, init: Any, trainable: int, others: int) -> None:
    model = module(__init__=init)
    callback = TrainTestExporter(gateway.address, "digits", histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3)
    trainer(callback).fit(model, data())
    weights = np.concatenate([p.detach().double().numpy().ravel() for p in model.parameters() if p.requires_grad])
    buckets = {
        float(s.labels["le"]): s.value for s in samples(gateway.metrics(), "gangplank_train_model_weights_bucket")
    }
    assert len(weights) == trainable
    assert buckets == {edge: (weights <= edge).sum() for edge in (*HISTOGRAM_WEIGHT_BUCKETS_0_3, math.inf)}
    assert value(gateway, "gangplank_train_model_weights_sum") == pytest.approx(math.fsum(weights), rel=1e-9)
    assert value(gateway, "gangplank_train_model_parameters", trainable="true") == trainable
    assert value(gateway, "gangplank_train_model_parameters", trainable="false") == others


@pytest.mark.parametrize("name", ["FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"])
def test_sharded_weights_are_left_alone_and_that_is_said_once(
    pages: Pages, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    # Their own need several accelerators; what counts is the name, and that nobody touches the parameters.
    sharded = type(name, (PL.strategies.SingleDeviceStrategy,), {})("cpu")
    fitter = trainer(exporter(pages, histogram_buckets=[0.0], gradient_norm=True), strategy=sharded)
    fitter.fit(module(), data())
    fitter.test(module(), data(), verbose=False)
    assert [(page.newest.weights, page.newest.parameters) for page in pages.pages] == [(None, None)] * len(pages.pages)
    assert values(pages.of("train")[-1]).keys() == {"loss"}
    said = [record.getMessage() for record in caplog.records if "shards the model" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(name)


# Gradients.


def norms_seen(self: Any, optimizer: Any) -> None:
    """Take the norm that PyTorch computes, after ours has been taken."""
    gradients = [parameter.grad for parameter in self.parameters()]
    self.norms = [*getattr(self, "norms", []), float(torch.nn.utils.get_total_norm(gradients))]


@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 1e-6}, {"accumulate_grad_batches": 2}])
def test_the_gradient_norm_is_the_one_before_the_optimizer_step(pages: Pages, options: dict[str, Any]) -> None:
    model = module(on_before_optimizer_step=norms_seen)
    trainer(exporter(pages, gradient_norm=True), **options).fit(model, data())
    assert values(pages.last)["gradient_norm"] == pytest.approx(model.norms[-1])
    of_epochs = [model.norms[len(model.norms) // 2 - 1], model.norms[-1]]
    assert [norm for _, norm in pages.seen("gradient_norm")] == pytest.approx(of_epochs)


@pytest.mark.parametrize("fused", [False, True])
def test_the_gradient_norm_is_right_under_amp_scaling(pages: Pages, fused: bool) -> None:
    def configure_optimizers(self: Any) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0, fused=fused)

    plain, scaled = (module(configure_optimizers=configure_optimizers) for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    amp = PL.plugins.precision.MixedPrecision("16-mixed", "cpu", scaler=scaler)
    trainer(exporter(pages, gradient_norm=True)).fit(plain, data())
    expected = values(pages.last)["gradient_norm"]
    trainer(exporter(pages, gradient_norm=True), plugins=[amp]).fit(scaled, data())
    assert values(pages.last)["gradient_norm"] == pytest.approx(expected, rel=0.01)


def test_the_gradient_norm_is_exported_where_it_is_asked_for(pages: Pages) -> None:
    trainer(exporter(pages)).fit(module(), data())
    assert "gradient_norm" not in pages.last.metrics
    trainer(exporter(pages, metrics=["train_loss", "gradient_norm"], gradient_norm=True)).fit(module(), data())
    assert values(pages.last).keys() == {"loss", "gradient_norm"}
