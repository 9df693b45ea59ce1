"""The command `inference-client` and `python client.py`, as processes, against a scripted server.

What the real server answers is tested where the real server is; here are the printed lines, the
written files and the exit statuses.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_client.command import main
from support.loopback import LoopbackServer, Reply, Request, loopback_server

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "model-server" / "client" / "client.py"


def jpeg(colour: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (colour, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def detect(request: Request) -> Reply:
    """Answers as the article's server does: the picture back, as nested lists."""
    if not request.body.startswith(b"\xff\xd8"):
        error = {"error": "this is not a picture", "code": "InvalidImage"}
        return Reply(400, json.dumps(error).encode())
    pixels = np.asarray(Image.open(io.BytesIO(request.body)))[:, :, ::-1]
    answer = {
        "detections": [{"person": "79%"}, {"chair": "34%"}],
        "image size": f"size={pixels.shape[1]}x{pixels.shape[0]}",
        "image data": pixels.tolist(),
    }
    return Reply(body=json.dumps(answer).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server(detect) as running:
        yield running


Command = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `python client.py ARGUMENTS` in an empty folder."""

    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, str(CLIENT), *arguments],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )

    return run


def test_the_articles_lines_byte_for_byte(
    server: LoopbackServer, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg())
    done = command("--address", server.url, "--image_path", "x.jpg", "--output_dir", "outputs/")
    assert done.stderr == b""
    assert done.stdout == (
        b"Detections are: [{'person': '79%'}, {'chair': '34%'}]\n"
        b"the image size is: size=8x6\n"
        b"the image is being written in outputs/\n"
    )
    assert done.returncode == 0
    with Image.open(tmp_path / "outputs" / "x_output.jpg") as picture:
        assert picture.size == (8, 6)


def test_the_console_script_is_the_same_command(server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg())
    script = Path(sys.executable).with_name("inference-client")
    done = subprocess.run(
        [script, "-a", server.url, "-i", "x.jpg", "-o", "here", "--picture_format", "png"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert done.stdout.endswith(b"the image is being written in here\n")
    with Image.open(tmp_path / "here" / "x_output.png") as picture:
        assert picture.format == "PNG"


def test_a_folder_with_every_output(
    server: LoopbackServer, command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b", "c", "d", "e", "f"):
        (folder / f"{name}.jpg").write_bytes(jpeg())
    (folder / "bad.jpg").write_bytes(b"no picture")
    done = command(
        *("-a", server.url, "-i", "photos", "-o", "out", "--concurrency", "3"),
        *("--format", "picture,json,csv"),
    )
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    found = "[{'person': '79%'}, {'chair': '34%'}]"
    assert lines[0] == f"photos/a.jpg: {found} written to out/a_output.jpg"
    assert lines[-1] == "6 of 7 pictures processed"
    assert done.stderr.decode() == (
        f"inference-client: photos/bad.jpg: {server.url}/object_detection returned "
        "400 Bad Request: this is not a picture\n"
    )
    out = tmp_path / "out"
    assert sorted(path.name for path in out.glob("*.jpg")) == [f"{n}_output.jpg" for n in "abcdef"]
    document = json.loads((out / "detections.json").read_text())
    assert [entry["picture"] for entry in document] == [
        f"photos/{name}.jpg" for name in ("a", "b", "bad", "c", "d", "e", "f")
    ]
    assert "not a picture" in document[2]["error"]
    with (out / "detections.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 6 + 1
    assert (rows[0]["label"], rows[0]["score"], rows[0]["width"]) == ("person", "0.79", "8")


def test_a_pipe_in_and_a_document_out(server: LoopbackServer, command: Command) -> None:
    done = command("-a", server.url, "-i", "-", "-o", "-", "--format", "json", stdin=jpeg())
    (entry,) = json.loads(done.stdout)
    assert entry["picture"] == "standard input"
    assert b"Detections are: " in done.stderr
    assert server.requests[0].path == "/object_detection"


def test_a_classification(command: Command, tmp_path: Path) -> None:
    body = b'{"predictions": [{"label": "beagle", "probability": 0.98765}], "success": true}'
    (tmp_path / "dog.png").write_bytes(jpeg())
    with loopback_server(lambda _: Reply(body=body)) as server:
        done = command("-a", server.url, "--classify", "-i", "dog.png", "--format", "csv")
    assert done.stdout.startswith(
        b"Predictions are: [{'label': 'beagle', 'probability': 0.9877}]\n"
    )
    written = (tmp_path / "outputs" / "predictions.csv").read_text()
    assert "dog.png,,,beagle,0.98765" in written


def test_quiet(server: LoopbackServer, command: Command, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg())
    done = command("-a", server.url, "-i", "x.jpg", "-q")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
    assert (tmp_path / "outputs" / "x_output.jpg").exists()


def assert_one_line(stderr: str, complaint: str) -> None:
    (line,) = stderr.splitlines()
    assert line.startswith("inference-client: ")
    assert complaint in line


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("-a http://127.0.0.1:1 -i x.jpg", "cannot reach http://127.0.0.1:1: connection refused"),
        ("-a ftp://x -i x.jpg", "must start with http:// or https://"),
        ("-a SERVER -i no.jpg", "no.jpg: no such file"),
        ("-a SERVER -i empty", "empty is empty"),
        ("-a SERVER -i bad.jpg", "returned 400 Bad Request: this is not a picture"),
        ("-a SERVER -i x.jpg -o empty", "cannot write empty/x_output.jpg: "),
        ("-a SERVER -i x.jpg -o empty --format csv", "cannot write empty"),
    ],
)
def test_errors_are_one_line_each(
    arguments: str,
    complaint: str,
    server: LoopbackServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jpg").write_bytes(jpeg())
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "empty").write_bytes(b"")
    words = arguments.replace("SERVER", server.url).split()
    assert main([*words, "--retries", "0"]) == 1
    assert_one_line(capsys.readouterr().err, complaint)


def test_an_error_of_the_process(server: LoopbackServer, command: Command) -> None:
    done = command("-a", server.url, "-i", "-")
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), "standard input is empty")


def test_retries_are_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg())
    waiting = iter([Reply(503, headers={"Retry-After": "0"})])
    with loopback_server(lambda request: next(waiting, None) or detect(request)) as server:
        done = command("-a", server.url, "-i", "x.jpg")
    assert done.returncode == 0
    assert done.stderr == b"inference-client: the server is busy (503); retrying\n"


def test_no_server_ends_a_whole_folder_at_once(command: Command, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg())
    done = command("-a", "http://127.0.0.1:1", "-i", ".", "--retries", "0", "--format", "json")
    assert done.returncode == 1
    assert_one_line(done.stderr.decode(), "cannot reach http://127.0.0.1:1")
    (entry,) = json.loads((tmp_path / "outputs" / "detections.json").read_text())
    assert "cannot reach" in entry["error"]


def test_many_pictures_are_in_flight_but_no_more_than_asked(
    command: Command, tmp_path: Path
) -> None:
    for number in range(12):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg())
    lock = threading.Lock()
    meeting = threading.Barrier(3)
    in_flight: list[int] = []
    most: list[int] = []

    def script(request: Request) -> Reply:
        with lock:
            in_flight.append(1)
            most.append(len(in_flight))
        meeting.wait(timeout=30)  # three requests must be here at the same time, four times over
        with lock:
            in_flight.pop()
        return detect(request)

    with loopback_server(script) as server:
        done = command("-a", server.url, "-i", ".", "--concurrency", "3", "-q")
    assert done.returncode == 0
    assert max(most) == 3


def test_a_bar_on_a_terminal_and_none_elsewhere(server: LoopbackServer, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg())
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [sys.executable, str(CLIENT), "-a", server.url, "-i", "."],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    output, _ = process.communicate(timeout=60)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 65536):
            shown += block
    except OSError:  # Linux says EIO when nobody holds the other end any more
        pass
    os.close(ours)
    assert b"3/3" in shown
    assert b"picture/s" in shown
    assert output.endswith(b"3 of 3 pictures processed\n")


def test_a_reader_that_goes_away_is_no_error_to_tell(
    server: LoopbackServer, tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg())
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, str(CLIENT), "-a", server.url, "-i", "x.jpg"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
