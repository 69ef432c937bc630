"""Reading recordings: every layout that loggers write, and one sentence for each that cannot be
read."""

from pathlib import Path

import numpy as np
import pytest

from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.recording import as_recording, to_csv
from vitrail.errors import InputError

SECONDS = np.arange(200) / 50
VALUES = np.round(500 + 20 * np.sin(2 * np.pi * 1.2 * SECONDS), 2)


def text(folder: Path, content: str, name: str = "finger.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


def table(
    seconds: bool = True,
    mark: str = ",",
    head: str | None = "t_s,ppg",
    factor: float = 1.0,
    decimal: str = ".",
) -> str:
    lines = [head.replace(",", mark)] if head else []
    for second, value in zip(SECONDS * factor, VALUES, strict=True):
        cells = [f"{second:.3f}", f"{value:.2f}"] if seconds else [f"{value:.2f}"]
        lines.append(mark.join(cells).replace(".", decimal))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "content, rate",
    [
        (table(), None),
        ("\ufeff" + table(), None),
        (table().replace("\n", "\r\n"), None),
        (table(mark=";", decimal=","), None),
        (table(mark="\t"), None),
        (table(mark=" "), None),
        (table(head="t_ms,ppg", factor=1000), None),
        (table(head="Time,PPG", factor=1000), None),
        (table(head="time, ppg"), None),
        (table(seconds=False, head="ppg"), 50.0),
        (table(seconds=False, head=None), 50.0),
        (",".join(table(seconds=False, head=None).split() * 2) + ",", 50.0),
    ],
    ids=[
        "plain",
        "bom",
        "crlf",
        "semicolon",
        "tab",
        "space",
        "t_ms",
        "time in ms",
        "time in s",
        "rate",
        "bare",
        "one line",
    ],
)
def test_layouts_of_text(tmp_path, content, rate):
    recording = read_recording(text(tmp_path, content), rate)
    assert np.allclose(recording.seconds[:200], SECONDS, atol=1e-6)
    assert np.allclose(recording.values[:200, 0], VALUES)
    assert recording.origin == "sensor" and recording.rate_hint == rate


def test_an_empty_cell_is_a_missing_sample(tmp_path):
    recording = read_recording(text(tmp_path, table().replace(",500.00", ",", 1)))
    assert np.isnan(recording.values).sum() == 1


def test_colours_make_it_a_cameras(tmp_path):
    recording = read_recording(
        text(tmp_path, "time,R,G,B\n" + "".join(f"{33 * n},200,{n % 30},10\n" for n in range(50)))
    )
    assert recording.origin == "camera" and recording.names == ("r", "g", "b")
    assert recording.seconds[1] == pytest.approx(0.033)


def test_what_is_written_is_read_back(tmp_path):
    recording = read_recording(text(tmp_path, table()))
    again = read_recording(text(tmp_path, to_csv(recording), "again.csv"))
    assert np.allclose(again.values, recording.values) and np.allclose(
        again.seconds, recording.seconds
    )


def test_parquet_and_arrays(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"t_s": SECONDS, "ppg": VALUES}), tmp_path / "finger.parquet")
    np.save(tmp_path / "finger.npy", VALUES)
    assert np.allclose(read_recording(tmp_path / "finger.parquet").values[:, 0], VALUES)
    assert np.allclose(read_recording(tmp_path / "finger.npy", 50.0).seconds, SECONDS)


def wfdb_record(folder: Path, form: str, gain: str = "200(10)/mV") -> Path:
    """Two signals whose numbers are known, the pulse second."""
    numbers = np.stack([np.full(51, 7), np.arange(51) * 30 - 700], axis=1).astype(np.int64)
    if form == "16":
        data = numbers.astype("<i2").tobytes()
    else:
        flat = numbers.reshape(-1) & 0xFFF
        first, second = flat[0::2], flat[1::2]
        packed = np.stack(
            [first & 0xFF, (first >> 8) | ((second >> 8) << 4), second & 0xFF], axis=1
        )
        data = packed.astype(np.uint8).tobytes()
    (folder / "rec.dat").write_bytes(data)
    lines = [
        "rec 2 125/1 51",
        f"rec.dat {form} 100 12 0 0 0 0 ECG II",
        f"rec.dat {form} {gain} 12 0 0 0 0 PLETH left",
    ]
    return text(folder, "# a comment\n" + "\n".join(lines) + "\n", "rec.hea")


@pytest.mark.parametrize("form", ["16", "212"])
def test_wfdb(tmp_path, form):
    recording = read_recording(wfdb_record(tmp_path, form))
    assert recording.rate_hint == 125 and recording.values.shape == (51, 1)
    assert np.allclose(recording.values[:, 0], (np.arange(51) * 30 - 700 - 10) / 200)


@pytest.mark.parametrize(
    "change, said",
    [
        (("rec.dat", "../rec.dat"), "not beside it"),
        (("rec.dat", "/etc/passwd"), "not beside it"),
        ((" 16 ", " 61 "), "format 61"),
        (("rec 2", "rec 9"), "announces 9 signals"),
        (("PLETH left", "ECG V"), "no pulse signal"),
        (("125/1", "x"), "not a WFDB header"),
    ],
)
def test_damaged_wfdb_headers(tmp_path, change, said):
    path = wfdb_record(tmp_path, "16")
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(InputError, match=said):
        read_recording(path)


@pytest.mark.parametrize(
    "content, said",
    [
        ("t_s,ppg\n", "no samples"),
        ("\n \n", "is empty"),
        ("t_s,ppg\n0,1\n0.02,abc\n", "line 3, column 2 holds 'abc'"),
        ("t_s,ppg\n0,1\n0.02\n", "line 3 has 1 cells"),
        ("t_s\n0\n1\n", "no samples"),
        ("t_s,ppg\n0,1\n2,1\n1,1\n", "goes back at sample 3"),
        ("t_s,ppg\n0,nan\n1,\n", "no sample that is a number"),
        ("1\n2\n3\n", "--sample-rate"),
        (",".join(["1"] * 256) + "\n" + ",".join(["1"] * 256), "--sample-rate"),
        ("\n".join([",".join(["1"] * 300)] * 2), "300 columns"),
        ("a,b\0c\n1,2\n", "not a text file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        read_recording(text(tmp_path, content))


def test_a_million_columns_are_no_recording(tmp_path):
    path = text(tmp_path, "\n".join([",".join(["1"] * 1_000_000)] * 2))
    with pytest.raises(InputError, match="1000000 columns"):
        read_recording(path)


@pytest.mark.parametrize("rate", [0.0, 4e9, -50.0, float("nan")])
def test_rates_that_make_no_sense(rate):
    with pytest.raises(InputError, match="samples per second"):
        as_recording(VALUES, rate)


@pytest.mark.parametrize("values", [[], np.zeros((2, 3, 4)), ["a"], np.zeros((5, 1000)), [1 + 2j]])
def test_arrays_that_are_no_recordings(values):
    with pytest.raises(InputError):
        as_recording(values, 50.0)


def test_an_unknown_kind_of_file(tmp_path):
    with pytest.raises(InputError, match=r"no known kind \(\.doc\)"):
        read_recording(text(tmp_path, "x", "finger.doc"))
