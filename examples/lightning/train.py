"""Train and test a small convnet on handwritten digits with Lightning, and see what arrives in the gateway."""

import argparse
import contextlib
import sys
import time

import digits
import lightning.pytorch as pl
from rich.console import Console

import gangplank
from gangplank.cli.demo import gateway
from gangplank.cli.holdings import Holdings, fetch
from gangplank.lightning import TrainTestExporter

JOB = "digits-lightning"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--address", default="127.0.0.1:9091", help="a gateway; one is started where none listens")
parser.add_argument("--devices", type=int, default=1, help="processes that train together")
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--keep", action="store_true", help="leave the gateway up that was started")
args = parser.parse_args()


def main() -> int:
    """Train and test; return 0 where the gateway holds what Lightning computed."""
    pl.seed_everything(7)
    # All that Gangplank needs: one more callback.
    exporter = TrainTestExporter(args.address, JOB, histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3)
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        callbacks=[exporter],
        accelerator="cpu",
        devices=args.devices,
        strategy="ddp" if args.devices > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stdout.isatty(),
        log_every_n_steps=1,
    )
    # Lightning starts the other processes as this program again: they train, and the first one shows.
    look = gateway(args.address, keep=args.keep) if trainer.is_global_zero else contextlib.nullcontext("")
    with look as look_again:
        computed = train_and_test(trainer)
        return show(computed, look_again) if trainer.is_global_zero else 0


def train_and_test(trainer: pl.Trainer) -> dict[str, dict[str, float]]:
    """Return what Lightning computed, by phase, by the names that the gateway has for it."""
    model, data = digits.Classifier(), digits.Digits()
    trainer.fit(model, datamodule=data)
    fitted = {name.removeprefix("train_"): float(number) for name, number in trainer.callback_metrics.items()}
    [tested] = trainer.test(model, datamodule=data, verbose=False)
    return {"train": fitted, "test": {name.removeprefix("test_"): number for name, number in tested.items()}}


def show(computed: dict[str, dict[str, float]], look_again: str) -> int:
    """Print what the gateway holds; return 0 where that is what Lightning computed."""
    holdings = arrived()
    console = Console()
    console.print(f"\nWhat the gateway on {args.address} holds of job {JOB!r}:", highlight=False)
    console.print(holdings.table())
    console.print("The weights of the trained model, gangplank_train_model_weights:\n", highlight=False)
    console.print(holdings.histogram("train"))
    print(f"\nTo look again: {look_again}\n")
    different = [
        f"gangplank_{phase}_{name} is {held}, Lightning computed {number}"
        for phase, metrics in computed.items()
        for name, number in metrics.items()
        if (held := holdings.value(phase, name)) != number
    ]
    for line in different:
        print(f"DIFFERENT: {line}", file=sys.stderr)
    if not different:
        print(f"All {sum(map(len, computed.values()))} numbers in the gateway equal those that Lightning computed.")
    return 1 if different else 0


def arrived() -> Holdings:
    """Return what the gateway holds, once the test's last page is there: of several processes none waits for it."""
    end = time.monotonic() + 5
    while True:
        holdings = Holdings(fetch(args.address, "/metrics"), JOB)
        if holdings.value("test", "run_state", state="finished") or time.monotonic() > end:
            return holdings
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
