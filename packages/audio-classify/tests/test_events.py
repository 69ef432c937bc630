"""Windows tile a sound, and scores over time become events."""

import numpy as np
import pytest

from audio_classify.sound.edges import Edges
from audio_classify.sound.events import Begun, Event, EventTracker, Rule, thresholds
from audio_classify.sound.level import Level
from audio_classify.sound.windows import SILENT_DB, Moments, Window, cut_windows
from vitrail.errors import UsageError


def blocks(sound: np.ndarray, sizes) -> list[np.ndarray]:
    return np.split(sound, np.cumsum(sizes)[np.cumsum(sizes) < len(sound)])


@pytest.mark.parametrize(
    "total, length, hop",
    [(1000, 100, 20), (1003, 100, 33), (99, 100, 20), (100, 100, 100), (1, 9, 3)],
)
def test_windows_cover_everything_and_hold_the_right_samples(total, length, hop):
    sound = np.arange(total, dtype=np.float32)
    windows = list(cut_windows(blocks(sound, [7] * 200), length, hop))
    covered = np.zeros(total, bool)
    for start, samples in windows:
        assert np.array_equal(samples, sound[start : start + len(samples)])
        covered[start : start + len(samples)] = True
    assert covered.all()
    assert {len(samples) for _, samples in windows} == {min(length, total)}
    assert [start for start, _ in windows] == sorted({start for start, _ in windows})


def test_windows_do_not_depend_on_the_blocks():
    sound = np.random.default_rng(0).random(5000).astype(np.float32)
    kinds = [
        list(cut_windows(blocks(sound, sizes), 400, 130))
        for sizes in ([5000], [13] * 400, [999, 1, 3000, 500, 500])
    ]
    for windows in kinds[1:]:
        assert [start for start, _ in windows] == [start for start, _ in kinds[0]]
        assert all(
            np.array_equal(a.samples, b.samples) for a, b in zip(windows, kinds[0], strict=True)
        )


def test_no_sound_gives_no_window():
    assert list(cut_windows([], 10, 5)) == list(cut_windows([np.empty(0, np.float32)], 10, 5)) == []


def test_a_quiet_hum_is_silence_and_a_constant_too():
    hum = 3e-6 * np.sin(np.arange(1600))
    assert (
        Window(0, hum.astype(np.float32)).loudness < SILENT_DB
        and Window(0, np.full(1600, 0.5, np.float32)).loudness < SILENT_DB
    )
    assert Window(0, (100 * hum).astype(np.float32)).loudness > SILENT_DB


def test_moments_are_the_mean_of_the_windows_over_them():
    moments = Moments(hop=10)
    given = [(0, 20, 1.0), (10, 30, 3.0), (20, 40, 5.0), (25, 45, 9.0)]
    rows = []
    for start, end, value in given:
        rows += list(moments.add(start, end, np.array([value])))
    rows += list(moments.end())
    cells = [
        [value for start, end, value in given if start <= 10 * cell + 5 < end]
        for cell in range(len(rows))
    ]
    assert [row.item() for row in rows] == [np.mean(values) for values in cells]
    assert len(rows) in (4, 5)


def test_a_short_sound_still_has_one_moment():
    moments = Moments(hop=100)
    assert list(moments.add(0, 3, np.array([0.7]))) == []
    assert [row.item() for row in moments.end()] == [0.7]


def track(scores, rule=Rule(), seconds=None):
    tracker = EventTracker(["a", "b"], 1.0, rule)
    events = [event for row in scores for event in tracker.add(np.array([row, 0.0]))]
    return over(events + list(tracker.end(seconds or len(scores))))


def over(events) -> list[Event]:
    return [event for event in events if isinstance(event, Event)]


def spans(scores, **rule):
    return [(event.start, event.end) for event in track(scores, Rule(**rule))]


def test_hysteresis_keeps_an_event_until_it_is_clearly_over():
    assert spans([0, 0, 0.9, 0.9, 0.4, 0.4, 0.1, 0.1]) == [(2, 6)]
    assert spans([0.4] * 8) == []


def test_a_lone_peak_is_no_event_and_a_lone_gap_no_end():
    assert spans([0, 0, 0.9, 0, 0, 0]) == []
    assert spans([0.9, 0.9, 0.9, 0, 0.9, 0.9]) == [(0, 6)]


def test_gaps_are_bridged_and_short_events_dropped():
    scores = [0.9, 0.9, 0, 0, 0.9, 0.9, 0, 0, 0]
    assert spans(scores) == [(0, 2), (4, 6)]
    assert spans(scores, gap=2) == [(0, 6)]
    assert spans(scores, shortest=3) == []


def test_an_event_lasts_to_the_end_of_the_sound():
    assert spans([0, 0, 0.9, 0.9]) == [(2, 4)]
    assert [event.end for event in track([0, 0, 0.9, 0.9], seconds=3.6)] == [3.6]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_very_short_sounds(length):
    assert spans([0.9] * length) == [(0, length)]


def test_a_class_may_have_its_own_threshold_and_others_may_be_left_out():
    labels = ["a", "b", "c=d"]
    assert thresholds((), labels, 0.5).tolist() == [0.5] * 3
    assert thresholds(("b=0.2", "c=d"), labels, 0.5).tolist() == [np.inf, 0.2, 0.5]
    assert thresholds(("c=d=0.9",), labels, 0.5).tolist() == [np.inf, np.inf, 0.9]
    for wrong in ("bird", "b=loud", "b=2", "b=nan", "b=0"):
        with pytest.raises(UsageError, match=f"--class {wrong}"):
            thresholds((wrong,), labels, 0.5)
    tracker = EventTracker(labels, 1.0, Rule(), begins=thresholds(("b=0.2",), labels, 0.5))
    found = [tracker.add(np.array(row)) for row in [[0.9, 0.25, 0.9]] * 4 + [[0.9, 0.1, 0.9]] * 4]
    events = [one for part in found for one in part if isinstance(one, Event)]
    assert [(one.label, one.start, one.end) for one in events] == [("b", 0.0, 4.0)]


def test_classes_are_followed_apart():
    tracker = EventTracker(["a", "b"], 0.5, Rule())
    rows = [[0.9, 0], [0.9, 0.9], [0.9, 0.9], [0, 0.9], [0, 0], [0, 0]]
    told = [event for row in rows for event in tracker.add(np.array(row))] + list(tracker.end(3))
    assert [event for event in told if isinstance(event, Begun)] == [Begun("a", 0), Begun("b", 0.5)]
    events = over(told)
    assert [(event.label, event.start, event.end) for event in events] == [
        ("a", 0, 1.5),
        ("b", 0.5, 2.0),
    ]
    assert events[0].to_dict() == {"label": "a", "start": 0.0, "end": 1.5, "probability": 0.9}


RATE = 16_000


def bursts(*spans: tuple[float, float], seconds: float, floor: float = 1e-4) -> np.ndarray:
    """Noise of -20 dB in ``spans``, and a quiet floor."""
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * RATE)) / RATE
    loud = np.any([(times >= a) & (times < b) for a, b in spans], axis=0)
    return (np.where(loud, 0.1, floor) * rng.standard_normal(len(times))).astype(np.float32)


@pytest.mark.parametrize("size", [100, 16_000, 160_000])
@pytest.mark.parametrize("begin, end", [(1.1, 5.9), (3.7, 4.2), (2.0, 5.0), (2.9, 4.8)])
def test_an_event_begins_and_ends_where_the_sound_does(begin, end, size):
    """By windows it is known to a second; 30 ms are what smoothing leaves."""
    edges = Edges(RATE, 2.0, 10.0)
    sound = bursts((2.4, 4.5), seconds=10)
    list(edges.watch(np.split(sound, range(size, len(sound), size))))
    assert edges.begin(begin) == pytest.approx(2.4, abs=0.03)
    assert edges.end(2.4, end) == pytest.approx(4.5, abs=0.03)


def test_a_pause_within_a_sound_is_no_edge():
    edges = Edges(RATE, 2.0, 10.0)
    list(edges.watch([bursts((2.4, 3.0), (3.2, 4.5), seconds=10)]))
    assert edges.begin(3.1) == pytest.approx(2.4, abs=0.03)


def test_the_sound_that_comes_next_does_not_begin_with_the_one_before():
    edges = Edges(RATE, 2.0, 10.0)
    list(edges.watch([bursts((0.5, 3), (4, 6), seconds=8)]))
    assert edges.begin(2.8) == pytest.approx(4, abs=0.03)  # heard early, while the other goes on
    assert edges.end(0.5, 4.2) == pytest.approx(3, abs=0.03)  # and this one late


def test_where_nothing_rises_the_time_stays():
    edges = Edges(RATE, 2.0, 10.0)
    list(edges.watch([bursts((0, 10), seconds=10)]))
    assert edges.begin(3.1) == 3.1 and edges.end(3.1, 5.0) == 5.0


def test_edges_at_the_beginning_and_the_end_of_a_sound():
    edges = Edges(RATE, 2.0, 10.0)
    list(edges.watch([bursts((0, 1), (3, 4), seconds=4)]))
    assert edges.begin(0.5) == 0 and edges.end(3.0, 3.5) == pytest.approx(4, abs=0.03)


def test_edges_of_a_long_sound_are_known_while_it_passes_and_take_no_room():
    edges = Edges(RATE, 2.0, 10.0)
    sound, found = bursts((55.5, 57.5), seconds=60), None
    passed = 0
    for part in edges.watch([sound]):
        passed += len(part)
        if passed >= 58 * RATE and found is None:
            found = edges.begin(56.0)
    assert found == pytest.approx(55.5, abs=0.03)
    assert len(edges._levels) < 3000


def test_a_quiet_window_is_raised_and_a_loud_one_left():
    sound = bursts((0, 1), seconds=1)  # -20 dB
    assert Level(RATE, 0.5).gain(sound) == pytest.approx(0, abs=0.5)
    assert Level(RATE, 0.5).gain(sound / 100) == pytest.approx(40, abs=0.5)
    assert Level(RATE, 0.5).gain(8 * sound) == 0


def test_a_pause_is_raised_less_until_the_loud_sound_is_forgotten():
    level, sound = Level(RATE, 0.5), bursts((0, 1), seconds=1)
    assert level.gain(sound) == pytest.approx(0, abs=0.5)
    assert level.gain(sound / 1000) == pytest.approx(20, abs=1)
    gains = [level.gain(sound / 1000) for _ in range(100)]
    assert gains == sorted(gains) and gains[-1] == pytest.approx(60, abs=1)
