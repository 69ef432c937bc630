"""A command's answers around a toy job: rows, files, resuming, failures."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vitrail.answers import Answers, row_of
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Steps
from vitrail.options import Answering
from vitrail.sources import Source, expand_sources


@dataclass(frozen=True)
class Sum:
    """The sum of the numbers in a file."""

    value: float
    damage: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return {"sum": self.value}

    def cells(self) -> dict[str, str]:
        return {"sum": f"{self.value:g}"}


def write(result: Sum, folder: Path) -> None:
    if result.value == 404:
        raise ZeroDivisionError("no such number")
    (folder / "sum.txt").write_text(str(result.value))


class Engine:
    name, device, weights = "toy", "cpu", "0" * 64

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return batch


class Summing:
    model = "sums"

    def __init__(self, version: int = 1):
        self.version, self.options = str(version), {"rounded": False}
        self.networks = {"same": Engine()}

    def process(self, source: Source) -> Steps:
        try:
            numbers = [np.float64(word) for word in source.path.read_text().split()]
        except (OSError, ValueError) as error:
            raise InputError(source.name, "holds no numbers", "give a file of numbers") from error
        if 13 in numbers:  # somebody writes to the file while it is read
            source.path.write_text("14 15 16")
        rows = yield Ask("same", numbers)
        return Sum(float(sum(rows)), ("holds nothing",) if not numbers else ())


def answer(sources: list[Path], job: Summing | None = None, **options) -> int:
    options = Answering(**{"batch_size": 2, **options})
    return Answers("toy", job or Summing(), options, write).run([Source.of(p) for p in sources])


@pytest.fixture
def sources(tmp_path) -> list[Path]:
    for name, text in (("a.txt", "1 2 3"), ("bad.txt", "one"), ("b.txt", "4 5")):
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in ("a.txt", "bad.txt", "b.txt")]


def rows(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_for_each_source_and_one_line_for_the_bad_one(sources, capsys):
    assert answer(sources) == 1
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [row.get("sum") for row in found] == [6.0, None, 9.0]
    assert found[1]["reason"] == "holds no numbers; give a file of numbers"
    assert (
        len(printed.err.splitlines()) == 1
        and printed.err.startswith("toy: ")
        and "bad.txt" in printed.err
    )


def test_a_single_failure_leaves_standard_output_empty(sources, capsys):
    assert answer(sources[1:2]) == 1
    assert capsys.readouterr().out == ""


def test_files_and_rows_agree(sources, tmp_path, capsys):
    output = tmp_path / "out"
    answer(sources, output=output)
    assert [
        json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()
    ] == rows(capsys)
    files = [path for path in output.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(output).as_posix() for path in files) == [
        "a.txt/result.json", "a.txt/sum.txt", "b.txt/result.json", "b.txt/sum.txt", "results.jsonl",
    ]  # fmt: skip


def test_resume_skips_only_what_is_the_same(sources, tmp_path, capsys):
    def run(version: int = 1) -> list[str]:
        answer(sources, Summing(version), output=tmp_path / "out", resume=True)
        return [Path(row["source"]).name for row in rows(capsys)]

    assert run() == ["a.txt", "bad.txt", "b.txt"]
    assert run() == ["bad.txt"]
    sources[0].write_text("7")
    assert run() == ["a.txt", "bad.txt"]
    assert run(version=2) == ["a.txt", "bad.txt", "b.txt"]
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["done", "failed", "done"]


@pytest.mark.parametrize("damage", ["", "{", "[" * 100_000, "null", '{"settings": 3}'])
def test_a_damaged_earlier_result_is_made_again(sources, tmp_path, capsys, damage):
    output = tmp_path / "out"
    answer(sources[:1], output=output)
    (output / "a.txt" / "result.json").write_text(damage)
    capsys.readouterr()
    answer(sources[:1], output=output, resume=True)
    assert len(rows(capsys)) == 1
    assert json.loads((output / "a.txt" / "result.json").read_text())["sum"] == 6.0


def test_results_of_the_same_name_do_not_meet(tmp_path, capsys):
    places = [tmp_path / folder / "x.txt" for folder in ("one", "two")]
    for number, path in enumerate(places):
        path.parent.mkdir()
        path.write_text(str(number))
    answer(places, output=tmp_path / "out")
    results = sorted((tmp_path / "out").rglob("sum.txt"))
    assert [path.read_text() for path in results] == ["0.0", "1.0"]


def test_results_of_the_same_name_do_not_meet_in_two_calls(tmp_path, capsys):
    """A source made again keeps its folder, whatever was made of others of its name since."""
    output, places = tmp_path / "out", [tmp_path / name / "x.txt" for name in ("one", "two")]
    for number, path in enumerate(places):
        path.parent.mkdir()
        path.write_text(str(number))
        answer([path], output=output)
    places[0].write_text("7")
    answer(places, output=output)
    found = {path.parent.name: path.read_text() for path in output.rglob("sum.txt")}
    assert found == {"x.txt": "7.0", "two-x.txt": "1.0"}
    capsys.readouterr()
    answer(places[::-1], output=output, resume=True)
    assert rows(capsys) == [] and len(list(output.rglob("sum.txt"))) == 2


def test_one_relative_name_in_two_places_is_two_sources(tmp_path, monkeypatch):
    for number, folder in enumerate(("one", "two", "two")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "x.txt").write_text(str(number))
        monkeypatch.chdir(tmp_path / folder)
        answer([Path("x.txt")], output=tmp_path / "out")
        answer([Path("x.txt")], output=Path("out"))
    assert (tmp_path / "out" / "x.txt" / "sum.txt").read_text() == "0.0"
    assert (tmp_path / "out" / "two-x.txt" / "sum.txt").read_text() == "1.0"
    assert [path.name for path in (tmp_path / "two" / "out").iterdir() if path.is_dir()] == [
        "x.txt"
    ]
    assert (tmp_path / "two" / "out" / "x.txt" / "sum.txt").read_text() == "2.0"


def test_what_names_nothing_is_a_row_and_the_others_are_done(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("1 2")
    (tmp_path / "loop").symlink_to("loop")
    arguments = ["http://host/a.txt", tmp_path / "*.csv", tmp_path / "loop", tmp_path / "a.txt"]
    found = expand_sources([str(argument) for argument in arguments])
    options = Answering(batch_size=2, output=tmp_path / "out", resume=True)
    assert Answers("toy", Summing(), options, write).run(found) == 1
    printed = rows(capsys)
    assert [row["status"] for row in printed] == ["failed"] * 3 + ["done"]
    assert printed[0]["source"] == "http://host/a.txt" and printed[0]["sha256"] is None
    assert printed[0]["reason"].startswith("is not on this machine")
    assert printed[1]["reason"].startswith("matches no file")
    assert (tmp_path / "out" / "a.txt" / "sum.txt").read_text() == "3.0"


def test_a_folder_is_never_replaced_by_its_own_result(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "a.txt").write_text("1")
    with pytest.raises(UsageError, match="replaced by its own result"):
        answer([tmp_path / "case"], output=tmp_path)
    series = Source(str(tmp_path / "case"), (tmp_path / "case" / "a.txt",))
    with pytest.raises(UsageError, match="replaced by its own result"):
        Answers("toy", Summing(), Answering(output=tmp_path), write).run([series])
    assert (tmp_path / "case" / "a.txt").read_text() == "1"


def test_a_row_says_what_made_it(sources, capsys):
    answer([*sources[:2], sources[0].with_name("empty.txt")])
    sources[0].with_name("empty.txt").write_text("")
    answer(sources[:1])
    row = rows(capsys)[-1]
    assert list(row) == [
        "source", "sha256", "status", "model", "version", "weights", "engine", "device", "damage",
        "seconds", "sum", "options",
    ]  # fmt: skip
    assert row["weights"] == {"same": "0" * 64} and row["engine"] == {"same": "toy"}
    assert (row["model"], row["device"], row["options"]) == ("sums", "cpu", {"rounded": False})


def test_a_failed_row_has_the_same_columns_and_its_reason(sources, capsys):
    answer(sources)
    good, bad, _ = rows(capsys)
    assert bad["status"] == "failed" and len(bad["sha256"]) == 64
    assert set(bad) == set(good) - {"sum", "options"} | {"reason"}


def test_damage_stands_in_the_row(tmp_path, capsys):
    (tmp_path / "empty.txt").write_text(" ")
    assert answer([tmp_path / "empty.txt"]) == 0
    assert rows(capsys)[0]["damage"] == ["holds nothing"]


def test_a_result_that_cannot_be_written_fails_alone(sources, tmp_path, capsys):
    sources[1].write_text("404")
    assert answer(sources, output=tmp_path / "out") == 1
    found = rows(capsys)
    assert [row["status"] for row in found] == ["done", "failed", "done"]
    assert "ZeroDivisionError" in found[1]["reason"]
    assert not (tmp_path / "out" / "bad.txt").exists()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_row_that_is_not_json_fails_alone(value, sources, capsys):
    sources[0].write_text(value)
    assert answer(sources, json=True) == 1
    first, *others = rows(capsys)
    assert first["status"] == "failed" and "not JSON compliant" in first["reason"]
    assert [row["status"] for row in others].count("done") == len(others) - 1


def test_a_file_that_changes_while_it_is_read_fails(sources, capsys):
    sources[1].write_text("13")
    assert answer(sources) == 1
    assert "was changed while it was read" in rows(capsys)[1]["reason"]


def test_several_files_of_one_source_have_one_fingerprint(sources):
    both = Source("both", (sources[0], sources[2]))
    assert len(both.fingerprint) == 64
    assert both.fingerprint not in {Source.of(path).fingerprint for path in sources}
    assert both.fingerprint != Source("both", (sources[2], sources[0])).fingerprint


def test_a_row_of_several_sources_has_the_same_columns(sources, capsys):
    answer(sources[:1], json=True)
    (usual,) = rows(capsys)
    named = {"sources": ["a", "b"], "sha256": ["0", "1"]}
    made = row_of(Summing(), named, ["short"], 0.12345, {"sum": 3.0})
    assert list(made)[1:] == list(usual)[1:] and next(iter(made)) == "sources"
    assert made["damage"] == ["short"] and made["seconds"] == 0.123
    assert {k: made[k] for k in ("model", "weights", "options")} == {
        k: usual[k] for k in ("model", "weights", "options")
    }


def test_results_are_heard_of_in_the_order_of_the_sources(sources):
    heard = []
    given = [Source.of(path) for path in sources]
    answers = Answers("toy", Summing(), Answering(batch_size=9, quiet=True), write, heard.append)
    assert answers.run(given) == 1
    assert [result.value for result in heard] == [6, 9]


def test_all_rows_are_handed_out_at_the_end_in_the_order_of_the_sources(sources):
    heard = []
    given = [Source.of(path) for path in sources]
    Answers("toy", Summing(), Answering(quiet=True), write, on_rows=heard.extend).run(given)
    assert [row["source"] for row in heard] == [str(path) for path in sources]
    assert {row["status"] for row in heard} == {"done", "failed"}
