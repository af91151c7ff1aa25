"""Parts of the queries: what is selected, and what several panels ask for."""

from __future__ import annotations

# What the variables of a dashboard select. `All` is `.*`, which also matches a label that is missing.
JOBS = 'job=~"$job",phase=~"$phase"'
RUNS = JOBS + ',run=~"$run"'
FIRING = 'alertname=~"Gangplank.*",alertstate="firing"'
PHASES = "train|validate|test|predict"

# A run sends a heartbeat once a minute, so a rate needs several minutes: `$__rate_interval` is at least four times the
# shortest step of a panel.
SHORTEST_STEP = "1m"
RATE = "$__rate_interval"


# Of a training of several ranks, each may name its own run: what compares them goes by the job of what is selected.
OF_THESE_JOBS = f"and on (job, phase) gangplank_run_state{{{RUNS}}}"


def running(selected: str) -> str:
    """Return the end of a query whose results are to be of runs that are running."""
    return f'and ignoring (state) gangplank_run_state{{{selected},state="running"}} == 1'


def age(timestamp: str, selected: str) -> str:
    """Return the seconds since a time that the runs tell, of those that are running."""
    return f"time() - gangplank_run_{timestamp}_timestamp_seconds{{{selected}}} {running(selected)}"


def of_training(recorded: str, selected: str) -> str:
    """Return what is recorded of a training, which may have taken several runs, for the newest of them."""
    return (
        f"(gangplank_run_state{{{selected}}} == 1) "
        f"* ignoring (state, run, instance) group_left () gangplank:training_{recorded}{{{JOBS}}}"
    )


def validation_loss(selected: str, form: str = "{}") -> str:
    """Return the validation loss, by whatever name the framework has for it.

    Args:
        selected: the label matchers.
        form: what to ask of it, such as `min_over_time({}[1h])`.
    """
    names = ("gangplank_train_val_loss", "gangplank_train_eval_loss", "gangplank_validate_loss")
    return " or ".join(form.format(f"{name}{{{selected}}}") for name in names)
