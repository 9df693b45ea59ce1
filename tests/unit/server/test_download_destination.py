"""The model's folder: complete, or not there."""

import json
from pathlib import Path

import pytest

from model_server.download.destination import MARKER, WORK, Destination
from model_server.download.errors import DownloadFailed


def put(destination: Destination, *names: str) -> None:
    for name in names:
        path = destination.content / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_publish(tmp_path: Path) -> None:
    destination = Destination(tmp_path / "models")
    destination.prepare()
    put(destination, "a.tflite", "labels/x.txt")
    assert names(tmp_path / "models") == [WORK]
    destination.publish({"uri": "https://host/a"})
    assert names(tmp_path / "models") == [MARKER, "a.tflite", "labels"]
    marker = json.loads((tmp_path / "models" / MARKER).read_text())
    assert marker == {"uri": "https://host/a", "entries": ["a.tflite", "labels"]}
    assert destination.published() == marker


def test_a_second_model_replaces_the_first(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    for name in ("a.tflite", "b.tflite"):
        destination.prepare()
        put(destination, name)
        destination.publish({})
    assert names(tmp_path) == [MARKER, "b.tflite"]


def test_a_fresh_volume_is_empty_enough(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    Destination(tmp_path).prepare()


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DownloadFailed, match=r"is not empty \(it has notes.txt\)"):
        Destination(tmp_path).prepare()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_crash_while_publishing_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = Destination(tmp_path)
    destination.prepare()
    put(destination, "a.tflite", "b.txt")
    rename = Path.rename

    def fail_at_b(self: Path, target: Path) -> Path:
        if self.name == "b.txt":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_at_b)
    with pytest.raises(KeyboardInterrupt):
        destination.publish({})
    monkeypatch.undo()
    assert names(tmp_path) == [WORK, "a.tflite"]
    assert destination.published() == {}
    destination.prepare()
    assert names(tmp_path) == [WORK]


def test_parts_survive_a_restart(tmp_path: Path) -> None:
    first = Destination(tmp_path)
    first.prepare()
    (first.parts / "x").write_text("part")
    put(first, "half")
    second = Destination(tmp_path)
    second.prepare()
    assert (second.parts / "x").read_text() == "part"
    assert not second.content.exists()


@pytest.mark.parametrize(
    "marker", ["", "{", "[]", "{}", '{"entries": 1}', '{"entries": []}', '{"entries": ["gone"]}']
)
def test_a_marker_that_does_not_hold_is_none(marker: str, tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text(marker)
    assert Destination(tmp_path).published() == {}
    Destination(tmp_path).prepare()


def test_a_forged_marker_removes_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    folder = tmp_path / "models"
    (folder / WORK).mkdir(parents=True)
    forged = json.dumps({"entries": ["../mine", "/etc", "..", ".", ""]})
    (folder / WORK / "publishing.json").write_text(forged)
    (folder / MARKER).write_text(forged)
    destination = Destination(folder)
    destination.prepare()
    put(destination, "a")
    destination.publish({})
    assert (tmp_path / "mine").read_text() == "mine"
