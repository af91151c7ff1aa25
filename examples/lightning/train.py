"""Train and test a small convnet on handwritten digits with Lightning, and show what the gateway holds."""

import argparse
import contextlib
import sys
import time

import digits
import lightning.pytorch as pl
from rich.console import Console

import gangplank
from gangplank.cli.demo import gateway
from gangplank.cli.remote.tables import JobMetrics, fetch_job
from gangplank.lightning import TrainTestExporter

JOB = "digits-lightning"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--address", default="127.0.0.1:9091", help="a gateway; if none listens there, one is started")
parser.add_argument("--devices", type=int, default=1, help="the number of processes")
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--keep", action="store_true", help="keep the gateway running that was started")
args = parser.parse_args()


def main() -> int:
    """Train and test; return 0 if the gateway holds what Lightning computed."""
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
    # Lightning starts this program again for the other processes; only the first one shows what arrived.
    look = gateway(args.address, keep=args.keep) if trainer.is_global_zero else contextlib.nullcontext("")
    with look as look_again:
        computed = train_and_test(trainer)
        return show(computed, look_again) if trainer.is_global_zero else 0


def train_and_test(trainer: pl.Trainer) -> dict[str, dict[str, float]]:
    """Return what Lightning computed, by phase and by name on the gateway."""
    model, data = digits.Classifier(), digits.Digits()
    trainer.fit(model, datamodule=data)
    fitted = {name.removeprefix("train_"): float(number) for name, number in trainer.callback_metrics.items()}
    [tested] = trainer.test(model, datamodule=data, verbose=False)
    return {"train": fitted, "test": {name.removeprefix("test_"): number for name, number in tested.items()}}


def show(computed: dict[str, dict[str, float]], look_again: str) -> int:
    """Print what the gateway holds; return 0 if that is what Lightning computed."""
    holdings = arrived()
    console = Console()
    console.print(f"\nJob {JOB!r} on the gateway at {args.address}:", highlight=False)
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


def arrived() -> JobMetrics:
    """Return what the gateway holds once the test has finished there: with several processes, no process waits."""
    end = time.monotonic() + 5
    while True:
        holdings = fetch_job(args.address, JOB)
        if holdings.value("test", "run_state", state="finished") or time.monotonic() > end:
            return holdings
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
