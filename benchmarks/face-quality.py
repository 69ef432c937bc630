"""Speed and memory of ViT-FIQA against the release's order of work, and of the whole job.

    python benchmarks/face-quality.py [--quick] [--only network photographs video memory]
        [--yunet face_detection_yunet_2023mar.onnx]

``network``: ViT-S per crop on one thread. The release's order writes attention out, and sends all
tokens through the 73,728-wide layer; ours leaves that layer in the file. Loading is from a file of
random weights to the first answer ready; memory is the peak above what Python and the libraries
take. YuNet, where its file is given, searches a picture of 250 x 250. ``photographs``: pictures of
2 megapixels from file to row, the stages apart. ``video``: a minute of 720p by best-shot.
``memory``: the job's peak over 100, 1,000 and 10,000 pictures. Each row is a process of its own;
seconds are those of the CPU, since others use the machine too.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from face_quality import load
from face_quality.crops import aligned
from face_quality.job import QualityJob
from face_quality.measures import measure, reasons
from face_quality.models import build_model
from face_quality.models.vit_fiqa import ViTFIQA
from face_quality.networks import load_network
from face_quality.shots import BestShotJob, Wanted
from vitrail.engine import prepare
from vitrail.faces.others import YuNet
from vitrail.preprocess.image import read_image
from vitrail.report import Table
from vitrail.runner import run, solve
from vitrail.sources import Source
from vitrail.testing.media import write_clip
from vitrail.weights.files import read_state

PORTRAIT = Path(__file__).parents[1] / "packages/face-quality/examples/portrait.jpg"
REPEATS = 5
STATUS = Path("/proc/self/status")
STAGES = ("decoding", "detection", "alignment", "network", "measures")


def released_order(model: ViTFIQA, images: Tensor) -> Tensor:
    """The same function as the release computes it."""
    x = model.embed(images)
    for block in model.blocks:
        y, attn = block.norm1(x), block.attn
        q, k, v = attn.qkv(y).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        x = x + attn.proj((weights @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    _, quality = model.judge(model.norm(x))
    return quality


def alone(measure: Callable[..., tuple], *arguments: object) -> tuple:
    """What ``measure`` gives in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def peak() -> float:
    """MiB of this process at most so far. That of ``resource`` begins with its parent's."""
    (line,) = (row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def held() -> float:
    """MiB of this process now, from which ``peak`` counts on."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def released(path: str) -> tuple[float, float, float]:
    """Seconds to load, seconds per crop, MiB."""
    torch.set_num_threads(1)
    before, started = held(), time.process_time()
    model = build_model({})
    model.load_state_dict(read_state(Path(path))[0])
    model.eval()
    loaded = time.process_time() - started
    images = torch.rand(1, 3, 112, 112)
    with torch.inference_mode():
        return loaded, timed(lambda: released_order(model, images)), peak() - before


def ours(path: str, exit_block: int | None, engine: str) -> tuple[float, float, float]:
    torch.set_num_threads(1)
    before, started = held(), time.process_time()
    network = load_network(path, exit_block=exit_block)
    ready = prepare(network, engine=engine, device="cpu")
    crops = np.zeros((1, 3, 112, 112), np.uint8)
    ready(crops)
    loaded = time.process_time() - started
    return loaded, timed(lambda: ready(crops)), peak() - before


def timed(call: Callable[[], object]) -> float:
    """The shortest of several calls, in seconds of the CPU."""
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


def yunet(path: str) -> tuple[float, float, float]:
    cv2.setNumThreads(1)
    before, started = held(), time.process_time()
    search = YuNet(Path(path))
    picture = cv2.resize(read_image(PORTRAIT), (250, 250), interpolation=cv2.INTER_AREA)[None]
    search(picture)
    loaded = time.process_time() - started
    return loaded, timed(lambda: search(picture)), peak() - before


def network_table(folder: Path, yunet_file: str | None) -> Table:
    path = folder / "model.pt"
    torch.save(build_model({}).state_dict(), path)
    rows = {
        "ViT-S, the release's order": alone(released, str(path)),
        "ViT-S, ours, float32": alone(ours, str(path), None, "eager"),
        "ViT-S, ours, auto": alone(ours, str(path), None, "auto"),
        "ViT-S, ours, auto, after block 6": alone(ours, str(path), 6, "auto"),
        "bundled, auto": alone(ours, "small", None, "auto"),
    }
    if yunet_file:
        rows["OpenCV's YuNet, a picture"] = alone(yunet, yunet_file)
    first = rows["ViT-S, the release's order"]
    cells = [
        (name, load, 1000 * seconds, mib, first[1] / seconds)
        for name, (load, seconds, mib) in rows.items()
    ]
    columns = ("network", "load s", "ms per crop", "MiB", "times as fast")
    return Table("ViT-FIQA, one crop, one thread", columns, cells)


def photograph_table(folder: Path, count: int) -> Table:
    """The stages of single pictures, and the whole job over all."""
    large = cv2.resize(read_image(PORTRAIT), (1350, 1500), interpolation=cv2.INTER_CUBIC)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.roll(large, 7 * number, axis=1)[..., ::-1])
    job, spent = load(), Counter()
    paths = sorted(folder.glob("*.jpg"))
    job.predict(paths[0])
    for path in paths[: min(count, 100)]:
        clock = [time.process_time()]
        image = read_image(path)
        clock.append(time.process_time())
        (faces,) = job.finder.predict([image])
        clock.append(time.process_time())
        crops = [aligned(image, face.landmarks) for face in faces]
        clock.append(time.process_time())
        for crop in crops:
            job.networks[job.network.name](crop.transpose(2, 0, 1)[None])
        clock.append(time.process_time())
        for face, crop in zip(faces, crops, strict=True):
            reasons(measure(image, face, crop, faces))
        clock.append(time.process_time())
        spent.update(dict(zip(STAGES, np.diff(clock), strict=True)))
    started = time.process_time()
    done = sum(1 for _ in run(job, map(Source.of, paths), batch_size=16))
    whole = time.process_time() - started
    total, looked = sum(spent.values()), min(count, 100)
    rows = [(name, 1000 * spent[name] / looked, spent[name] / total) for name in STAGES]
    title = f"{done} photographs of 2 megapixels in {whole:.1f} CPU seconds; one alone"
    return Table(title, ("stage", "ms", "share"), rows)


def video_table(folder: Path, seconds: int) -> Table:
    still = cv2.resize(read_image(PORTRAIT), (648, 720))
    wide = np.full((720, 1280, 3), 90, np.uint8)
    wide[:, 300:948] = still
    frames = (np.roll(wide, 2 * (n % 100), axis=1) for n in range(25 * seconds))
    path = write_clip(folder / "minute.mp4", frames, fps=25)
    job = BestShotJob(load(), Wanted())
    started = time.process_time()
    shots = solve(job.networks, job.process(Source.of(path)))
    spent = time.process_time() - started
    row = (seconds, spent, shots.searched, len(shots.tracks))
    return Table("best-shot, 720p", ("video s", "CPU s", "frames searched", "people"), [row])


def over(path: str, count: int) -> tuple[float]:
    job: QualityJob = load(engine="eager")
    sources = [Source(f"{number}", (Path(path),)) for number in range(count)]
    for _ in run(job, sources, batch_size=16):
        pass
    return (peak(),)


def memory_table(folder: Path, counts: tuple[int, ...]) -> Table:
    path = folder / "small.png"
    small = cv2.resize(read_image(PORTRAIT), (144, 160), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), small[..., ::-1])
    rows = [(count, *alone(over, str(path), count)) for count in counts]
    return Table("Peak of the whole job, pictures of 160 pixels", ("pictures", "MiB"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small numbers")
    parser.add_argument("--yunet", help="YuNet's ONNX file, for a row of its own")
    parser.add_argument("--only", nargs="+", default=["network", "photographs", "video", "memory"])
    options = parser.parse_args()
    quick = options.quick
    parts: dict[str, Callable[[Path], Table]] = {
        "network": lambda folder: network_table(folder, options.yunet),
        "photographs": lambda folder: photograph_table(folder, 20 if quick else 1000),
        "video": lambda folder: video_table(folder, 6 if quick else 60),
        "memory": lambda folder: memory_table(folder, (20, 100) if quick else (100, 1000, 10000)),
    }
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            Console().print(parts[name](Path(folder)).to_rich())


if __name__ == "__main__":
    main()
