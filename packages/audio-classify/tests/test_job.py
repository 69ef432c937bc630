"""From a recording to labels and events."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import av
import numpy as np
import pytest
import soundfile
import soxr
import torch

from audio_classify.job import AudioJob, Options
from audio_classify.sound.events import Begun, Event
from audio_classify.sound.level import Level
from audio_classify.sound.live import pcm_blocks
from audio_classify.sound.windows import Window
from audio_classify.writing import write
from vitrail.errors import InputError, UsageError
from vitrail.runner import run
from vitrail.sources import Source

from .fakes import RATE, hiss, silence, small_network, tone


def job(network, **options) -> AudioJob:
    return AudioJob(network, Options(**options), engine="eager", device="cpu")


def scene() -> np.ndarray:
    """Two seconds each of a low tone, nothing, noise, and a high tone."""
    return np.concatenate([tone(200, 2), silence(2), hiss(2), tone(5000, 2)])


def test_events_are_where_the_sounds_are(listener):
    result = job(listener, hop=0.1).predict(scene())
    found = {event.label: (event.start, event.end) for event in result.events}
    assert found.keys() == {"low", "noise", "high"} and len(result.events) == 3
    for label, (start, end) in {"low": (0, 2), "noise": (4, 6), "high": (6, 8)}.items():
        assert found[label] == pytest.approx((start, end), abs=0.5)
    assert not result.silent and result.seconds == pytest.approx(8)


def test_silence_is_a_result(listener):
    result = job(listener).predict(silence(3))
    assert result.silent and result.to_dict()["label"] == "silence"
    assert result.events == () and result.labels == {}


@pytest.mark.parametrize("seconds", [0.025, 0.03, 0.2])
def test_very_short_sounds(network, seconds):
    result = job(network).predict(hiss(seconds))
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("samples", [1, 160, 399])
def test_less_than_a_frame_gets_a_reason_and_no_label(network, samples):
    with pytest.raises(InputError, match=r"record at least the 0\.025 s of a frame"):
        job(network).predict(hiss(1)[:samples])


def test_a_sound_that_resamples_to_nothing_gets_a_reason(network, tmp_path):
    soundfile.write(tmp_path / "a.wav", hiss(1)[:3], 192_000)
    with pytest.raises(InputError, match=r"lasts 0\.0\d+ s at 16000"):
        job(network).predict(tmp_path / "a.wav")


def test_answers_that_are_not_finite_are_a_reason(network):
    class Broken(torch.nn.Module):
        def forward(self, spectrogram):
            return torch.full((len(spectrogram), 3), float("nan"))

    with pytest.raises(InputError, match="gives no finite numbers"):
        job(replace(network, build=Broken)).predict(hiss(1))


def test_the_level_of_silence_can_be_set(network):
    quiet = 0.003 * hiss(1)  # 70 dB below full scale
    assert job(network, silence_level=-60.0).predict(quiet).silent
    heard = job(network).predict(quiet)
    assert not heard.silent and heard.loudness == pytest.approx(-70.5, abs=1)
    assert job(network, silence_level=-10.0).predict(hiss(1)).silent


@pytest.mark.parametrize("db", [-20, -40, -60])
def test_a_sound_is_heard_at_any_level_and_the_row_says_what_was_raised(listener, db):
    pipeline, sound = job(listener, hop=0.1), scene()
    loud, quiet = pipeline.predict(sound), pipeline.predict(sound * np.float32(10 ** (db / 20)))
    assert [event.label for event in quiet.events] == ["low", "noise", "high"]
    for one, other in zip(loud.events, quiet.events, strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=0.15)
    assert any("was raised by up to" in reason for reason in quiet.reasons)
    assert quiet.to_dict()["reasons"] == list(quiet.reasons)


def test_exact_raises_nothing(network):
    sound = 0.001 * hiss(1)
    window = network.features.network_input(sound[:10480], exact=True)
    span = job(network, exact=True)._span(Window(0, sound[:10480]), Level(RATE, 0.1))
    assert span.gain == 0 and np.array_equal(span.item, window)


def test_what_is_too_quiet_to_be_judged_is_told(listener):
    result = job(listener, hop=0.1).predict(np.concatenate([hiss(2), silence(3)]))
    (reason,) = result.reasons
    skipped = float(reason.split(" s are quieter than -90 dB")[0])
    assert skipped == pytest.approx(3 - 0.655, abs=0.15)


def test_times_are_those_of_the_sound_not_of_the_windows(listener):
    sound = np.concatenate([silence(1.23), tone(200, 2), silence(3)])
    sound = sound + 1e-4 * hiss(6.23)
    (event,) = [e for e in job(listener).predict(sound).events if e.label == "low"]
    assert (event.start, event.end) == pytest.approx((1.23, 3.23), abs=0.05)


def test_what_was_done_to_the_channels_is_in_the_row(network, tmp_path):
    sound = hiss(1)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, -sound], 1), RATE, subtype="FLOAT")
    result = job(network).predict(tmp_path / "a.wav")
    assert result.damage == ("channels 1 and 2 are of opposite phase; channel 1 was heard alone",)
    assert result.probabilities == pytest.approx(job(network).predict(sound).probabilities)


def test_the_times_of_events_count_from_the_beginning_of_the_file(listener, tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(60):
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            image.pts = number
            container.mux(video.encode(image))
            if number >= 30:
                values = (tone(200, 0.1) * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(values[None], format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, number * 1600
                container.mux(audio.encode(frame))
        container.mux(video.encode(None))
    (event,) = job(listener, hop=0.1).predict(path).events
    assert event.label == "low" and (event.start, event.end) == pytest.approx((3, 6), abs=0.4)


def test_fast_computes_nothing_for_padding_and_exact_pads(network):
    window = Window(0, hiss(0.3))
    assert job(network).prepare(window).shape == (28, 128)
    exact = job(network, exact=True).prepare(window)
    assert exact.shape == (64, 128)
    assert np.allclose(exact[28:], -network.features.mean / (2 * network.features.std))


def test_a_full_window_is_the_same_in_both_modes(network):
    sound = hiss(0.655)
    results = [job(network, exact=exact).predict(sound).probabilities for exact in (False, True)]
    assert results[0] == pytest.approx(results[1])


def test_gain_and_offset_of_the_waveform(network):
    sound = hiss(2)
    offset = job(network).predict(sound + 0.2).probabilities
    assert offset == pytest.approx(job(network).predict(sound).probabilities, abs=1e-3)


def test_a_file_gives_what_its_samples_give(network, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, hiss(3), RATE, subtype="FLOAT")
    file, array = job(network).predict(path), job(network).predict(hiss(3))
    assert file.probabilities == pytest.approx(array.probabilities, abs=1e-4)


def test_the_sample_rate_of_the_file_does_not_matter(network, tmp_path):
    path, sound = tmp_path / "a.wav", hiss(2, 44100)
    soundfile.write(path, sound, 44100, subtype="FLOAT")
    low = soxr.resample(sound, 44100, RATE)  # what librosa does
    file, array, expected = (
        job(network).predict(*given).probabilities for given in [(path,), (sound, 44100), (low,)]
    )
    assert file == pytest.approx(expected, abs=1e-3)
    assert array == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("size", [160, 1000, 100_000])
def test_a_stream_gives_the_events_of_the_file(listener, size):
    pipeline = job(listener, hop=0.1)
    sound = scene()
    told = list(pipeline.listen(iter(np.split(sound, range(size, len(sound), size)))))
    live = [event for event in told if isinstance(event, Event)]
    begun = [(event.label, event.start) for event in told if isinstance(event, Begun)]
    assert sorted(begun) == sorted((event.label, event.start) for event in live)
    assert sorted(live, key=lambda e: (e.start, e.end, e.label)) == list(
        pipeline.predict(sound).events
    )


def test_a_stream_tells_of_an_event_soon_after_its_end(listener):
    pipeline, heard = job(listener, hop=0.1), 0.0

    def blocks():
        nonlocal heard
        for block in np.split(np.concatenate([tone(200, 2), silence(8)]), 100):
            heard += len(block) / RATE
            yield block

    told = pipeline.listen(blocks())
    assert next(told) == Begun("low", 0.0) and heard < pipeline.window + 3 * pipeline.hop
    event = next(told)
    assert event.label == "low" and heard < event.end + 2 * pipeline.window + 3 * pipeline.hop


def test_an_alarm_that_never_ends_is_told_at_once(listener):
    def blocks():
        for _ in range(50):
            yield tone(200, 0.1)
        raise AssertionError("nothing was told in five seconds")

    assert next(job(listener, hop=0.1).listen(blocks())) == Begun("low", 0.0)


def test_raw_samples_from_a_pipe(listener):
    import io

    sound = scene()
    data = (sound * 32767).astype("<i2").tobytes()
    blocks = np.concatenate(list(pcm_blocks(io.BufferedReader(io.BytesIO(data)), RATE, RATE)))
    assert np.abs(blocks[: len(sound)] - sound).max() < 1e-3
    with pytest.raises(InputError, match="raw samples"):
        list(pcm_blocks(io.BufferedReader(io.BytesIO(b"RIFF" + data)), RATE, RATE))
    with pytest.raises(InputError, match="is empty"):
        list(pcm_blocks(io.BufferedReader(io.BytesIO()), RATE, RATE))


def test_batches_do_not_change_the_result(network, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, hiss(4), RATE, subtype="FLOAT")
    pipeline = job(network, hop=0.2)
    whole = pipeline.predict(path)
    for size in (1, 5):
        ((_, result),) = run(pipeline, [Source.of(path)], batch_size=size)
        assert result.probabilities == pytest.approx(whole.probabilities, abs=1e-5)


def test_embeddings_are_those_of_the_network(network):
    result = job(network, embed=True).predict(hiss(0.655))
    with torch.inference_mode():
        image = network.features.network_input(hiss(0.655), exact=False)[None]
        expected = network.module.embedding(torch.from_numpy(image))
    assert np.allclose(result.embeddings.vectors, expected.numpy(), atol=1e-5)
    assert list(result.embeddings.starts) == [0.0]


def test_a_network_without_classes_gives_embeddings_alone():
    result = job(small_network(num_classes=0)).predict(hiss(1))
    assert (
        result.embeddings.vectors.shape[1] == 32
        and result.events == ()
        and result.to_dict()["label"] is None
    )


@pytest.mark.parametrize("options", [{"hop": 1.0}, {"window": 0.3, "hop": 0.4}, {"hop": 0.001}])
def test_a_hop_that_leaves_gaps(network, options):
    with pytest.raises(UsageError, match="--hop"):
        job(network, **options)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0, np.float32),
        np.zeros((2, 9), np.float32),
        np.zeros(9, np.int16),
        np.array([np.nan]),
    ],
)
def test_arrays_that_are_no_sound(network, sound):
    with pytest.raises(InputError, match="finite floating-point"):
        job(network).predict(sound)


def test_the_files_of_a_result(listener, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, scene(), RATE)
    result = job(listener, hop=0.1, start="2024-05-18T04:30:00+02:00").predict(path)
    write(result, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert rows == result.to_dict()["events"]
    assert len((tmp_path / "events.csv").read_text().splitlines()) == len(rows) + 1
    start, end, label = (tmp_path / "events.txt").read_text().splitlines()[0].split("\t")
    assert (float(start), float(end), label) == (rows[0]["start"], rows[0]["end"], rows[0]["label"])
    first = (tmp_path / "events.csv").read_text().splitlines()[1].split(",")
    second = datetime.fromisoformat("2024-05-18T04:30:00+02:00") + timedelta(seconds=float(start))
    assert datetime.fromisoformat(first[-1]) - second < timedelta(seconds=0.001)
    head, one, *_ = (tmp_path / "events.selections.txt").read_text().splitlines()
    raven = dict(zip(head.split("\t"), one.split("\t"), strict=True))
    assert raven["Begin Time (s)"] == start and raven["End Time (s)"] == end
    assert raven["Annotation"] == label and raven["High Freq (Hz)"] == "8000.0"
    assert (tmp_path / "spectrogram.png").read_bytes().startswith(b"\x89PNG")


def test_memory_does_not_grow_with_the_length(listener, tmp_path):
    """Ten minutes of noise, of which never more than a few windows lie in memory."""
    import tracemalloc

    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(60):
            file.write(hiss(10, 8000))
    pipeline = job(listener, hop=0.6)
    pipeline.predict(hiss(2))
    tracemalloc.start()
    result = pipeline.predict(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.seconds == pytest.approx(600, abs=0.1) and peak < 12_000_000


@pytest.fixture
def doubter(listener):
    """Takes noise for none of its classes, and tones only if it is sure."""
    return replace(listener, unknown="noise", accept=0.9)


def test_what_is_none_of_the_classes_is_unknown(doubter):
    result = job(doubter).predict(hiss(2))
    assert result.unknown and result.label == result.to_dict()["label"] == "unknown"
    assert result.events == () and "no class is likely enough (from 0.90 on)" in result.reasons
    assert result.summary.startswith("unknown (noise 100%")
    asked = job(doubter, classes=("noise",)).predict(hiss(2))
    assert [event.label for event in asked.events] == ["noise"]


def test_a_class_that_is_likely_enough_is_named(doubter):
    result = job(doubter).predict(tone(200, 2))
    assert not result.unknown and result.label == "low"
    assert [event.label for event in result.events] == ["low"]


def test_silence_is_not_unknown(doubter):
    result = job(doubter).predict(silence(2))
    assert result.label == "silence" and not result.unknown
