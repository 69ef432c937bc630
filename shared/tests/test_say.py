"""Sentences for people, lines for machines."""

import json

from vitrail.report import Table
from vitrail.say import say, say_rows, say_tables, warn, warn_left_out


def test_a_pipe_gets_json_and_a_terminal_a_sentence(capsys, monkeypatch):
    say({"name": "ann"}, "ann is here", json=False, quiet=False)
    assert json.loads(capsys.readouterr().out) == {"name": "ann"}
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say({"name": "ann"}, "ann is\nhere", json=False, quiet=False)
    assert capsys.readouterr().out == "ann is\\nhere\n"
    say({"name": "ann"}, "ann is here", json=False, quiet=True)
    assert capsys.readouterr().out == ""
    say({"name": "ann"}, "ann is here", json=True, quiet=True)
    assert json.loads(capsys.readouterr().out) == {"name": "ann"}


def test_rows_become_lines_or_a_table_of_some_columns(capsys, monkeypatch):
    rows = [{"name": "ann", "note": None, "more": 1}, {"name": "[bold]bob", "note": "", "more": 2}]
    say_rows(rows, ["name", "note"], json=False)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say_rows(rows, ["name", "note"], json=False)
    shown = capsys.readouterr().out
    assert "[bold]bob" in shown and "None" not in shown and "more" not in shown


def test_tables(capsys):
    table = Table("Rates", ("what", "rate"), [("all", 0.5)])
    say_tables([table, table], json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        table.to_dict()
    ] * 2


def test_a_warning_is_one_line_on_standard_error(capsys):
    warn("toy", "this\nand that")
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "toy: this\\nand that\n"


def test_files_left_out_are_counted_and_named_within_their_folder(tmp_path, capsys):
    warn_left_out("toy", tmp_path, [], "named as no picture")
    assert not capsys.readouterr().err
    warn_left_out("toy", tmp_path, [tmp_path / "a/b.txt", tmp_path / "c"], "named as no picture")
    told = f"toy: {tmp_path}: 2 left out, named as no picture: a/b.txt, c\n"
    assert capsys.readouterr().err == told
