"""From the page to the answer when one image is tried on a trained run, in a real browser and not.

ResNet-18 at 224 px, as a person would use it; its weights are of one epoch on a few drawn photos,
which takes the same time as any.
"""

from __future__ import annotations

import base64
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from bench.processes import free_port, started, wait_ready
from tuneboard import Client

ROUNDS = 15
CHROMIUM = "/usr/bin/chromium"
SPEC = {
    "dataset": {"name": "drawn"},
    "model": {"architecture": "resnet18", "weights": "none"},
    "training": {"epochs": 1, "batch_size": 8},
}
DROP = """async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], `${Math.random()}.jpg`, { type: "image/jpeg" }));
    const old = document.getElementById("try-answer");
    const before = performance.now();
    const shown = new Promise((resolve) => {
        const look = () => {
            const answer = document.getElementById("try-answer");
            const image = answer.querySelector("img");
            const isReady = answer !== old && answer.dataset.state === "succeeded";
            if (isReady && image?.complete) resolve();
            else requestAnimationFrame(look);
        };
        look();
    });
    document.querySelector("[data-drop]").dispatchEvent(
        new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    await shown;
    return (performance.now() - before) / 1000;
}"""


def measure() -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as folder:
        images, data = Path(folder) / "drawn", Path(folder) / "data"
        data.mkdir()
        _draw(images)
        os.environ["TUNEBOARD_DATA_ROOTS"] = folder
        runs = _train(data, images)
        photo = _photo(7)
        port = free_port()
        with started(["-m", "tuneboard", "up"], data, port):
            wait_ready(port)
            _wait_for_worker(port)
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=120) as http:
                first = _click(http, runs[0], photo)
                yield f"first click, nothing loaded: {first:.2f} s (at most 5)"
                second = _click(http, runs[1], photo)
                yield f"first click, another run's model loaded: {second:.2f} s"
                clicks = [_click(http, runs[1], photo) for _ in range(ROUNDS)]
                yield f"HTTP request to answer, model loaded: {_told(clicks)} (at most 0.5)"
            drops = _in_browser(address, runs[0], photo)
            yield f"drop to answer in Chromium, model loaded: {_told(drops)} (at most 0.5)"
    yield f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _train(data: Path, images: Path) -> list[int]:
    port = free_port()
    with started(["-m", "tuneboard", "up"], data, port):
        wait_ready(port)
        with Client(f"http://127.0.0.1:{port}") as client:
            client.add_dataset("drawn", "folder", str(images))
            made = [client.submit(SPEC)["id"] for _ in range(2)]
            for run_id in made:
                client.wait(run_id)
                ended: Any = client.run(run_id)
                if ended["status"] != "succeeded":
                    raise RuntimeError(f"run {run_id} {ended['status']}: {ended['failure']}")
    return made


def _wait_for_worker(port: int) -> None:
    """Wait until the interactive worker listens; its model server has not started then."""
    with Client(f"http://127.0.0.1:{port}") as client:
        while not any(worker["kind"] == "interactive" for worker in client.workers()):
            time.sleep(0.1)


def _click(http: httpx.Client, run_id: int, photo: bytes) -> float:
    """Return the seconds from sending an image to its percentages and its picture."""
    start = time.perf_counter()
    answer = http.post(
        f"/api/v1/runs/{run_id}/classify",
        params={"wait_s": 30},
        files={"file": ("photo.jpg", photo)},
    )
    answer.raise_for_status()
    job = answer.json()
    if job["state"] != "succeeded":
        raise RuntimeError(f"job {job['id']} is {job['state']}: {job['error']}")
    http.get(f"/api/v1/jobs/{job['id']}/images/seen.png").raise_for_status()
    return time.perf_counter() - start


def _in_browser(address: str, run_id: int, photo: bytes) -> list[float]:
    """Return the seconds from a drop to the answer with its picture, of each round."""
    from playwright.sync_api import sync_playwright

    text = base64.b64encode(photo).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}/runs/{run_id}/try")
        page.evaluate(DROP, text)
        page.wait_for_function("document.querySelectorAll('#try-modules option').length > 0")
        seconds = [float(page.evaluate(DROP, text)) for _ in range(ROUNDS)]
        browser.close()
    return seconds


def _told(seconds: list[float]) -> str:
    middle = statistics.median(seconds)
    return f"median {middle:.3f} s, {min(seconds):.3f} to {max(seconds):.3f}, {len(seconds)} times"


def _draw(folder: Path) -> None:
    for number in range(16):
        name = folder / ("light" if number % 2 else "dark") / f"{number:02d}.jpg"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(_photo(number))


def _photo(number: int) -> bytes:
    """Return a noisy JPEG file of 1600 × 1200 pixels."""
    chance = random.Random(number)  # noqa: S311 - pixels, not secrets
    base = 150 if number % 2 else 60
    pixels = bytes(base + chance.randrange(80) for _ in range(160 * 120 * 3))
    image = Image.frombytes("RGB", (160, 120), pixels).resize((1600, 1200))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()
