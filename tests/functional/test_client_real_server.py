"""The client and the real server together: every way the command asks, in both forms of answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from PIL import Image

from inference_client import Client, RequestRefused
from inference_client.command import main
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

needs_data = pytest.mark.skipif(not COCO.exists(), reason=NO_DATA)
ARTICLE = DATA / "article_1920x1281.jpg"


@pytest.fixture(scope="module")
def bundled() -> Iterator[RunningServer]:
    with model_server(name="detector") as server:
        yield server


@pytest.fixture(scope="module")
def coco() -> Iterator[RunningServer]:
    with model_server(model=COCO, labels=COCO_LABELS, name="coco") as server:
        yield server


@pytest.fixture(scope="module")
def imagenet() -> Iterator[RunningServer]:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS, name="imagenet") as server:
        yield server


def jpeg(width: int = 64, height: int = 48) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_the_richer_answer(bundled: RunningServer) -> None:
    with Client(bundled.url) as client:
        result = client.detect(jpeg(), annotated="png", score_threshold=0, max_boxes=3)
    assert (result.width, result.height) == (64, 48)
    assert len(result.detections) <= 3
    assert all(detection.box is not None for detection in result.detections)
    assert result.picture is not None
    with Image.open(io.BytesIO(result.picture.encode("png"))) as picture:
        assert (picture.size, picture.format) == ((64, 48), "PNG")


def test_no_picture_when_none_is_wanted(bundled: RunningServer) -> None:
    with Client(bundled.url) as client:
        assert client.detect(jpeg(), annotated=None).picture is None


def test_the_articles_form_gives_the_same(bundled: RunningServer) -> None:
    class ArticlePool(urllib3.PoolManager):
        """Asks as the article's client does: no Accept header, no query."""

        def request(self, method: str, url: str, *_: Any, **how: Any) -> urllib3.BaseHTTPResponse:
            how["headers"] = {"Content-Type": "image/jpeg"}
            return super().request(method, url.partition("?")[0], **how)

    with Client(bundled.url) as ours, ArticlePool() as pool:
        theirs = Client(bundled.url, transport=pool)
        one, other = ours.detect(jpeg()), theirs.detect(jpeg())
    assert [item.article_form for item in one.detections] == [
        item.article_form for item in other.detections
    ]
    assert one.image_size == other.image_size == "size=64x48"
    assert other.picture is not None
    assert other.picture.pixels is not None


def test_a_trailing_slash_in_the_address(bundled: RunningServer) -> None:
    with Client(f"{bundled.url}/") as client:
        assert client.detect(jpeg()).width == 64


def test_the_servers_words_reach_the_user(bundled: RunningServer) -> None:
    with Client(bundled.url) as client:
        with pytest.raises(RequestRefused) as caught:
            client.detect(b"no picture")
        assert caught.value.code in {"InvalidImage", "UnsupportedMediaType"}
        with pytest.raises(RequestRefused) as caught:
            client.classify(jpeg())
        assert caught.value.code == "WrongTask"


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str
) -> str:
    monkeypatch.chdir(folder)
    assert main(list(words)) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@needs_data
@pytest.mark.real_data
def test_the_articles_command_on_the_articles_picture(
    coco: RunningServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--address", coco.url, "--image_path", str(ARTICLE), "--output_dir", "outputs/")
    lines = run(capsys, monkeypatch, tmp_path, *words).splitlines()
    assert lines[0].startswith("Detections are: [{'person': '6")
    assert lines[1:] == [
        "the image size is: size=1920x1281",
        "the image is being written in outputs/",
    ]
    with Image.open(tmp_path / "outputs" / "article_1920x1281_output.jpg") as picture:
        assert picture.size == (1920, 1281)


@needs_data
@pytest.mark.real_data
def test_a_folder_as_csv_and_json(
    coco: RunningServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("cat_720p.jpg", "pets.jpg", "parrot.jpg"):
        (tmp_path / name).symlink_to(DATA / name)
    words = ("-a", coco.url, "-i", ".", "--format", "csv,json", "--score_threshold", "0.5")
    run(capsys, monkeypatch, tmp_path, *words)
    with (tmp_path / "outputs" / "detections.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["picture"], row["label"]) for row in rows} >= {
        ("cat_720p.jpg", "cat"),
        ("pets.jpg", "dog"),
        ("parrot.jpg", "bird"),
    }
    assert all(float(row["xmin"]) < float(row["xmax"]) <= float(row["width"]) for row in rows)
    document = json.loads((tmp_path / "outputs" / "detections.json").read_text())
    assert [entry["picture"] for entry in document] == ["cat_720p.jpg", "parrot.jpg", "pets.jpg"]
    assert not list((tmp_path / "outputs").glob("*.jpg"))


@needs_data
@pytest.mark.real_data
def test_a_classification(
    imagenet: RunningServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("-a", imagenet.url, "--classify", "-i", str(DATA / "parrot.jpg"), "--top_k", "2")
    printed = run(capsys, monkeypatch, tmp_path, *words)
    assert printed.startswith("Predictions are: [{'label': 'macaw'")
    assert printed.count("label") == 2
