"""Results under the sources' own names: whose files are replaced, and what is made again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitrail.testing.commands import call

HINTS = {"version": 1, "hints": [{"x": 0.25, "y": 0.3, "rgb": [180, 70, 60]}]}
BLUE = {"version": 1, "hints": [{"x": 0.25, "y": 0.3, "rgb": [60, 70, 180]}]}


@pytest.fixture
def folder(tmp_path, scene, monkeypatch):
    """Two scans of one name, in the folders 1931 and 1932; the working folder is theirs."""
    for year in ("1931", "1932"):
        (tmp_path / "scans" / year).mkdir(parents=True)
        Image.fromarray(scene).save(tmp_path / "scans" / year / "scan.png")
    monkeypatch.chdir(tmp_path)
    return Path("scans")


def colour(*arguments):
    return call("image_colorize", *arguments, "--engine", "eager", "--json")


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_folder_keeps_its_shape(folder):
    assert colour(folder, "-o", "out").status == 0
    assert files(Path("out")) == ["1931/scan.png", "1932/scan.png", "results.jsonl"]


def test_a_pattern_keeps_what_lies_below_its_fixed_part(folder):
    assert colour("scans/19*/*.png", "-o", "out").status == 0
    assert files(Path("out")) == ["1931/scan.png", "1932/scan.png", "results.jsonl"]


def test_files_of_one_name_do_not_meet(folder):
    found = sorted(folder.rglob("*.png"))
    for _ in range(2):  # the same again changes nothing
        assert colour(*found, "-o", "out").status == 0
        assert files(Path("out")) == ["results.jsonl", "scan-2.png", "scan.png"]


def test_a_file_of_somebody_else_stays(folder):
    Path("out").mkdir()
    Path("out/scan.png").write_text("mine")
    colour("scans/1931/scan.png", "-o", "out")
    assert files(Path("out")) == ["results.jsonl", "scan-2.png", "scan.png"]
    assert Path("out/scan.png").read_text() == "mine"
    colour("scans/1931/scan.png", "-o", "out", "--overwrite")
    assert Image.open("out/scan.png").size == (90, 60)


def test_a_source_is_never_replaced(folder):
    before = (folder / "1931/scan.png").read_bytes()
    for more in ((), ("--overwrite",), ("--resume",)):
        assert colour("scans/1931/scan.png", "-o", "scans/1931", *more).status == 0
        assert (folder / "1931/scan.png").read_bytes() == before
    assert files(folder / "1931") == ["results.jsonl", "scan-2.png", "scan.png"]
    assert colour("scans", "-o", "out").status == 0
    assert files(Path("out")) == ["1931/scan.png", "1932/scan.png", "results.jsonl"]


def test_rows_of_other_sources_stay(folder):
    for year in ("1931", "1932"):
        colour(f"scans/{year}/scan.png", "-o", f"out/{year}")
    colour("scans/1931/scan.png", "-o", "out")
    colour("scans/1932/scan.png", "-o", "out")
    rows = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == ["scans/1931/scan.png", "scans/1932/scan.png"]
    assert [row["written"]["file"] for row in rows] == ["scan.png", "scan-2.png"]


def resumed(*arguments) -> bool:
    outcome = colour("scans/1931/scan.png", "-o", "out", "--resume", *arguments)
    assert outcome.status == 0, outcome.stderr
    return "1 of 1 done before" in outcome.stderr


@pytest.mark.parametrize("option", ["--palette", "--colours", "--hints"])
def test_resume_sees_what_another_file_says(folder, scene, option):
    """A palette, a reference or a hint file of other content under the same name."""
    given, other = Path("given"), Path("other")
    if option == "--hints":
        given.write_text(json.dumps(HINTS))
        other.write_text(json.dumps(BLUE))
        more = ()
    else:
        hints = Path("scans/1931/scan.hints.json")
        hints.write_text("40 40\n90 160\n" if option == "--colours" else json.dumps(HINTS))
        red, blue = (np.roll(np.dstack([scene, scene // 2, scene // 3]), n, 2) for n in (0, 1))
        Image.fromarray(red).save(given, "PNG")
        Image.fromarray(blue).save(other, "PNG")
        more = ("--format", "png")
    assert not resumed(option, given, *more)
    first = Path("out/scan.png").read_bytes()
    assert resumed(option, given, *more)
    os.replace(other, given)
    assert not resumed(option, given, *more)
    assert files(Path("out")) == ["results.jsonl", "scan.png"]  # renewed in its place
    assert Path("out/scan.png").read_bytes() != first


def test_resume_sees_other_options_and_lost_files(folder):
    assert not resumed()
    assert resumed() and not resumed("--strength", "0.5") and resumed("--strength", "0.5")
    Path("out/scan.png").unlink()
    assert not resumed("--strength", "0.5") and Path("out/scan.png").is_file()


@pytest.mark.parametrize("where", [("-o", "out"), ()])
def test_a_full_disk_fails_one_source_alone(folder, monkeypatch, where):
    """Half a file is never left."""
    write, before = Path.write_bytes, set(files(folder))

    def full(path, data):
        if "1931" not in str(path) and len(written) == 1:
            write(path, data[:50])
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, data)

    written: list[Path] = []
    monkeypatch.setattr(Path, "write_bytes", full)
    outcome = colour("scans", *where)
    assert outcome.status == 1 and "no space left on device" in outcome.stderr
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["done", "failed"]
    left = sorted(set(files(folder)) - before)
    if where:
        assert files(Path("out")) == ["1931/scan.png", "results.jsonl"] and not left
    else:
        assert left == ["1931/scan.colorized.png"]


def test_an_interrupted_call_is_gone_on_with(folder, monkeypatch):
    from image_colorize import placing

    monkeypatch.setattr(placing, "write_rows", lambda *_: None)  # the end was never reached
    colour("scans", "-o", "out")
    outcome = colour("scans", "-o", "out", "--resume")
    assert "2 of 2 done before" in outcome.stderr


def test_damaged_rows_are_passed_over(folder):
    colour("scans/1931/scan.png", "-o", "out")
    rows = Path("out/results.jsonl")
    rows.write_text('{\n[]\n{"source": 3}\n{"source": "x", "written": 7}\n' + rows.read_text())
    assert resumed()


def test_options_that_name_no_file(folder):
    for option in ("--palette", "--colours"):
        outcome = colour("scans/1931/scan.png", option, "missing.png")
        assert outcome.status == 2 and option in outcome.stderr
