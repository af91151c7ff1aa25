"""A Lightning callback: Lightning's words -> the neutral words of `gangplank.Run`."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from gangplank import Credentials, Handler, Run, Sink
from gangplank.lightning.callback import VERSION, Callback
from gangplank.lightning.launched import when_it_ends
from gangplank.lightning.phases import Evaluation, Fit
from gangplank.lightning.sharding import Sharding


class TrainTestExporter(Callback):  # type: ignore[misc]  # not looked into: PyTorch has no end
    """Pushes what a module logs in `fit`, `validate`, `test` and `predict`, and how the run stands, to a Pushgateway.

        exporter = gangplank.lightning.TrainTestExporter("127.0.0.1:9091", "digits")
        trainer = Trainer(max_epochs=10, callbacks=[exporter])
        trainer.fit(model, datamodule=digits)
        trainer.test(model, datamodule=digits)

    Each of the four is a phase of its own: `train` (the validation inside a fit is part of it), `validate`, `test` and
    `predict`. One exporter serves any number of them, in the Trainers of `lightning.pytorch` and `pytorch_lightning`.
    The exported values are those of `trainer.callback_metrics`, as float64, each under the name that it has there.

    Of several processes the first exports, and no hook asks the others for anything: what the module reduces
    (`self.log(..., sync_dist=True)`) is reduced, anything else is what the first process has. With
    `GANGPLANK_DISABLED=1` in the environment it does nothing.

    Args:
        pgw_addr: the Pushgateway: `host:port`, `http://host:port` or `https://user:password@host/prefix`, with or
            without a trailing slash; IPv6 in brackets. Or a file for node_exporter's textfile collector
            (`file:///path/name.prom`), an endpoint in this process for Prometheus to scrape
            (`scrape://127.0.0.1:9464`), what an installed plugin brings, or a list of these. None waits for another.
        job: the `job` label; any text that is not empty.
        metrics: which of the logged metrics to export, such as `["train_loss", "val_accuracy"]`; every one where it is
            left out. One that never appears is reported once.
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
        per_tensor: count the weights of each tensor, labelled `tensor="layer.weight"`: True for the 50 largest, n for
            the n largest, the others together as `tensor="other"`. Each takes as many series as there are edges.
        update_freq: "batch" exports what the module logs in each step too, n in every n-th, under the same names; what
            is pushed is the newest, every `push_interval`. "epoch" does not.
        push_interval: seconds between two pushes of values that arrive faster than epochs.
        timeout: seconds that one push may take in all.
        flush_timeout: seconds that the end of a run waits, at most, for its last values to arrive.
        credentials: a callable, asked for each push, that returns (user, password) for HTTP Basic authentication, or
            the whole `Authorization` header. Without it, those in the address are used, or those that the environment
            holds for this very host: `GANGPLANK_PUSHGATEWAY_HOST`, `_USERNAME` and `_PASSWORD` (and `_CA_FILE`,
            `_CERT_FILE`, `_KEY_FILE` for TLS).
        sink: opens the destination in the stead of the address' scheme: called with the address, returns a
            `gangplank.Sink`.
        gradient_norm: export the total 2-norm of the gradients of the newest optimizer step, before they are clipped,
            as `gradient_norm` (with several optimizers `gradient_norm_0`, ... in their order); where `metrics` is
            given, name it there too. It costs time in every step.

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
        ignore_exceptions: bool = True,  # noqa: FBT001, FBT002  as Keras' exporter
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
        gradient_norm: bool = False,
    ) -> None:
        super().__init__()
        about = {"framework": "lightning", "framework_version": VERSION, "backend": "torch"}
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
        self._per_rank, self._gradient_norm = per_rank, gradient_norm
        self._awaits_pushes = not ignore_exceptions
        self._sharding = Sharding()
        self._sees_the_end = False
        self._fit: Fit | None = None
        self._evaluation: Evaluation | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a fit; one that has nothing left to do never comes here."""
        with self._run.guard("beginning the fit"):
            planned = trainer.max_epochs if (trainer.max_epochs or -1) > 0 else None
            self._start(trainer, "train", epochs=planned, epoch=trainer.current_epoch)
            if self._run.open:
                weights = self._sharding.readable(trainer, pl_module)
                self._fit = Fit(self._run, trainer, weights, per_rank=self._per_rank, norm=self._gradient_norm)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Record the epoch before: only now Lightning has computed all that was logged in it."""
        if self._fit is not None:
            with self._run.guard("recording the epoch"):
                self._fit.begin_epoch()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Time the batch."""
        if self._fit is not None:
            try:
                self._fit.begin_batch()
            except Exception:  # a guard around each batch would cost more than most of what it does
                with self._run.guard("timing a batch"):
                    raise

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """Time the batch up to here."""
        if self._fit is not None:
            self._fit.begin_backward()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Look at the gradients, where that is wanted."""
        if self._gradient_norm and self._fit is not None:
            with self._run.guard("taking the norm of the gradients"):
                self._fit.begin_optimizer_step(optimizer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Time the batch, and count its samples."""
        if self._fit is not None:
            try:
                self._fit.end_batch(batch)
            except Exception:
                with self._run.guard("timing a batch"):
                    raise

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End the training part of the epoch; the module's own hook, which may log, comes after this."""
        if self._fit is not None:
            with self._run.guard("ending the epoch"):
                self._fit.end_epoch()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the last epoch."""
        if self._fit is not None:
            with self._run.guard("recording the epoch"):
                self._fit.record_epoch()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """End the run: the fit has come to its end, with the weights that the other callbacks left."""
        fit, self._fit = self._fit, None
        if self._run.open:
            self._finish(trainer, fit.weights if fit is not None else None)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a validation, unless it is part of a fit; the sanity check before a fit is nothing."""
        if trainer.state.fn == "validate":
            self._begin_evaluation(trainer, "validate", pl_module)
        elif self._fit is not None and not trainer.sanity_checking:
            with self._run.guard("beginning the validation"):
                self._fit.begin_validation()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record what the validation found."""
        self._end_evaluation()
        if self._fit is not None and not trainer.sanity_checking:
            with self._run.guard("recording the validation"):
                self._fit.end_validation()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a test."""
        self._begin_evaluation(trainer, "test", pl_module)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Record what the test found."""
        self._end_evaluation()

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a prediction."""
        self._begin_evaluation(trainer, "predict", None)

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count the samples of an evaluation; the validation inside a fit has no counts of its own."""
        if self._evaluation is not None:
            with self._run.guard("counting the samples"):
                self._evaluation.count(batch)

    on_validation_batch_end = on_test_batch_end = on_predict_batch_end

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Record how much was predicted."""
        if self._evaluation is not None:
            with self._run.guard("recording the prediction"):
                self._evaluation.end_prediction()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """End the run of an evaluation that has come to its end; that of a fit has ended."""
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is not None and evaluation.ended:
            self._finish(trainer, None)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the run as failed, or after Ctrl-C and SIGTERM as interrupted; with the last epoch that was complete."""
        fit, self._fit, self._evaluation = self._fit, None, None
        with self._run.guard("recording the epoch", raises=False):  # the user's exception is the one to raise
            if fit is not None:
                fit.record_epoch()
        self._run.finish(exception)

    def close(self) -> None:
        """Let go of what the destinations hold open; without it, a scrape endpoint listens until the process ends."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run.finish(error)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy starts from, in this process or in one that a launcher starts: nothing under way."""
        # `log` and `log_dict` are the module's own: Lightning puts them into every callback.
        state = {name: value for name, value in self.__dict__.items() if name not in ("log", "log_dict")}
        return {**state, "_fit": None, "_evaluation": None, "_sees_the_end": False}

    def __copy__(self) -> TrainTestExporter:
        return copy.deepcopy(self)

    def _start(self, trainer: Any, phase: str, **how: Any) -> None:
        self._fit = self._evaluation = None
        self._run.finish(RuntimeError("the fit or evaluation before did not come to its end"))
        self._run = self._run.phase(phase)
        self._run.start(**how, rank=trainer.global_rank)
        self._sees_the_end = self._sees_the_end or when_it_ends(self._process_ends)

    def _process_ends(self, error: BaseException) -> None:
        self._run.finish(error)

    def _begin_evaluation(self, trainer: Any, phase: str, module: Any) -> None:
        with self._run.guard("beginning the evaluation"):
            self._start(trainer, phase)
            if self._run.open:
                self._evaluation = Evaluation(self._run, trainer, self._sharding.readable(trainer, module))

    def _end_evaluation(self) -> None:
        if self._evaluation is not None:
            with self._run.guard("recording the evaluation"):
                self._evaluation.end()

    def _finish(self, trainer: Any, weights: Any) -> None:
        if trainer.world_size == 1 or self._awaits_pushes:
            self._run.finish(weights=weights)
            return
        # The others go on to what comes next, and this process with them: a thread waits for the last page.
        run, self._run = self._run, self._run.phase("train")
        run.record(weights=weights)
        with run.guard("ending the run"):  # no thread starts where the interpreter shuts down
            threading.Thread(target=run.finish, name="gangplank-finish").start()
