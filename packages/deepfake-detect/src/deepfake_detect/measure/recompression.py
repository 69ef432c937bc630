"""Real clips compressed ever more strongly: how soon are they called FAKE?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from deepfake_detect.job import DeepfakeJob
from deepfake_detect.measure.judged import BATCH, Judged
from deepfake_detect.model import REAL
from deepfake_detect.result import Result
from vitrail.report import Table
from vitrail.runner import run
from vitrail.sources import VIDEO_SUFFIXES, Source

RATE_FACTORS = (23, 30, 35, 40)
SECONDS = 8.0  # of each clip
COLUMNS = (
    "scorer",
    "H.264 rate factor (CRF)",
    "real clips",
    "called FAKE",
    "UNDECIDED",
    "frames called FAKE",
    "mean P(fake)",
)


def recompressed(source: Path, rate_factor: int, target: Path) -> Path:
    """Writes the first ``SECONDS`` of a video again as H.264 at x264's constant rate factor."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        video = given.streams.video[0]
        rate = video.average_rate or 25
        stream = made.add_stream(
            "libx264", rate=rate, options={"crf": str(rate_factor), "preset": "fast"}
        )
        stream.width, stream.height, stream.pix_fmt = (
            video.width // 2 * 2,
            video.height // 2 * 2,
            "yuv420p",
        )
        for number, frame in enumerate(_readable(given.decode(video))):
            if number >= SECONDS * rate:
                break
            frame = frame.reformat(stream.width, stream.height, "yuv420p")
            frame.pts = None
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return target


def _readable(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The frames up to where the decoder gives up."""
    while True:
        try:
            yield next(frames)
        except (StopIteration, av.FFmpegError):
            return


def recompression_table(
    title: str, jobs: Mapping[str, DeepfakeJob], judged: Iterable[Judged]
) -> Table | None:
    """Verdicts of each job on the real clips among ``judged``, at each of the ``RATE_FACTORS``;
    None without any."""
    real = [one.file for one in judged if one.file.label == REAL and isinstance(one.result, Result)]
    clips = [file.path for file in real if file.path.suffix.lower() in VIDEO_SUFFIXES]
    if not clips:
        return None
    rows = []
    with TemporaryDirectory() as folder:
        for factor in RATE_FACTORS:
            worse = [
                Source.of(recompressed(clip, factor, Path(folder) / f"{n}-{factor}.mp4"))
                for n, clip in enumerate(clips)
            ]
            for name, job in jobs.items():
                results = [
                    result
                    for _, result in run(job, worse, batch_size=BATCH)
                    if isinstance(result, Result)
                ]
                rows.append((name, factor, len(clips), *_shares(results)))
    return Table(f"{title}: real clips, the first {SECONDS:.0f} s compressed again", COLUMNS, rows)


def _shares(results: Sequence[Result]) -> tuple[float, ...]:
    labels = [result.verdict.label.value for result in results]
    scores = [seen.score for result in results for seen in result.observations]
    above = [
        seen.score >= result.thresholds.fake_above
        for result in results
        for seen in result.observations
    ]
    return (
        labels.count("FAKE") / max(len(labels), 1),
        labels.count("UNDECIDED") / max(len(labels), 1),
        sum(above) / max(len(above), 1),
        sum(scores) / max(len(scores), 1),
    )
