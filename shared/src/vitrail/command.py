"""How every command starts and ends: its version, its exit status, and its errors on one line."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from vitrail.errors import MAX_SUBJECT, MissingError, VitrailError, one_line
from vitrail.say import warn

INTERRUPTED = 130


def run(app: typer.Typer | Callable, name: str) -> None:
    """Runs a Typer application (or one function as the whole command) and exits.

    Exit status 0 when all is done, 1 when an input failed, 2 for an unusable call, 3 when something
    is not installed.
    """
    if not isinstance(app, typer.Typer):
        function, app = (
            app,
            typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True),
        )
        app.command()(function)
    sys.exit(_status(app, name))


def _status(app: typer.Typer, name: str) -> int:
    try:
        status = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        if status == INTERRUPTED:  # Typer's own answer to ctrl-C
            warn(name, "interrupted; finished results are kept")
        return status if isinstance(status, int) else 0
    except BrokenPipeError:  # the reader of our output went away: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except VitrailError as error:
        return _fail(name, str(error), error.exit_status)
    except ModuleNotFoundError as error:
        missing = MissingError(
            error.name, "this library is not installed", f"install it, then see '{name} --help'"
        )
        return _fail(name, str(missing), missing.exit_status)
    except Exception as error:
        usage_error = getattr(error, "format_message", None)  # of Typer's own parser
        if usage_error is not None:
            return _unusable(usage_error().strip(), name)
        return _fail(name, f"unexpected {type(error).__name__}: {error}; --debug shows where", 1)


def _unusable(message: str, name: str) -> int:
    if message.startswith("Usage:"):  # called with nothing at all: the help is the answer
        print(message, file=sys.stderr)
        return 2
    return _fail(
        name, f"{message.rstrip('.?') or 'this call is incomplete'}; see '{name} --help'", 2
    )


def _fail(name: str, line: str, status: int) -> int:
    if "--debug" in sys.argv:
        traceback.print_exc()
    warn(name, line)
    return status


def report_failure(name: str, source: object, failure: Any) -> None:
    """Prints the one line about a source that failed while the others go on; the traceback too
    under ``--debug``."""
    if "--debug" in sys.argv:
        traceback.print_exception(failure.error)
    warn(name, f"{one_line(source, MAX_SUBJECT)}: {failure.reason}")
