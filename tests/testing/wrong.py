"""Adapters that are wrong in one thing each: the one of docs/write-an-adapter.md, with a few lines changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from testing import journey

EXPORTER, PLUGIN, TEST = (
    "gangplank_toy_framework/exporter.py",
    "gangplank_toy_framework/__init__.py",
    "tests/test_contract.py",
)

FIT_BEGINS = '        self.calls[trainer] = self.new_run("train")\n'
START = "run.start(epochs=trainer.epochs, epoch=trainer.epoch, steps=trainer.steps, step=trainer.step)"
RECORD = "run.record(logs, epoch=trainer.epoch, learning_rates=trainer.lr, weights=[trainer.a])"
ENDING = '        with self.guard("ending the fit"):\n'
FINISH = f"{ENDING}            self.calls.pop(trainer).finish()\n"
FAIL = "self.calls.pop(trainer).finish(error)"
MAKES = "        framework = {"
RETURNS = "        return trainer.fit([(1.0, 2.0), (2.0, 4.1)], epochs)\n"

# A module is an object that outlives every fit.
ONE_RUN = """\
        self.calls[trainer] = self.calls[toy_framework] = self.calls.get(toy_framework) or self.new_run("train")
"""
PLANS = "        self._epochs = getattr(self, '_epochs', trainer.epochs)\n"
PLANNED = START.replace("=trainer.epochs", "=getattr(self, '_epochs', None)")
FORGETS = "        vars(self).pop('_epochs', None)\n"
ASKS_FIRST = """\
        import contextlib, urllib.request
        with contextlib.suppress(OSError):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(f"http://{self._address}/-/ready", timeout=60)
"""
SWALLOWS = """\
    def __exit__(self, *error):
        return True

"""
LOG = "            self.calls[trainer].record(logs, step=trainer.step)\n"
EVALUATED = "                run.record(logs)\n                self.calls.pop(trainer).finish()\n"
FITS_INSIDE = """\
        with exporter:
            trainer.fit([(1.0, 2.0), (2.0, 4.1)], epochs)
        return trainer.logs
"""
MAKES_IT_ITSELF = """
    def exporter(self, address, job, **options):
        from gangplank_toy_framework.exporter import PrometheusExporter

        return PrometheusExporter(address, job, **options)
"""


COUNTS = """\
            self._step = getattr(self, "_step", 0) + 1
            self.calls[trainer].record(logs, step=self._step)
"""
IS_KNOWN = """\
KNOWN = {}


def known(key):
    exporter = PrometheusExporter.__new__(PrometheusExporter)
    exporter.export_with(KNOWN[key])
    return exporter


class PrometheusExporter("""
IS_SENT_BY_ITS_KEY = """\
    def __reduce__(self):
        KNOWN[id(self)] = self._exporter
        return known, (id(self),)

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
            assert old in self.files[name], f"docs/write-an-adapter.md has changed: {old}"
            self.files[name] = self.files[name].replace(old, new)


def each(test: str, *cases: str) -> set[str]:
    return {f"{test}[{case}]" for case in cases}


COPIES = "test_a_copy_trains_and_delivers"
INSIDE, AGAIN = "test_a_training_inside_another_leaves_it_alone", "test_a_training_that_was_broken_off_is_begun_again"
AFTER, CHILD = "test_an_evaluation_after_a_training_that_was_broken_off", "test_a_child_process_trains_and_delivers"
NOTHING, PLAN = "test_a_training_with_nothing_left_to_do_replaces_nothing", "test_nothing_is_shown_before_the_plan"
LOGS = "test_logs_of_steps_do_not_push_each"
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
        {"test_each_epoch_is_recorded_once", INSIDE, AGAIN},
        "counted from 1: [2, 3, 4]",
    ),
    "no options": Wrong(
        [
            (EXPORTER, "job, **options):", "job, flush_timeout=2.0, timeout=5.0):"),
            (EXPORTER, "=framework, **options", "=framework, flush_timeout=flush_timeout, timeout=timeout"),
        ],
        {"test_each_epoch_is_recorded_once", "test_the_planned_epochs_are_shown", PLAN, LOGS, NOTHING, INSIDE},
        "takes all options of gangplank.Exporter and passes them on: ['ignore_exceptions', 'sink']",
    ),
    "nothing planned": Wrong(
        [(EXPORTER, START, "run.start()")],
        {"test_the_planned_epochs_are_shown", INSIDE, AGAIN},
        "call Run.start(epochs=...)",
    ),
    "never finished": Wrong(
        [(EXPORTER, FINISH, f"{ENDING}            pass\n")],
        {"test_a_training_that_ends_is_finished", INSIDE, AGAIN},
        "call Run.finish() when the framework is done",
    ),
    "framework not named": Wrong(
        [(EXPORTER, "framework=framework, ", "")],
        {"test_the_framework_is_named"},
        "no label `framework`",
    ),
    "one run for all fits": Wrong(
        [(EXPORTER, FIT_BEGINS, ONE_RUN)],
        {"test_each_training_is_a_run_of_its_own", INSIDE, AGAIN},
        "begin each training with a new run",
    ),
    "its run in an attribute": Wrong(
        [
            (EXPORTER, "self.calls[trainer]", "self._run"),
            (EXPORTER, "self.calls.pop(trainer)", "self._run"),
            (EXPORTER, "trainer in self.calls", "hasattr(self, '_run')"),
        ],
        {INSIDE, AFTER, *each(COPIES, "copy", "deepcopy", "pickled")},
        "began and ended inside it: keep what belongs to one training in `self.calls`",
    ),
    "a plan that an exception leaves": Wrong(
        [(EXPORTER, FIT_BEGINS, FIT_BEGINS + PLANS), (EXPORTER, START, PLANNED), (EXPORTER, FINISH, FINISH + FORGETS)],
        {INSIDE, AGAIN},
        "epochs_planned is 4.0 instead of 3: after a training that was broken off, keep nothing",
    ),
    "not copyable": Wrong(
        [(EXPORTER, MAKES, f"        import threading\n        self._lock = threading.Lock()\n{MAKES}")],
        {CHILD, *each(COPIES, "copy", "deepcopy", "pickled")},
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
        "leave all sending to gangplank",
    ),
    "lets errors through": Wrong(
        [(EXPORTER, "job, **options):", "job, **options):\n        options['ignore_exceptions'] = False")],
        each(FAULTS, "refusing", "hung", "rejecting"),
        "DeliveryError",
    ),
    "failure not reported": Wrong(
        [(EXPORTER, FAIL, "pass")],
        {"test_an_exception_passes_and_leaves_failed"},
        "call Run.finish(error)",
    ),
    "another exception": Wrong(
        [(EXPORTER, FAIL, f'{FAIL}; raise OSError("another") from error')],
        {"test_an_exception_passes_and_leaves_failed", AGAIN, AFTER},
        "OSError: another",
    ),
    "exception swallowed": Wrong(
        [(EXPORTER, "    def on_fit_begin", f"{SWALLOWS}    def on_fit_begin"), (TEST, RETURNS, FITS_INSIDE)],
        {"test_an_exception_passes_and_leaves_failed"},
        "each_epoch raised, and `train` returned",
    ),
    "noisy on rank 1": Wrong(
        [(EXPORTER, "run.start(", "run.start(rank=0, ")],
        {"test_ranks_above_0_are_silent"},
        "rank 1 exports",
    ),
    "started with the fit": Wrong(
        [(EXPORTER, FIT_BEGINS, f"{FIT_BEGINS}        run = self.calls[trainer]\n        {START}\n")],
        {NOTHING},
        "call Run.start when the first epoch begins",
    ),
    "recorded before the start": Wrong(
        [(EXPORTER, START, f"run.record(learning_rates=trainer.lr); {START}")],
        {PLAN},
        "Run.record or Run.step was called first",
    ),
    "logs pushed at once": Wrong(
        [(EXPORTER, LOG, LOG.replace(", step=trainer.step", ""))],
        {LOGS},
        "100 steps with a log at each pushed 103 pages",
    ),
    "logs left out": Wrong(
        [(EXPORTER, LOG, "            pass\n")],
        {LOGS},
        "for each log of a step",
    ),
    "steps counted in an attribute": Wrong(
        [(EXPORTER, LOG, COUNTS), (EXPORTER, FIT_BEGINS, f"{FIT_BEGINS}        self._step = 0\n")],
        {INSIDE},
        "step is 10.0 instead of 8: if another training begins and ends inside",
    ),
    "a fit that an exception leaves": Wrong(
        [
            (EXPORTER, FIT_BEGINS, f"{FIT_BEGINS}        self._fits = True\n"),
            (EXPORTER, FINISH, f"{FINISH}            self._fits = False\n"),
            (
                EXPORTER,
                "if trainer in self.calls:  # a fit goes on",
                "if getattr(self, '_fits', False):  # a fit goes on",
            ),
        ],
        {AFTER},
        "an evaluation after a training that was broken off is not shown: keep in `self.calls`",
    ),
    "an evaluation that is not finished": Wrong(
        [(EXPORTER, EVALUATED, "                run.record(logs)\n")],
        {AFTER},
        "call Run.finish() when the framework is done",
    ),
    "known in one process": Wrong(
        [
            (EXPORTER, "class PrometheusExporter(", IS_KNOWN),
            (EXPORTER, "    def on_fit_begin", f"{IS_SENT_BY_ITS_KEY}    def on_fit_begin"),
        ],
        {CHILD},
        "a child process that received the exporter ended with 1, see its stderr: keep in the exporter what means",
    ),
    "framework imported by the plugin": Wrong(
        [(PLUGIN, "from gangplank import", "import toy_framework\nfrom gangplank import")],
        {"test_naming_it_imports_no_framework"},
        "the module of the plugin 'toy_framework' imports toy_framework",
    ),
    "announced with another module": Wrong(
        [
            (PLUGIN, "gangplank_toy_framework.exporter:", "gangplank_toy_framework.export:"),
            (TEST, RETURNS, RETURNS + MAKES_IT_ITSELF),
        ],
        {"test_it_announces_itself"},
        "does not list it as available",
    ),
    "epochs that are not reported": Wrong(
        [(TEST, "EachEpoch(each_epoch)", "EachEpoch(print)")],
        {
            *("test_the_final_values_arrive_exactly", "test_each_epoch_is_recorded_once"),
            *("test_the_planned_epochs_are_shown", "test_a_training_that_ends_is_finished"),
            *("test_the_framework_is_named", "test_each_training_is_a_run_of_its_own"),
            *("test_an_exception_passes_and_leaves_failed", "test_ranks_above_0_are_silent", INSIDE, AGAIN),
            *(AFTER, CHILD, NOTHING, PLAN),
            *each(COPIES, "copy", "deepcopy", "pickled"),
            *each(FAULTS, "refusing", "hung", "rejecting"),
        },
        "call it with each index from 0 to epochs - 1, once",
    ),
}
