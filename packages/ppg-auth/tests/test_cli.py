"""The command as a user types it, with a small network and made-up people."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from made_people import write_recording

from ppg_auth.decide.decision import threshold
from vitrail.sources import sha256
from vitrail.testing.commands import Outcome, call
from vitrail.testing.mutants import mutate_bytes

ALICE, EVE = 5, 3
VARIANTS = 200


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, and the passphrase."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", "correct horse battery staple")
    monkeypatch.setenv("PPG_AUTH_STORE", str(tmp_path / "people.db"))
    monkeypatch.delenv("PPG_AUTH_KEYS", raising=False)
    return tmp_path


@pytest.fixture
def run(place, weights):
    """Calls a verb with the small network where it takes one."""

    def run(verb: str, *arguments: object) -> Outcome:
        network = (
            ()
            if verb in {"list", "revoke", "unlock", "delete", "audit"}
            else ("--weights", weights)
        )
        # The templates' keys are random, and the small network's scores lie near the usual
        # threshold.
        decides = verb in {"verify", "identify", "renew"}
        rate = ("--fmr", 0.2) if decides and "--fmr" not in arguments else ()
        return call(
            "ppg_auth",
            verb,
            *arguments,
            *network,
            *(("--engine", "eager") if network else ()),
            *rate,
        )

    return run


@pytest.fixture
def enrolled(place, run):
    """Alice is enrolled on three recordings."""
    files = [write_recording(place / f"alice{take}.csv", ALICE, take) for take in range(3)]
    outcome = run("enroll", "alice", *files, "--consent")
    assert outcome.status == 0, outcome.stderr
    return run


def row(outcome: Outcome) -> dict:
    (line,) = outcome.stdout.splitlines()
    return json.loads(line)


def assert_one_line(outcome: Outcome, status: int) -> None:
    assert outcome.status == status and outcome.stdout == "", outcome
    assert len(outcome.stderr.splitlines()) == 1 and outcome.stderr.startswith("ppg-auth: ")


def test_the_life_of_a_template(place, enrolled):
    run = enrolled
    good = run(
        "verify",
        "alice",
        write_recording(place / "now.csv", ALICE, 10),
        "--report",
        place / "page.html",
    )
    assert good.status == 0 and row(good)["verdict"] == "accepted"
    assert (
        "ACCEPTED" in (place / "page.html").read_text()
        and "<script" not in (place / "page.html").read_text()
    )
    eve = write_recording(place / "eve.csv", EVE, 10)
    bad = run("verify", "alice", eve)
    assert (
        bad.status == 4
        and row(bad)["verdict"] == "rejected"
        and row(bad)["score"] < row(bad)["threshold"]
    )
    assert row(run("identify", write_recording(place / "who.csv", ALICE, 11)))["name"] == "alice"
    assert run("identify", write_recording(place / "who.csv", EVE, 11)).status == 4
    again = [write_recording(place / f"again{take}.csv", ALICE, 20 + take) for take in range(2)]
    assert run("renew", "alice", *again).status == 0
    assert row(run("list")) | {"id": "", "enrolled": "", "consent": ""} == {
        "name": "alice", "id": "", "state": "enrolled", "enrolled": "", "consent": "",
        "placements": 2, "template": 2, "failures": 0,
    }  # fmt: skip
    assert run("revoke", "alice").status == 0
    gone = run("verify", "alice", eve)
    assert gone.status == 4 and row(gone)["verdict"] == "not enrolled"
    assert run("unlock", "alice").status == run("delete", "alice").status == 0
    assert run("list").stdout == ""
    assert (
        row(run("audit", "verify"))["entries"]
        == len(run("audit", "export").stdout.splitlines())
        == 11
    )


COMMON = ["status", "model", "version", "weights", "engine", "device", "damage", "seconds"]


def test_rows_begin_as_those_of_all_commands(place, run):
    files = [write_recording(place / f"alice{take}.csv", ALICE, take) for take in range(2)]
    now = write_recording(place / "now.csv", ALICE, 10)
    enrolled = row(run("enroll", "alice", *files, "--consent"))
    assert list(enrolled)[:10] == ["sources", "sha256", *COMMON] and list(enrolled)[-1] == "options"
    assert enrolled["sources"] == [str(file) for file in files]
    assert enrolled["sha256"] == [sha256(file) for file in files]
    again = row(run("renew", "alice", write_recording(place / "again.csv", ALICE, 20)))
    assert list(again)[:10] == list(enrolled)[:10] and again["verdict"] == "accepted"
    for found in (row(run("verify", "alice", now)), row(run("identify", now))):
        assert list(found)[:10] == ["source", "sha256", *COMMON]
        assert (found["source"], found["sha256"]) == (str(now), sha256(now))
        assert found["engine"] == {"pulse": "eager"} and found["damage"] == []
        assert found["options"]["fmr"] > 0 and found["options"]["sample_rate"] is None


def with_steps(file: Path) -> Path:
    """The recording with an accelerometer beside the pulse, at one walking pace for everybody."""
    lines = [line.split(",") for line in file.read_text().splitlines()]
    file.write_text(
        "t_s,ppg,acc_z\n"
        + "".join(
            f"{second},{value},{1000 + 200 * math.sin(12 * float(second)):.3f}\n"
            for second, value in lines[1:]
        )
    )
    return file


def test_who_walks_at_ones_pace_is_not_one(place, run):
    files = [with_steps(write_recording(place / f"a{take}.csv", ALICE, take)) for take in range(3)]
    assert row(run("enroll", "alice", *files, "--consent"))["channels"] == ["ppg"]
    right = row(run("verify", "alice", with_steps(write_recording(place / "r.csv", ALICE, 10))))
    wrong = row(run("verify", "alice", with_steps(write_recording(place / "w.csv", EVE, 10))))
    assert (right["verdict"], wrong["verdict"]) == ("accepted", "rejected")
    assert right["channels"] == wrong["channels"] == ["ppg"]
    assert right["options"]["channel"] is None


def test_an_ambiguous_file_is_refused_and_counts_nothing(place, enrolled):
    file = write_recording(place / "two.csv", ALICE, 10)
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    file.write_text("t_s,nose,ear\n" + "".join(f"{s},{v},{v}\n" for s, v in rows))
    refused = enrolled("verify", "alice", file)
    assert_one_line(refused, 1)
    assert "nose, ear" in refused.stderr and "--channel" in refused.stderr
    assert row(enrolled("list"))["failures"] == 0
    named = enrolled("verify", "alice", file, "--channel", "ear")
    assert named.status == 0 and row(named)["channels"] == ["ear"]


def test_every_verdict_has_its_status(place, enrolled):
    run = enrolled
    attempts = [
        run("verify", "alice", write_recording(place / "e.csv", EVE, take)) for take in range(5)
    ]
    assert [(found.status, row(found)["verdict"]) for found in attempts] == [(4, "rejected")] * 5
    throttled = run("verify", "alice", write_recording(place / "a.csv", ALICE, 30))
    assert throttled.status == 4 and row(throttled)["verdict"] == "throttled"
    assert 0 < row(throttled)["wait"] <= 30
    unknown = run("verify", "nobody", place / "a.csv")
    assert unknown.status == 4 and row(unknown)["verdict"] == "not enrolled"
    assert_one_line(run("verify", "alice", place / "missing.csv"), 1)
    assert_one_line(run("identify", place / "missing.csv"), 1)
    short = run("verify", "nobody", write_recording(place / "short.csv", ALICE, 31, seconds=7))
    # who is not enrolled is not, however short the capture
    assert short.status == 4 and row(short)["verdict"] == "not enrolled"


@pytest.mark.parametrize("seconds", [7, 3])
def test_a_capture_that_is_too_short_decides_nothing(place, enrolled, seconds):
    file = write_recording(place / "short.csv", ALICE, 31, seconds=seconds)
    outcome = enrolled("verify", "alice", file, "--report", place / "page.html")
    assert outcome.status == 4 and row(outcome)["verdict"] == "inconclusive"
    assert "short" in row(outcome)["reasons"]
    assert "fewer than 10 s without a gap" in (place / "page.html").read_text()


def moved(file: Path, take: int) -> Path:
    """The recording with the finger shaken all the while."""
    lines = [line.split(",") for line in file.read_text().splitlines()[1:]]
    shakes = 400 * np.random.default_rng(take).normal(size=len(lines))
    rows = zip(lines, shakes, strict=True)
    file.write_text(
        "t_s,ppg\n" + "".join(f"{s},{float(v) + shake:.3f}\n" for (s, v), shake in rows)
    )
    return file


def test_motion_and_short_captures_never_count(place, enrolled):
    """A wait begins at the fifth failure."""
    attempts = [moved(write_recording(place / f"m{n}.csv", EVE, n), n) for n in range(3)]
    attempts += [write_recording(place / f"s{n}.csv", EVE, n, seconds=4) for n in range(3)]
    for file in attempts:
        found = row(enrolled("verify", "alice", file))
        assert found["verdict"] == "inconclusive" and found["reasons"]
    assert row(enrolled("list"))["failures"] == 0
    judged = enrolled("verify", "alice", write_recording(place / "e.csv", EVE, 9))
    assert row(judged)["verdict"] == "rejected" and row(enrolled("list"))["failures"] == 1


def test_nobody_is_enrolled_without_consent_or_quality(place, run):
    file = write_recording(place / "a.csv", ALICE, 0)
    assert_one_line(run("enroll", "alice", file), 2)
    assert_one_line(
        run("enroll", "alice", write_recording(place / "s.csv", ALICE, 0, seconds=12), "--consent"),
        1,
    )
    for name in ("", " ", "x" * 201, "two\nlines"):
        assert_one_line(run("enroll", name, file, "--consent"), 2)
    assert not (place / "people.db").exists()


@pytest.mark.parametrize(
    "name", ["with space", "émoji 🫀", "../../etc/passwd", "'; DROP TABLE people; --", "[bold]"]
)
def test_names_of_any_kind(place, run, name):
    assert run("enroll", name, write_recording(place / "a.csv", ALICE, 0), "--consent").status == 0
    assert row(run("verify", name, write_recording(place / "b.csv", ALICE, 1)))["name"] == name
    assert row(run("list"))["name"] == name
    assert {path.name.split(".")[0] for path in place.iterdir()} == {"a", "b", "people"}


def test_a_bad_argument_is_a_row_of_its_own(place, run):
    (place / "loop.csv").symlink_to("loop.csv")
    outcome = run("quality", "http://host/a.csv", "*.parquet", "loop.csv")
    found = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in found] == ["failed"] * 3
    for row, reason in zip(found, ("not on this machine", "no file", "symbolic"), strict=True):
        assert reason in row["reason"]


def test_a_name_with_a_leading_dash(place, run, weights):
    file = write_recording(place / "a.csv", ALICE, 0)
    assert (
        call(
            "ppg_auth",
            "enroll",
            "--consent",
            "--weights",
            weights,
            "--engine",
            "eager",
            "--",
            "-x",
            file,
        ).status
        == 0
    )


def test_a_wrong_passphrase(place, enrolled, monkeypatch):
    monkeypatch.setenv("PPG_AUTH_PASSPHRASE", "not the passphrase")
    assert_one_line(enrolled("list"), 1)
    monkeypatch.delenv("PPG_AUTH_PASSPHRASE")
    assert_one_line(enrolled("list"), 2)


def test_no_store_yet(place, run):
    assert_one_line(run("list"), 1)
    assert_one_line(run("verify", "alice", write_recording(place / "a.csv", ALICE, 0)), 1)
    assert not (place / "people.db").exists()


def test_another_rate_of_false_matches(place, enrolled):
    file = write_recording(place / "a.csv", ALICE, 10)
    assert row(enrolled("verify", "alice", file, "--fmr", "0.01"))["threshold"] == round(
        threshold(0.01), 2
    )
    assert_one_line(enrolled("verify", "alice", file, "--fmr", "0.0001"), 2)


def test_damaged_recordings(place, enrolled):
    """200 damaged variants of a recording: an answer or a sentence, and no stray file."""
    good = write_recording(place / "good.csv", EVE, 10, seconds=12).read_bytes()
    before = {path.name for path in place.iterdir()}
    path, statuses = place / "bad.csv", []
    for data in mutate_bytes(good, seed=3, count=VARIANTS):
        path.write_bytes(data)
        outcome = enrolled("verify", "alice", path, "--lock-after", "0")
        statuses.append(outcome.status)
        assert "unexpected" not in outcome.stderr and "Traceback" not in outcome.stderr, (
            outcome.stderr
        )
        assert (outcome.stdout == "") == (outcome.stderr != "")
    assert set(statuses) <= {0, 1, 4, 5}
    assert {path.name.split("-")[0] for path in place.iterdir()} - before == {"bad.csv"}


def test_the_camera_is_an_extra(place, enrolled):
    assert_one_line(enrolled("verify", "alice", "camera:99"), 3)


def test_extracting_a_video(place, tmp_path):
    from vitrail.testing.media import write_clip

    assert_one_line(call("ppg_auth", "extract", write_clip(tmp_path / "pattern.mp4")), 1)
    assert_one_line(call("ppg_auth", "extract", tmp_path / "none.mp4"), 1)


def test_measuring_attacks(place, run):
    (place / "live").mkdir()
    for take in range(2):
        write_recording(place / "live" / f"{take}.csv", ALICE, take, 45.0)
    table = row(run("pad-eval", place, "--make"))
    assert table["rows"][0][:3] == ["live (BPCER)", 2, 0.0] and len(table["rows"]) == 13
    made = {line[0] for line in table["rows"]}
    assert {f"replayed {how}, made (APCER)" for how in ("faster", "slower", "wandering")} <= made
    assert_one_line(run("pad-eval", place / "live"), 1)
