"""Adapters that are wrong in one thing each: the one of docs/write-an-adapter.md, with a few lines changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from testing import journey

EXPORTER, PLUGIN, TEST = "gangplank_abacus/exporter.py", "gangplank_abacus/__init__.py", "tests/test_contract.py"

FIT_BEGINS = '        self._run = self._run.phase("train")\n'
START = "self._run.start(epochs=trainer.epochs, epoch=trainer.epoch)"
RECORD = "self._run.record(logs, epoch=trainer.epoch, learning_rates=trainer.lr, weights=[trainer.a])"
FINISH = "        self._run.finish()\n"
FAIL = "self._run.finish(error)"
MAKES = "        about = {"
RETURNS = "        return trainer.fit([(1.0, 2.0), (2.0, 4.1)], epochs)\n"

ASKS_FIRST = """\
        import contextlib, urllib.request
        with contextlib.suppress(OSError):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(f"http://{self._address}/-/ready", timeout=60)
"""
SWALLOWS = """\
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return True

"""
FITS_INSIDE = """\
        with exporter:
            trainer.fit([(1.0, 2.0), (2.0, 4.1)], epochs)
        return trainer.logs
"""
MAKES_IT_ITSELF = """
    def exporter(self, address, job, **options):
        from gangplank_abacus.exporter import PrometheusExporter

        return PrometheusExporter(address, job, **options)
"""


@dataclass
class Wrong:
    """What is changed, which tests are to fail, and what one of them is to say."""

    changes: list[tuple[str, str, str]]
    fails: set[str]
    says: str
    files: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.files = journey.written()
        for name, old, new in self.changes:
            assert self.files[name].count(old) == 1, f"docs/write-an-adapter.md has changed: {old}"
            self.files[name] = self.files[name].replace(old, new)


def each(test: str, *cases: str) -> set[str]:
    return {f"{test}[{case}]" for case in cases}


COPIES = "test_a_copy_trains_and_delivers"
FAULTS = "test_a_faulty_gateway_leaves_the_training_alone"

WRONG = {
    "another value": Wrong(
        [(EXPORTER, RECORD, RECORD.replace("logs", '{"loss": logs["loss"] * (1 + 1e-15)}'))],
        {"test_the_final_values_arrive_exactly"},
        "record the framework's own",
    ),
    "two snapshots per epoch": Wrong(
        [(EXPORTER, RECORD, f"{RECORD}; {RECORD}")],
        {"test_each_epoch_is_recorded_once"},
        "counted from 1: [1, 1, 2, 2, 3, 3]",
    ),
    "epochs counted from 1": Wrong(
        [(EXPORTER, RECORD, RECORD.replace("trainer.epoch", "trainer.epoch + 1"))],
        {"test_each_epoch_is_recorded_once"},
        "counted from 1: [2, 3, 4]",
    ),
    "no options": Wrong(
        [
            (EXPORTER, "info=None, **options", "info=None, flush_timeout=2.0, timeout=5.0"),
            (EXPORTER, "{})}, **options", "{})}, flush_timeout=flush_timeout, timeout=timeout"),
        ],
        {"test_each_epoch_is_recorded_once", "test_the_planned_epochs_are_shown"},
        "takes all options of gangplank.Run and hands them on: ['ignore_exceptions', 'sink']",
    ),
    "nothing planned": Wrong(
        [(EXPORTER, START, "self._run.start()")],
        {"test_the_planned_epochs_are_shown"},
        "call Run.start(epochs=...)",
    ),
    "never finished": Wrong(
        [(EXPORTER, FINISH, "        pass\n")],
        {"test_a_training_that_ends_is_finished"},
        "call Run.finish() when the framework is done",
    ),
    "framework not named": Wrong(
        [(EXPORTER, "{**about, **(info or {})}", "info")],
        {"test_the_framework_is_named"},
        "no label `framework`",
    ),
    "one run for all fits": Wrong(
        [(EXPORTER, FIT_BEGINS, "        pass\n")],
        {"test_each_training_is_a_run_of_its_own"} | each(COPIES, "copy"),
        "begin each training with a new run",
    ),
    "not copyable": Wrong(
        [(EXPORTER, MAKES, f"        import threading\n        self._lock = threading.Lock()\n{MAKES}")],
        each(COPIES, "deepcopy", "pickled"),
        "the exporter cannot be copied (TypeError: cannot pickle '_thread.lock' object)",
    ),
    "a copy that is itself": Wrong(
        [
            (
                EXPORTER,
                MAKES,
                f"        type(self).__copy__ = type(self).__deepcopy__ = lambda self, memo=None: self\n{MAKES}",
            )
        ],
        each(COPIES, "copy", "deepcopy"),
        "the copy is the exporter itself",
    ),
    "waits for the gateway": Wrong(
        [
            (EXPORTER, MAKES, f"        self._address = address\n{MAKES}"),
            (EXPORTER, FIT_BEGINS, ASKS_FIRST + FIT_BEGINS),
        ],
        each(FAULTS, "hung"),
        "leave all sending to gangplank.Run",
    ),
    "lets errors through": Wrong(
        [(EXPORTER, "**options):", "**options):\n        options['ignore_exceptions'] = False")],
        each(FAULTS, "refusing", "hung", "rejecting"),
        "DeliveryError",
    ),
    "failure not told": Wrong(
        [(EXPORTER, FAIL, "pass")],
        {"test_an_exception_passes_and_leaves_failed"},
        "call Run.finish(error)",
    ),
    "another exception": Wrong(
        [(EXPORTER, FAIL, f'{FAIL}; raise OSError("another") from error')],
        {"test_an_exception_passes_and_leaves_failed"},
        "OSError: another",
    ),
    "exception swallowed": Wrong(
        [(EXPORTER, "    def on_fit_begin", f"{SWALLOWS}    def on_fit_begin"), (TEST, RETURNS, FITS_INSIDE)],
        {"test_an_exception_passes_and_leaves_failed"},
        "each_epoch raised, and `train` returned",
    ),
    "noisy on rank 1": Wrong(
        [(EXPORTER, "self._run.start(", "self._run.start(rank=0, ")],
        {"test_ranks_above_0_are_silent"},
        "rank 1 exports",
    ),
    "framework imported by the plugin": Wrong(
        [(PLUGIN, "from gangplank import", "import abacus\nfrom gangplank import")],
        {"test_naming_it_imports_no_framework"},
        "the module of the plugin 'abacus' imports abacus",
    ),
    "announced with another module": Wrong(
        [
            (PLUGIN, "gangplank_abacus.exporter:", "gangplank_abacus.export:"),
            (TEST, RETURNS, RETURNS + MAKES_IT_ITSELF),
        ],
        {"test_it_announces_itself"},
        "does not list it as available",
    ),
    "trains without telling": Wrong(
        [(TEST, "EachEpoch(each_epoch)", "EachEpoch(print)")],
        {
            *("test_the_final_values_arrive_exactly", "test_each_epoch_is_recorded_once"),
            *("test_the_planned_epochs_are_shown", "test_a_training_that_ends_is_finished"),
            *("test_the_framework_is_named", "test_each_training_is_a_run_of_its_own"),
            *("test_an_exception_passes_and_leaves_failed", "test_ranks_above_0_are_silent"),
            *each(COPIES, "copy", "deepcopy", "pickled"),
            *each(FAULTS, "refusing", "hung", "rejecting"),
        },
        "call it with each index from 0 to epochs - 1, once",
    ),
}
