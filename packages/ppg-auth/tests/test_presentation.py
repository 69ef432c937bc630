"""Attacks leave signs, living pulses leave none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_people import RATE, FakeCapture, capture, fake_model, pulse

from ppg_auth.decide.decision import Outcome
from ppg_auth.decide.enrolment import Registry
from ppg_auth.decide.presentation import SIGNS, attack_signs, is_replay, polarity, sketch
from ppg_auth.decide.verification import Verifier
from ppg_auth.measure.pad import ATTACKS, evaluate_folder
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.windows import Preprocess, SignalConfig
from ppg_auth.store.history import Sketch
from ppg_auth.store.session import open_store
from vitrail.errors import InputError

KEY = b"k" * 32


class SignalOnly:
    """Stands in for the pipeline: the signal chain without a network."""

    def __init__(self) -> None:
        self.options = {"sample_rate": 100.0, "channel": "red"}

    def predict(self, recording: Recording) -> FakeCapture:
        windows = Preprocess(SignalConfig())(recording)
        return FakeCapture(
            np.zeros((0, 128)), windows.pulse, raw=windows.raw, sample_rate=windows.rate
        )


def living(number: int) -> Recording:
    """45 s at 50 Hz of an uneven pulse on a steady brightness."""
    wave = 500 + 20 * pulse(np.random.default_rng(number), 45.0)
    return Recording(np.arange(len(wave)) / RATE, wave[:, None], RATE, "sensor")


@pytest.mark.parametrize("number", range(6))
def test_a_living_pulse_shows_no_sign(number):
    assert attack_signs(SignalOnly().predict(living(number))) == ()


@pytest.mark.parametrize(
    ("attack", "sign"),
    [("static", "static"), ("synthetic", "synthetic"), ("flicker", "flicker"), ("looped", "looped"),
     ("even amplitude", "even_amplitude")],
)  # fmt: skip
def test_an_attack_shows_its_sign(attack, sign):
    assert sign in SIGNS and sign in attack_signs(SignalOnly().predict(ATTACKS[attack](living(0))))


@pytest.mark.parametrize("attack", ["reversed", "turned over"])
def test_a_turned_pulse_shows_the_other_polarity(attack):
    live = SignalOnly().predict(living(0))
    assert polarity(SignalOnly().predict(ATTACKS[attack](living(0)))) == -polarity(live)


def test_a_copy_cut_and_amplified_is_known_and_another_take_is_not():
    known = sketch(SignalOnly().predict(living(0)), KEY)
    assert is_replay(sketch(SignalOnly().predict(ATTACKS["replayed"](living(0))), KEY), [known])
    assert not is_replay(sketch(SignalOnly().predict(living(1)), KEY), [known])
    none = Sketch(known.stretches[:0], known.beats[:0])
    assert not is_replay(none, [known]) and not is_replay(known, [none])
    assert not is_replay(known, [])


@pytest.mark.parametrize("kind", ["replayed faster", "replayed slower", "replayed wandering"])
def test_a_copy_by_another_clock_is_known(kind):
    """It used to pass: its stretches are of another length."""
    known = sketch(SignalOnly().predict(living(0)), KEY)
    assert is_replay(sketch(SignalOnly().predict(ATTACKS[kind](living(0))), KEY), [known])
    for other in range(1, 6):
        assert not is_replay(sketch(SignalOnly().predict(living(other)), KEY), [known])


def test_a_sketch_survives_writing():
    one = sketch(SignalOnly().predict(living(0)), KEY)
    again = Sketch.from_bytes(one.to_bytes())
    assert len(one.stretches) and len(one.beats)
    assert np.array_equal(again.stretches, one.stretches)
    assert np.array_equal(again.beats, one.beats)


def test_a_sketch_of_before_there_was_a_format_knows_the_stretches():
    one = sketch(SignalOnly().predict(living(0)), KEY)
    old = Sketch.from_bytes(one.to_bytes()[1:])
    assert np.array_equal(old.stretches, one.stretches) and not len(old.beats)
    assert is_replay(one, [old])


def test_a_part_of_a_capture_shown_by_another_clock_is_known():
    """It used to pass: what is usual in 15 s is not what is usual in 45."""
    whole = living(0)
    part = replace(whole, seconds=whole.seconds[:900], values=whole.values[600:1500])
    known = sketch(SignalOnly().predict(whole), KEY)
    assert is_replay(sketch(SignalOnly().predict(ATTACKS["replayed slower"](part)), KEY), [known])


def test_what_was_accepted_once_stays_used(enrolled):
    """The twenty-first capture used to make room for the first."""
    first = capture(1, 50)
    assert enrolled.verify("alice", first).outcome is Outcome.ACCEPTED
    for take in range(100, 125):
        assert enrolled.verify("alice", capture(1, take)).outcome is Outcome.ACCEPTED
    assert enrolled.verify("alice", first).reasons == ("replay",)
    assert enrolled.verify("alice", capture(1, 0)).reasons == ("replay",), "of the enrolment"


def test_of_rejected_captures_the_last_are_remembered(enrolled):
    now = [1000.0]
    enrolled.clock = lambda: now[0]
    for take in range(30):
        now[0] += 1e6
        assert enrolled.verify("alice", capture(2, take)).outcome is Outcome.REJECTED
    with enrolled.store.session() as session:
        person = session.people.get("alice")
        assert len(session.captures.sketches(person)) == 3 + 20


def test_the_rates_of_a_labelled_folder(tmp_path, monkeypatch):
    (tmp_path / "live").mkdir()
    (tmp_path / "lamp").mkdir()
    recordings = {}
    for number in range(3):
        recordings[tmp_path / "live" / f"{number}.csv"] = living(number)
        recordings[tmp_path / "lamp" / f"{number}.csv"] = ATTACKS["flicker"](living(number))
    for path in recordings:
        path.touch()

    def read(path: Path, sample_rate: float | None, channel: str | None) -> Recording:
        assert (sample_rate, channel) == (100.0, "red"), "as the job was asked to"
        return recordings[path]

    monkeypatch.setattr("ppg_auth.measure.pad.read_recording", read)
    rows = {row[0]: row[1:3] for row in evaluate_folder(tmp_path, SignalOnly(), make=True).rows}
    assert rows["live (BPCER)"] == (3, 0.0) and rows["lamp (APCER)"] == (3, 0.0)
    assert len(rows) == 2 + len(ATTACKS)
    unguarded = rows.pop("beats reordered, made (APCER)")
    assert unguarded[1] > 0, "who guards against it takes it out of the list of what is not guarded"
    assert all(rate == 0 for number, rate in rows.values())


def test_a_folder_without_live_recordings(tmp_path):
    with pytest.raises(InputError, match="live"):
        evaluate_folder(tmp_path, SignalOnly(), make=False)


@pytest.fixture
def enrolled(tmp_path) -> Verifier:
    """Alice, enrolled on three takes."""
    verifier = Verifier(
        open_store(str(tmp_path / "s.db"), None, b"long enough", create=True), fake_model()
    )
    Registry(verifier).enroll("alice", [capture(1, take) for take in range(3)])
    return verifier


def test_an_enrolled_capture_does_not_verify(enrolled):
    assert enrolled.verify("alice", capture(1, 0)).reasons == ("replay",)


def test_an_accepted_capture_does_not_verify_again_nor_cut(enrolled):
    take = capture(1, 50)
    assert enrolled.verify("alice", take).outcome is Outcome.ACCEPTED
    assert enrolled.verify("alice", take).reasons == ("replay",)
    cut = replace(take, pulse=1.1 * take.pulse[40:], raw=1.1 * take.raw[40:])
    assert enrolled.verify("alice", cut).reasons == ("replay",)


def test_a_turned_capture_does_not_verify_nor_identify(enrolled):
    turned = capture(1, 60)
    turned = replace(turned, raw=200 - turned.raw)
    assert enrolled.verify("alice", turned).reasons == ("turned",)
    assert enrolled.identify(replace(turned, raw=turned.raw + 1)).outcome is Outcome.REJECTED


def test_attacks_do_not_enrol(enrolled):
    flat = [replace(capture(2, take), raw=capture(2, take).raw + 1e6) for take in range(3)]
    with pytest.raises(InputError, match="static"):
        Registry(enrolled).enroll("bob", flat)
    mixed = [capture(2, 0), replace(capture(2, 1), raw=-capture(2, 1).raw)]
    with pytest.raises(InputError, match="different kinds of sensors"):
        Registry(enrolled).enroll("bob", mixed)
