"""Train a very small language model on Python's help with Transformers, and show what the gateway holds."""

import argparse
import sys
import tempfile

import topics
import transformers
from rich.console import Console
from transformers import Trainer, TrainingArguments

import gangplank
from gangplank.cli.demo import gateway
from gangplank.cli.remote.tables import JobMetrics, fetch_job
from gangplank.transformers import TrainTestExporter

JOB = "topics-transformers"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--address", default="127.0.0.1:9091", help="a gateway; if none listens there, one is started")
parser.add_argument("--steps", type=int, default=150)
parser.add_argument("--keep", action="store_true", help="keep the gateway running that was started")
args = parser.parse_args()


def main() -> int:
    """Train, evaluate and test; return 0 if the gateway holds what the Trainer logged."""
    transformers.set_seed(7)
    training, held_out, unseen = topics.read()
    # All that Gangplank needs: one more callback.
    exporter = TrainTestExporter(args.address, JOB, histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3)
    with gateway(args.address, keep=args.keep) as look_again, tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            topics.model(),
            TrainingArguments(
                output_dir=folder,
                max_steps=args.steps,
                per_device_train_batch_size=16,
                learning_rate=3e-3,
                logging_steps=10,
                eval_strategy="steps",
                eval_steps=50,
                save_strategy="steps",
                save_steps=50,
                use_cpu=True,
                report_to=[],
                disable_tqdm=not sys.stdout.isatty(),
            ),
            train_dataset=training,
            eval_dataset=held_out,
            callbacks=[exporter],
        )
        trainer.train()
        trained = newest(trainer)
        evaluated = trainer.evaluate()
        tested = trainer.evaluate(unseen, metric_key_prefix="test")
        computed = {
            "train": trained,
            "validate": {name.removeprefix("eval_"): number for name, number in evaluated.items() if name != "epoch"},
            "test": {name.removeprefix("test_"): number for name, number in tested.items() if name != "epoch"},
        }
        return show(computed, look_again)


def newest(trainer: Trainer) -> dict[str, float]:
    """Return the newest value of each metric that the Trainer has logged, by its name on the gateway."""
    values: dict[str, float] = {}
    for logged in trainer.state.log_history:
        if "train_runtime" in logged:  # at the end, the means over the whole training
            means = ("train_loss", "train_samples_per_second", "train_steps_per_second")
            values |= {name.replace("train_", "mean_") if name in means else name: logged[name] for name in logged}
        else:
            values |= logged
    return {name.removeprefix("train_"): number for name, number in values.items() if name not in ("epoch", "step")}


def show(computed: dict[str, dict[str, float]], look_again: str) -> int:
    """Print what the gateway holds; return 0 if that is what the Trainer logged."""
    holdings: JobMetrics = fetch_job(args.address, JOB)
    console = Console()
    console.print(f"\nJob {JOB!r} on the gateway at {args.address}:", highlight=False)
    console.print(holdings.table())
    print(f"\nTo look again: {look_again}\n")
    different = [
        f"gangplank_{phase}_{name} is {held}, the Trainer logged {number}"
        for phase, metrics in computed.items()
        for name, number in metrics.items()
        if (held := holdings.value(phase, name)) != number
    ]
    for line in different:
        print(f"DIFFERENT: {line}", file=sys.stderr)
    if not different:
        print(f"All {sum(map(len, computed.values()))} numbers in the gateway equal those that the Trainer logged.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
