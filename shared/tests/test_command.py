"""How a command ends: exit status, one line on standard error."""

import sys
from typing import Annotated

import pytest
import typer

from vitrail import command
from vitrail.errors import MAX_LINE, InputError, MissingError, UsageError, one_line


def end(function, *arguments: str, monkeypatch) -> int:
    monkeypatch.setattr(sys, "argv", ["toy", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.run(function, "toy")
    return stop.value.code


def raising(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.mp4", "is empty", "give a video"), 1, "toy: a.mp4: is empty; give a video"),
        (UsageError("--frames x", "is no number"), 2, "toy: --frames x: is no number"),
        (MissingError("cuda", "no such device"), 3, "toy: cuda: no such device"),
        (KeyboardInterrupt(), 130, "toy: interrupted; finished results are kept"),
        (
            ZeroDivisionError("a\nb"),
            1,
            "toy: unexpected ZeroDivisionError: a\\nb; --debug shows where",
        ),
        (
            ModuleNotFoundError("No module named 'x'", name="x"),
            3,
            "toy: x: this library is not installed",
        ),
    ],
)
def test_each_error_has_its_status_and_one_line(error, status, line, monkeypatch, capsys):
    assert end(raising(error), monkeypatch=monkeypatch) == status
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(line) and printed.err.count("\n") == 1


def test_a_function_s_number_is_the_status(monkeypatch):
    assert end(lambda: 1, monkeypatch=monkeypatch) == 1
    assert end(lambda: None, monkeypatch=monkeypatch) == 0


def test_debug_shows_where(monkeypatch, capsys):
    def main(debug: Annotated[bool, typer.Option("--debug")] = False) -> None:
        raise InputError("a.mp4", "is empty")

    assert end(main, "--debug", monkeypatch=monkeypatch) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\nb", "x" * 5000, "\x1b[31mred", "é🎬", "\udcff"])
def test_hostile_names_stay_on_one_printable_line(name):
    line = str(InputError(name, "is empty", "give a video"))
    assert (
        line.isprintable() and len(line) <= MAX_LINE and line.endswith(": is empty; give a video")
    )


def test_a_long_text_keeps_its_ends():
    assert one_line("a" * 50 + "b" * 50, 11) == "aaaaa…bbbbb"


def test_a_command_of_several_verbs_answers_nothing_with_its_help(monkeypatch, capsys):
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.command("one")(lambda: None)
    app.command("two")(lambda: None)
    assert end(app, monkeypatch=monkeypatch) == 2
    assert "Commands:" in capsys.readouterr().err
    assert end(app, "thre", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.startswith("toy: No such command 'thre'")
