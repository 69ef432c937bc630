"""Best shots of a video: tracks, gaps, those who are there when it ends."""

import json

import numpy as np
import pytest

from face_quality.job import Options, QualityJob
from face_quality.shots import BestShotJob, Wanted
from face_quality.writing import write_shots
from vitrail.errors import InputError
from vitrail.runner import solve
from vitrail.sources import Source
from vitrail.testing.media import write_clip, write_picture

from .fakes import Seen, face_at, portrait, small_network


def frames(count: int = 20):
    """A portrait that moves, and grows darker and lighter again."""
    for number in range(count):
        light = 0.4 + 0.6 * abs(number - count / 2) / (count / 2)
        yield (np.roll(portrait()[:398, :360], 2 * number, axis=1) * light).astype(np.uint8)


@pytest.fixture
def job(tmp_path):
    network = small_network(tmp_path)
    seen = Seen(face_at(115, 40, 1.1))
    return QualityJob(network, seen, Options(), engine="eager", device="cpu")


def test_a_video(job, tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames(), fps=10)
    shots = solve(job.networks, BestShotJob(job, Wanted(3, 2, 0.5)).process(Source.of(path)))
    (track,) = shots.tracks
    assert shots.searched == track.frames == 10 and len(track.shots) == 3
    raws = [shot.judged.raw for shot in track.shots]
    assert raws == sorted(raws, reverse=True) and raws[0] == max(raw for _, raw in track.scores)
    times = sorted(shot.time for shot in track.shots)
    assert (np.diff(times) >= 0.5).all()
    # Who is there when the video ends is a track like any other.
    assert track.scores[-1][0] == pytest.approx(1.8)
    write_shots(shots, tmp_path)
    (told,) = json.loads((tmp_path / "timeline.json").read_text())
    assert len(told["scores"]) == 10 and (tmp_path / "person0-1.jpg").exists()


def test_a_folder_of_frames_with_a_bad_one(job, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(frames(4)):
        write_picture(folder / f"{number}.png", image)
    (folder / "9.png").write_bytes(b"no picture")
    shots = solve(job.networks, BestShotJob(job, Wanted(1)).process(Source.of(folder)))
    assert shots.searched == 4 and len(shots.tracks[0].shots) == 1
    assert "9.png" in shots.damage[0] and "a second apart" in shots.remarks[-1]
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of its 5 images can be read"):
        solve(job.networks, BestShotJob(job, Wanted()).process(Source.of(folder)))
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no image"):
        solve(job.networks, BestShotJob(job, Wanted()).process(Source.of(folder)))


def test_short_tracks_are_left_out_and_counted(job, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    write_picture(folder / "0.png", portrait())
    shots = solve(job.networks, BestShotJob(job, Wanted()).process(Source.of(folder)))
    assert shots.tracks == () and "1 tracks of fewer than 2" in shots.remarks[0]
