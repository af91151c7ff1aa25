"""The version of gangplank, and how to install exactly this version."""

from __future__ import annotations

# The package reads it from here. A release drops the `.dev0`, which also changes what `how_to_install` says.
VERSION = "0.6.0.dev0"


def how_to_install(*extras: str) -> str:
    """Return the instruction that installs this version with some extras.

    The index has released versions only: before the release of this one, `pip install gangplank` gets an older program.
    """
    wanted = f"[{','.join(extras)}]" if extras else ""
    if ".dev" in VERSION:
        return f'in a checkout of gangplank, run pip install ".{wanted}"'
    return f'run pip install "gangplank{wanted}"'
