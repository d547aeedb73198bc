"""Is the marimo that is installed the marimo this runner was written for? Asked once, at start.

Importing kernel.py resolves every private name it takes from marimo; what cannot be seen by importing is
seen by running a notebook that uses it all, and comparing (notebook.py, warm_up).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

MARIMO = "0.25.2"  # Where kernel.py's private names were read; requirements/notebook.in pins the same.


class ContractBroken(Exception):
    """marimo is not what kernel.py expects. No program may be run: its results could be wrong in silence."""


def check_names() -> None:
    """Raises ContractBroken, with the name that is missing and the version that had it."""
    try:
        installed = version("marimo")
    except PackageNotFoundError:
        raise ContractBroken(f"marimo is not installed; this runner needs marimo=={MARIMO}") from None
    if installed != MARIMO:
        raise ContractBroken(f"marimo {installed} is installed; this runner is written for marimo=={MARIMO}")
    try:
        import executor_worker.runner.kernel  # noqa: F401
    except ImportError as missing:
        raise ContractBroken(f"marimo {installed} lacks a private name kernel.py uses: {missing}") from missing


def broken(what: str) -> ContractBroken:
    return ContractBroken(f"marimo {version('marimo')} does not behave as this runner expects: {what}")
