"""A Keras callback: Keras' words -> the neutral words of `gangplank.Run`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import keras

from gangplank import Credentials, Handler, Run, Sink
from gangplank.keras.batches import Batches
from gangplank.keras.caller import watch_caller
from gangplank.keras.logs import is_loss, stopped_on_nan, values_of
from gangplank.keras.model_facts import ModelFacts
from gangplank.keras.rank import rank_of_process

T = TypeVar("T")


class TrainTestExporter(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Pushes the metrics of `fit` and `evaluate`, and how the run stands, to a Prometheus Pushgateway.

        exporter = gangplank.TrainTestExporter("127.0.0.1:9091", "digits")
        model.fit(x, y, epochs=10, validation_data=(x_val, y_val), callbacks=[exporter])
        model.evaluate(x_test, y_test, callbacks=[exporter])

    A fit is phase `train` (the validation inside it is part of it), an evaluation outside of a fit is phase `test`. One
    exporter serves any number of them, in any order. Put it last in `callbacks`, so that it sees what the others write
    into the logs. As a context manager it also ends the run that an exception ended:

        with gangplank.TrainTestExporter("127.0.0.1:9091", "digits") as exporter:
            model.fit(..., callbacks=[exporter])

    The exported values are those that Keras reports, as float64. With `GANGPLANK_DISABLED=1` in the environment it does
    nothing.

    Args:
        pgw_addr: the Pushgateway: `host:port`, `http://host:port` or `https://user:password@host/prefix`, with or
            without a trailing slash; IPv6 in brackets. Or a file for node_exporter's textfile collector
            (`file:///path/name.prom`), an endpoint in this process for Prometheus to scrape
            (`scrape://127.0.0.1:9464`), what an installed plugin brings, or a list of these. None waits for another.
        job: the `job` label; any text that is not empty.
        metrics: which entries of Keras' logs to export, such as `["loss", "val_accuracy"]`; every one that is a number
            where it is left out. One that never appears is reported once.
        histogram_buckets: finite, strictly increasing edges for the histogram of the trainable weights, such as
            `gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3`, or "auto" for edges that need no guess and are the same for every
            run; no histogram where it is left out.
        handler: sends in our stead, in prometheus_client's contract: `handler(url, method, timeout, headers, data)`
            returns a callable that sends. Its `basic_auth_handler` and `tls_auth_handler` recipes work as they are.
            The time-outs and redirects of a handler are its own affair.
        ignore_exceptions: True (the default) ignores exceptions of the exporter: what goes wrong with processing or
            pushing is logged, and the run goes on. False raises them: each push is awaited, and the first problem
            aborts the fit or the evaluation with a `gangplank.ExportError` that says what happened.
        grouping_key: labels that tell this job's groups on the gateway apart, beside `job` and `phase`.
        run: the `run` label of every sample: "auto" makes one for each fit and evaluation that sorts by time, other
            text names them, None leaves the label out.
        concurrent: several runs of this job go on at once: `run` joins the grouping key, and each run leaves a group on
            the gateway that someone must delete.
        per_rank: of several processes, every one exports, in a group of its own with its `rank`. Otherwise those whose
            rank is above 0 are silent.
        info: labels for `gangplank_run_info`, over what is known anyway (host, owner, git commit, ...).
        histogram_freq: count the weights every n epochs and at the end; 0: only at the end.
        per_tensor: count the weights of each tensor, labelled `tensor="dense/kernel"`: True for the 50 largest, n for
            the n largest, the others together as `tensor="other"`. Each takes as many series as there are edges.
        update_freq: "batch" exports the metrics of each batch too, as `gangplank_train_batch_<metric>`, n those of
            every n-th, and both how long all steps take; what is pushed is the newest, every `push_interval`.
        push_interval: seconds between two pushes of values that arrive faster than epochs.
        timeout: seconds that one push may take in all.
        flush_timeout: seconds that the end of a run waits, at most, for its last values to arrive.
        credentials: a callable, asked for each push, that returns (user, password) for HTTP Basic authentication, or
            the whole `Authorization` header. Without it, those in the address are used, or those that the environment
            holds for this very host: `GANGPLANK_PUSHGATEWAY_HOST`, `_USERNAME` and `_PASSWORD` (and `_CA_FILE`,
            `_CERT_FILE`, `_KEY_FILE` for TLS).
        sink: opens the destination in the stead of the address' scheme: called with the address, returns a
            `gangplank.Sink`.

    A copy has the same settings and no run. A pickle holds no password: the environment of the other process does.

    Raises:
        ConfigurationError: an argument that cannot work, with the cure.
    """

    def __init__(
        self,
        pgw_addr: str | Sequence[str],
        job: str,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | str | None = None,
        handler: Handler | None = None,
        ignore_exceptions: bool = True,  # noqa: FBT001, FBT002  the published signature
        *,
        grouping_key: Mapping[str, object] | None = None,
        run: str | None = "auto",
        concurrent: bool = False,
        per_rank: bool = False,
        info: Mapping[str, object] | None = None,
        histogram_freq: int = 1,
        per_tensor: bool | int = False,
        update_freq: int | str = "epoch",
        push_interval: float = 15.0,
        timeout: float = 5.0,
        flush_timeout: float = 2.0,
        credentials: Credentials | None = None,
        sink: Callable[[str], Sink] | None = None,
    ) -> None:
        super().__init__()
        about = {
            "framework": "keras",
            "framework_version": keras.__version__,
            "backend": keras.config.backend(),
        }
        self._run = Run(
            pgw_addr,
            job,
            metrics=metrics,
            histogram_buckets=histogram_buckets,
            histogram_freq=histogram_freq,
            per_tensor=per_tensor,
            update_freq=update_freq,
            handler=handler,
            ignore_exceptions=ignore_exceptions,
            grouping_key=grouping_key,
            run=run,
            concurrent=concurrent,
            per_rank=per_rank,
            info=about | dict(info or {}),
            push_interval=push_interval,
            timeout=timeout,
            flush_timeout=flush_timeout,
            credentials=credentials,
            sink=sink,
        )
        self._goes_on: Callable[[], bool] | None = None  # whether the fit under way is; None outside of fits
        self._facts: ModelFacts | None = None
        self._epoch_began = 0.0
        self._batches = Batches()
        if self._run.exports_steps:
            # Only then: Keras would wait for each batch's logs. They say that Keras may call them from any thread.
            self.async_safe = True
            self.on_train_batch_begin = self._batches.begin
            self.on_train_batch_end = self._batches.end
        # Of the epoch, once its validation has begun.
        self._training: _TrainingPart | None = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Keras begins a fit or an evaluation: one that is still open ended with an exception."""
        super().set_params(params)
        with self._run.guard("looking whether a fit goes on"):
            if self._goes_on is not None and self._goes_on():
                return  # another callback evaluates inside the fit
            self._goes_on = None
            self._run.finish(RuntimeError("the fit or evaluation before did not come to its end"))

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """A fit begins; its run does with the first epoch, since a fit may have none left to do."""
        with self._run.guard("beginning the fit"):
            self._goes_on = watch_caller()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the run, in the first epoch."""
        with self._run.guard("beginning the epoch"):
            if not self._run.open:
                self._run = self._run.phase("train")
                self._start(epochs=self.params.get("epochs"), epoch=epoch, alive=self._goes_on)
                self._facts = None
                with self._run.guard("looking at the model"):
                    self._facts = ModelFacts(self.model)
                if self._run.exports_steps:
                    self._batches.start(
                        self._run,
                        position=self._read("the step", ModelFacts.position, self.model),
                        at_once=getattr(self.model, "steps_per_execution", 1),
                        planned=self.params.get("steps"),
                    )
            self._run.begin_epoch()
            self._epoch_began = time.monotonic()
            self._training = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record the epoch."""
        if not self._run.open:
            return
        with self._run.guard("recording the epoch"):
            model = self.model  # looked at once: on JAX, each look brings its variables up to date
            part = self._training or self._training_part(model)
            step = self._read("the step", ModelFacts.steps, model)
            rates = None if step is None else self._read("the learning rate", ModelFacts.learning_rates, model)
            self._batches.end_epoch(step)
            # Who evaluated in between has begun the count anew: then it is not the count of this loss.
            counted = part.loss is not None and is_loss(part.loss, logs)
            self._run.record(
                values_of(logs),
                epoch=epoch,
                step=step,
                samples=part.samples if counted else None,
                seconds=part.seconds,
                learning_rates=rates,
                parameters=self._run.parameters,  # those of a compiled model stay what they are
                weights=model,
            )

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """End the run, with the weights that the other callbacks left."""
        self._goes_on = None
        with self._run.guard("ending the fit"):
            self._batches.stop()
            on_nan = False
            with self._run.guard("reading the loss"):
                on_nan = stopped_on_nan(self.model, logs)
            error = FloatingPointError("the loss is not finite") if on_nan else None
            self._run.finish(error, weights=self.model)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start the run of an evaluation; one inside a fit ends the training part of the epoch."""
        with self._run.guard("beginning the evaluation"):
            if self._goes_on is not None:
                self._batches.end_training()
                self._training = self._training or self._training_part(self.model)
                return
            self._batches.stop()
            self._run = self._run.phase("test")
            self._start(alive=watch_caller())

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Record the evaluation, and end its run."""
        if self._goes_on is not None or not self._run.open:
            return
        with self._run.guard("ending the evaluation"):
            self._run.record(values_of(logs))
            self._run.finish(weights=self.model)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the numbers go, without credentials; a scrape endpoint has its port once it listens."""
        return self._run.addresses

    def close(self) -> None:
        """Let go of what the destinations hold open; without it, a scrape endpoint listens until the process ends."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._goes_on = None
        self._run.finish(error)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy starts from: no model, and no fit under way."""
        return {**self.__dict__, "_model": None, "params": None, "_goes_on": None, "_facts": None, "_training": None}

    def __copy__(self) -> TrainTestExporter:
        return copy.deepcopy(self)

    def _start(self, **how: Any) -> None:
        rank = None
        with self._run.guard("reading the rank"):
            rank = rank_of_process()
        self._run.start(**how, rank=rank)

    def _read(self, what: str, read: Callable[[ModelFacts], T], model: keras.Model | None) -> T | None:
        """Return what can be read from the model, just looked at; a problem with one thing costs no other."""
        with self._run.guard(f"reading {what}"):
            return None if model is None or self._facts is None else read(self._facts)
        return None

    def _training_part(self, model: keras.Model | None) -> _TrainingPart:
        seconds = time.monotonic() - self._epoch_began
        samples, loss = self._read("the samples", ModelFacts.samples, model) or (None, None)
        return _TrainingPart(samples, loss, seconds)


class _TrainingPart(NamedTuple):
    """An epoch without its validation: how many samples it trained on, with what mean loss, in how many seconds."""

    samples: float | None
    loss: float | None
    seconds: float
