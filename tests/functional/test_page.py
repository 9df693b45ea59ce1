"""The page at `/` and the documentation at `/docs`, in a real browser that reaches nothing else."""

from __future__ import annotations

import base64
import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from support.browser import browser, context
from support.model_server import (
    COCO,
    COCO_LABELS,
    DATA,
    IMAGENET,
    IMAGENET_LABELS,
    NO_DATA,
    RunningServer,
    model_server,
)

pytestmark = pytest.mark.xdist_group("page")
needs_data = [pytest.mark.skipif(not COCO.exists(), reason=NO_DATA), pytest.mark.real_data]
# Machines that run tests are busy; nothing here is about speed.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def bundled() -> Iterator[RunningServer]:
    with model_server() as server:
        yield server


@pytest.fixture(scope="module")
def coco() -> Iterator[RunningServer]:
    with model_server(model=COCO, labels=COCO_LABELS, name="coco") as server:
        yield server


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A detector and a classifier in one server."""
    folder = tmp_path_factory.mktemp("models")
    for name, model, labels in (("coco", COCO, COCO_LABELS), ("birds", IMAGENET, IMAGENET_LABELS)):
        (folder / name).mkdir()
        (folder / name / "model.tflite").symlink_to(model)
        (folder / name / "labels.txt").symlink_to(labels)
    with model_server(models_dir=folder) as server:
        yield server


@pytest.fixture
def page(chromium: Browser, bundled: RunningServer) -> Iterator[Page]:
    with opened(chromium, bundled) as made:
        yield made


@pytest.fixture
def coco_page(chromium: Browser, coco: RunningServer) -> Iterator[Page]:
    with opened(chromium, coco) as made:
        yield made


def opened(chromium: Browser, server: RunningServer, scheme: str = "light") -> Opened:
    return Opened(chromium, server, scheme)


class Opened:
    """The page of a server, loaded; the profile's own checks run when it is closed."""

    def __init__(self, chromium: Browser, server: RunningServer, scheme: str) -> None:
        self._context = context(chromium, server.url, scheme)
        self._url = server.url

    def __enter__(self) -> Page:
        page = self._context.__enter__().new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{self._url}/")
        page.wait_for_selector("body[data-ready]")
        return page

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)  # type: ignore[arg-type]


def screenshot(page: Page, name: str) -> None:
    """For people: with SCREENSHOTS=FOLDER the pictures are kept."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def pixel(page: Page, x: int, y: int) -> list[int]:
    """One pixel of the canvas, red green blue."""
    script = """([x, y]) => {
        const context = document.getElementById("canvas").getContext("2d");
        return [...context.getImageData(x, y, 1, 1).data];
    }"""
    return list(page.evaluate(script, [x, y]))[:3]


# ---- what the server sends


def test_programs_get_liveness_and_browsers_the_page(bundled: RunningServer) -> None:
    for accept in (None, "*/*", "application/json"):
        answer = bundled.request("/", headers={"Accept": accept} if accept else {})
        assert answer.json() == {"status": "alive"}
        assert answer.headers["Vary"] == "Accept"
    answer = bundled.request("/", headers={"Accept": BROWSER_ACCEPT})
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["style.css", "page.js", "icon.svg"])
def test_static_files_are_not_sent_twice(name: str, bundled: RunningServer) -> None:
    first = bundled.request(f"/static/{name}")
    assert first.status == 200
    again = bundled.request(f"/static/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "name", ["none.js", "..%2Fserver.py", "%2e%2e/server.py", "", "/etc/passwd"]
)
def test_nothing_else_is_served(name: str, bundled: RunningServer) -> None:
    answer = bundled.request(f"/static/{name}")
    assert answer.status == 404
    assert "error" in answer.json()


def test_nothing_in_the_pages_leads_elsewhere() -> None:
    static = Path(__file__).parents[2] / "model-server" / "model_server" / "http" / "static"
    for path in static.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        for word in ("http://", "https://", "//cdn", "eval(", "innerHTML", "onclick="):
            found = [line for line in text.splitlines() if word in line and "https?:" not in line]
            assert not found, f"{path.name}: {word}"


def test_the_facts_of_a_model(bundled: RunningServer) -> None:
    (model,) = bundled.request("/page/models.json").json()["models"]
    assert (model["task"], model["format"]) == ("detection", "tflite")
    assert len(model["digest"]) == 64
    assert "star" in model["labels"]


# ---- the page


def test_a_file_that_is_no_picture_is_told(page: Page) -> None:
    payload = FilePayload(name="x.jpg", mimeType="image/jpeg", buffer=b"no picture")
    page.set_input_files("#file", files=payload)
    expect(page.locator("#status.bad")).to_contain_text("picture")
    screenshot(page, "error")


def test_a_drawing_is_answered_after_every_stroke(page: Page) -> None:
    page.get_by_role("button", name="Draw something").click()
    area = page.locator("#canvas").bounding_box()
    assert area is not None
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    corners = [
        (x + r * math.sin(i * math.pi / 5), y - r * math.cos(i * math.pi / 5))
        for i in range(11)
        for r in [130 if i % 2 == 0 else 55]
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    expect(page.locator("#status")).to_contain_text(" ms")
    screenshot(page, "drawing")
    page.get_by_role("button", name="Wipe").click()
    assert pixel(page, 256, 126) == [255, 255, 255]


def test_the_camera_is_watched_until_a_picture_is_taken(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator("#status")).to_contain_text(" ms")
    screenshot(page, "camera")
    page.get_by_role("button", name="Take this picture").click()
    expect(page.get_by_role("button", name="Take this picture")).to_be_hidden()
    expect(page.locator("#status")).to_contain_text(" ms")
    page.get_by_role("button", name="Another picture").click()
    expect(page.get_by_text("Drop a picture here")).to_be_visible()


def test_a_picture_can_be_pasted_and_dropped(page: Page) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), (250, 10, 10)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    for event in ("paste", "drop"):
        page.evaluate(
            """async ([event, data]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], "x.png", { type: "image/png" }));
                const key = event === "paste" ? "clipboardData" : "dataTransfer";
                const kind = event === "paste" ? ClipboardEvent : DragEvent;
                dispatchEvent(new kind(event, { [key]: transfer, cancelable: true }));
            }""",
            [event, data],
        )
        expect(page.locator("#status")).to_contain_text(" ms")
        assert pixel(page, 30, 20) == [250, 10, 10]
        page.get_by_role("button", name="Another picture").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keyboard_and_small_screens(scheme: str, chromium: Browser, bundled: RunningServer) -> None:
    with opened(chromium, bundled, scheme) as page:
        page.set_viewport_size({"width": 390, "height": 800})
        screenshot(page, f"small-{scheme}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, "the page scrolls sideways"
        height = page.evaluate("document.documentElement.scrollHeight")
        assert height <= 800, "the first look at the page is longer than the screen"
        reached = set()
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate("document.activeElement.id || document.activeElement.tagName")
            )
        assert {"choose", "camera", "draw", "model"} <= reached


class TestWithRealModels:
    pytestmark = needs_data

    def test_boxes_list_slider_and_json(self, coco_page: Page) -> None:
        page = coco_page
        page.set_input_files("#file", DATA / "pets.jpg")
        expect(page.locator("#results li")).to_have_count(2)
        assert page.locator("#results .name").all_inner_texts() == ["dog", "dog"]
        expect(page.locator("#status")).to_contain_text("2 found in")
        screenshot(page, "detection")
        slide(page, 75)
        expect(page.locator("#results li")).to_have_count(1)
        slide(page, 5)
        assert page.locator("#results li").count() > 2
        document = json.loads(page.locator("#json").text_content() or "")
        assert document["detections"][0]["label"] == "dog"

    def test_the_boxes_are_where_the_server_says(self, coco_page: Page) -> None:
        page = coco_page
        page.set_input_files("#file", DATA / "pets.jpg")
        expect(page.locator("#results li")).to_have_count(2)
        document = json.loads(page.locator("#json").text_content() or "")
        left, _, _, bottom = document["detections"][0]["box"]
        with Image.open(DATA / "pets.jpg") as picture:
            plain = picture.convert("RGB").getpixel((round(left), round(bottom) - 40))
        assert plain != tuple(pixel(page, round(left), round(bottom) - 40))

    def test_saving_and_copying(self, coco_page: Page, coco: RunningServer, tmp_path: Path) -> None:
        page = coco_page
        page.set_input_files("#file", DATA / "pets.jpg")
        expect(page.locator("#results li")).to_have_count(2)
        with page.expect_download() as download:
            page.get_by_role("button", name="Save with boxes").click()
        download.value.save_as(tmp_path / "saved.png")
        with Image.open(tmp_path / "saved.png") as saved, Image.open(DATA / "pets.jpg") as sent:
            assert saved.size == sent.size
        page.get_by_text("The same from a terminal").click()
        page.locator("#copy-curl").click()
        expect(page.locator("#copy-curl")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert f"{coco.url}/v1/models/coco:predict" in copied

    def test_another_model_answers_the_same_picture(
        self, chromium: Browser, both: RunningServer
    ) -> None:
        with opened(chromium, both) as page:
            page.select_option("#model", label="birds (classification)")
            page.set_input_files("#file", DATA / "parrot.jpg")
            expect(page.locator("#results .name").first).to_have_text("macaw")
            expect(page.locator("#slider")).to_be_hidden()
            screenshot(page, "classification")
            page.select_option("#model", label="coco (detection)")
            expect(page.locator("#results .name").first).to_have_text("bird")
            page.get_by_text("About this model").click()
            expect(page.locator("#facts")).to_contain_text("person, bicycle, car")
            screenshot(page, "about")


def slide(page: Page, percent: int) -> None:
    page.locator("#threshold").fill(str(percent))
