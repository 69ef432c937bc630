"""Speed of image-colorize: from click to colours, the file at full size, and what stands beside.

    python benchmarks/image-colorize.py

One thread, CPU time. The sources are one photograph of NASA, enlarged. ``official order`` is the
released demo's work at a click, written out after its description: all planes rebuilt, a network
of the released tiny size, chroma enlarged to its window of 720 pixels, converted by
scikit-image; ours does the same with the same weights for the same window.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries read it

import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from PIL import Image
from skimage import color, data

from image_colorize import load
from image_colorize.baselines import levin, nearest
from image_colorize.color import CHROMA_SCALE
from image_colorize.hints import Hint
from image_colorize.job import ColorizeJob, Options
from image_colorize.merge import merge
from image_colorize.model import Config, IColoriT
from image_colorize.networks import ColorizeNetwork
from image_colorize.seen import Shape, look, network_input, place
from image_colorize.session import Session
from image_colorize.writing import coloured_file
from vitrail.engine import prepare
from vitrail.preprocess.image_whole import read_whole

warnings.filterwarnings("ignore", message="Conversion from CIE-LAB")

MEGAPIXELS = (1, 6, 24)
WINDOW = (1080, 1620)  # rows and columns of a 3:2 photograph on a screen of 1920 x 1080
OFFICIAL_WINDOW = (480, 720)
CLICKS = 100
HINTS = 20
FOLDER = 100
REDRAWN = 40  # times that the page draws its window


def cpu(work: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1e3


def clicks(work: Callable[[int], object], count: int = CLICKS) -> np.ndarray:
    """CPU milliseconds of ``work`` with 1 to ``HINTS`` hints, after one call to warm up."""
    work(1)
    return np.array([cpu(lambda n=n: work(n % HINTS + 1)) for n in range(count)])


def photograph(megapixels: float) -> np.ndarray:
    """uint8 (H, W), 3:2, grey."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    grey = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (round(1.5 * height), height), interpolation=cv2.INTER_CUBIC)


def some_hints(count: int) -> list[Hint]:
    rng = np.random.default_rng(0)
    levels = rng.integers(40, 220, (count, 3)).tolist()
    return [
        Hint(float(x), float(y), (r, g, b))
        for (x, y), (r, g, b) in zip(rng.random((count, 2)), levels, strict=True)
    ]


def measure_clicks() -> None:
    """Stages of one click: the window's share is what the browser does in JavaScript."""
    job = load(engine="auto")
    rows = [(size, *click_stages(job, photograph(size))) for size in MEGAPIXELS]
    header = ("megapixels", "opening", "planes", "network", "answer", "window", "click", "95 %")
    print_table(f"Click to colours, ms, {CLICKS} clicks of 1 to {HINTS} hints", header, rows)


def click_stages(job: ColorizeJob, levels: np.ndarray) -> tuple[float, ...]:
    """CPU milliseconds of each stage, and of the whole: the median and the 95th percentile."""
    hints, session = some_hints(HINTS), Session(job, levels)
    window = cv2.resize(levels, WINDOW[::-1], interpolation=cv2.INTER_AREA)
    lightness, engine = session.seen.lightness, next(iter(job.networks.values()))
    planes = network_input(lightness, place(hints, lightness, job.shape), job.shape)[None]
    chroma = session.chroma(hints)
    opening = cpu(lambda: look(levels, job.size))
    placing = clicks(lambda n: place(hints[:n], lightness, job.shape))
    network = clicks(lambda n: engine(planes))
    answer = clicks(lambda n: session.chroma(hints[:n]))
    drawn = clicks(lambda n: merge(window, chroma), 10)
    parts = [float(np.median(each)) for each in (placing, network, answer, drawn)]
    late = float(np.percentile(answer, 95) + np.percentile(drawn, 95))
    return opening, *parts, parts[2] + parts[3], late


def measure_page() -> None:
    """The page's own share of a click in headless Chromium, where it is installed: milliseconds of
    merging and drawing the window, at best and at the median of so many, on a source of 6
    megapixels."""
    import json

    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("\nno Chromium: the page was not measured")
        return
    work = """(count) => Array.from({length: count}, () => {
        const started = performance.now();
        mergeAll();
        draw();
        return performance.now() - started;
    })"""
    with TemporaryDirectory() as folder, sync_playwright() as started:
        path = Path(folder) / "photograph.jpg"
        Image.fromarray(photograph(6)).save(path, quality=92)
        line = [sys.executable, "-m", "image_colorize.cli", "serve", str(path)]
        service = subprocess.Popen([*line, "--port", "8419"], stdout=subprocess.PIPE, text=True)
        try:
            assert service.stdout is not None
            address = service.stdout.readline().split()[-1]
            browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1920, "height": 1200})
            page.goto(address)
            page.wait_for_selector("body[data-done]", timeout=120_000)
            width, height = page.evaluate("[shownWidth, shownHeight]")
            spent = np.array(json.loads(page.evaluate(f"JSON.stringify(({work})({REDRAWN}))")))
            browser.close()
        finally:
            service.terminate()
            service.wait()
    row = (f"{width}x{height}", float(spent.min()), float(np.median(spent)))
    print_table("Merging and drawing on the page, ms", ("window", "at best", "median"), [row])


def measure_files() -> None:
    """The whole file: decoding, colouring, encoding; each size in a process of its own."""
    rows = []
    with TemporaryDirectory() as folder:
        for megapixels in MEGAPIXELS:
            path = Path(folder) / f"{megapixels}.jpg"
            Image.fromarray(photograph(megapixels)).save(path, quality=92)
            done = subprocess.run(
                [sys.executable, __file__, "--file", str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            rows.append((megapixels, *map(float, done.stdout.split())))
    header = ("megapixels", "decoding", "network", "merging", "encoding", "MB at most")
    print_table("A file at full size, CPU ms", header, rows)


def one_file(path: Path) -> None:
    job = load(engine="auto")
    hints = some_hints(HINTS)
    job.predict(np.zeros((8, 8), np.uint8), hints)
    spent = stages(job, path, hints)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(*spent.round(1), round(memory))


def stages(job: ColorizeJob, path: Path, hints: list[Hint]) -> np.ndarray:
    """CPU milliseconds of decoding, network, merging and encoding of one file."""
    times = [time.process_time()]
    image = read_whole(path)
    times.append(time.process_time())
    result = job.predict(image, hints)
    times.append(time.process_time())
    _ = result.merged
    times.append(time.process_time())
    coloured_file(result)
    times.append(time.process_time())
    return np.diff(times) * 1e3


def compare_official() -> None:
    """The same weights, the same window, from click to picture."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = IColoriT(Config()).eval()
    shape, rgb = Shape(224, 2, False), np.dstack([photograph(1)] * 3)
    hints = some_hints(HINTS)
    network = ColorizeNetwork(
        "official size", lambda: module, np.zeros((2, 4, 224, 224), np.float32), None, shape=shape
    )
    rows = []
    base = clicks(lambda n: official_click(module, rgb, hints[:n]), 20)
    rows.append(("official order", float(np.median(base)), 1.0))
    window = cv2.resize(rgb, OFFICIAL_WINDOW[::-1], interpolation=cv2.INTER_AREA)
    for engine in ("eager", "auto"):
        job = ColorizeJob(network, Options(follow=False), engine=engine)
        session = Session(job, rgb)
        ours = clicks(lambda n, s=session: merge(window, s.chroma(hints[:n])), 20)
        name = next(iter(job.networks.values())).name
        rows.append(
            (f"ours, {engine} ({name})", float(np.median(ours)), float(np.median(base / ours)))
        )
    print_table(
        "Click to picture, tiny of the release, window of 720, CPU ms", ("", "ms", "ratio"), rows
    )


@torch.no_grad()
def official_click(module: IColoriT, rgb: np.ndarray, hints: list[Hint]) -> np.ndarray:
    """The demo's order: everything anew at each click."""
    small = cv2.resize(rgb, (224, 224), interpolation=cv2.INTER_CUBIC)
    lab = color.rgb2lab(small / 255)
    shape = Shape(224, 2, False)
    placed = place(hints, lab[..., 0].astype(np.float32), shape)
    planes = network_input(lab[..., 0].astype(np.float32), placed, shape)
    chroma = module(torch.from_numpy(planes)[None])[0].movedim(0, -1).numpy() * 110
    predicted = color.lab2rgb(np.dstack([lab[..., 0], chroma]))
    predicted = np.asarray(Image.fromarray((predicted * 255).astype(np.uint8)))
    window = cv2.resize(rgb, OFFICIAL_WINDOW[::-1], interpolation=cv2.INTER_CUBIC)
    lightness = color.rgb2lab(window / 255)[..., :1]
    wide = cv2.resize(
        color.rgb2lab(predicted / 255)[..., 1:],
        OFFICIAL_WINDOW[::-1],
        interpolation=cv2.INTER_CUBIC,
    )
    return (color.lab2rgb(np.dstack([lightness, wide])) * 255).astype(np.uint8)


def compare_forward() -> None:
    """The network alone, of the released tiny size and weights drawn once: as the release writes
    it, which is what PyTorch runs here, and as it is run by itself."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = IColoriT(Config()).eval()
    example = np.random.default_rng(0).normal(0, 0.3, (1, 4, 224, 224)).astype(np.float32)
    network = ColorizeNetwork(
        "tiny 224", lambda: module, example.repeat(2, 0), None, shape=Shape(224, 2, False)
    )
    tolerance = 0.5 / CHROMA_SCALE
    with torch.no_grad():
        reference = module(torch.from_numpy(example)).numpy()

    def plain(_: int) -> object:
        with torch.no_grad():
            return module(torch.from_numpy(example))

    base = float(np.median(clicks(plain, 20)))
    rows: list[tuple[object, ...]] = [("as the release writes it", base, 1.0, 0.0)]
    for name in ("eager", "auto"):
        engine = prepare(network, engine=name, device="cpu", tolerance=tolerance)
        spent = float(np.median(clicks(lambda n, run=engine: run(example), 20)))
        off = float(np.abs(np.asarray(engine(example)) - reference).max() * CHROMA_SCALE)
        rows.append((f"{name} ({engine.name})", spent, base / spent, off))
    print_table("The forward, CPU ms", ("", "ms", "ratio", "off in a and b, at most"), rows)


def measure_folder() -> None:
    """A hundred photographs of 2 megapixels through the command's own steps."""
    job, hints = load(engine="auto"), some_hints(HINTS)
    job.predict(np.zeros((8, 8), np.uint8), hints)
    spent, started = np.zeros(4), time.perf_counter()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        Image.fromarray(photograph(2)).save(path, quality=92)
        for _ in range(FOLDER):
            spent += stages(job, path, hints)
    wall = time.perf_counter() - started
    header = ("decoding", "network", "merging", "encoding", "CPU s", "wall s")
    shares = [f"{100 * part / spent.sum():.0f} %" for part in spent]
    title = f"{FOLDER} photographs of 2 megapixels: shares of the CPU time"
    print_table(title, header, [(*shares, float(spent.sum() / 1e3), wall)])


def compare_peers() -> None:
    """The same hints without a network, on 112x112 cells."""
    job, levels, grid = load(engine="auto"), photograph(1), Shape(112, 1, False)
    lightness = look(levels, 112).lightness
    session = Session(job, levels)
    rows = []
    for count in (1, 10, 50, 200):
        hints = some_hints(count)
        placed = place(hints, lightness, grid)
        ours = np.median([cpu(lambda h=hints: session.chroma(h)) for _ in range(6)])
        fills = [
            np.median([cpu(lambda p=placed, f=f: f(lightness, p)) for _ in range(3)])
            for f in (nearest, levin)
        ]
        rows.append((count, float(ours), *map(float, fills)))
    print_table("Chroma from hints, CPU ms", ("hints", "ours", "nearest", "Levin"), rows)


def print_table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    lines = [list(header), *rows]
    lines.insert(1, ["---"] * len(lines[0]))
    print(f"\n{title}\n")
    for line in lines:
        cells = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in line)
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        one_file(Path(sys.argv[2]))
    else:
        measure_clicks()
        measure_page()
        measure_files()
        compare_official()
        compare_forward()
        compare_peers()
        measure_folder()
