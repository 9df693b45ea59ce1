"""A model's path that does not exist: the message says what is there instead."""

from pathlib import Path

import pytest

from model_server.errors import InvalidModel
from model_server.models.source import find_model


@pytest.mark.parametrize("missing", ["detect.tflite", "v1/detect.tflite", "a/b/c"])
def test_the_nearest_folder_is_listed(tmp_path: Path, missing: str) -> None:
    for name in ("coco", "birds"):
        (tmp_path / name).mkdir()
    (tmp_path / ".hidden").touch()
    with pytest.raises(InvalidModel) as caught:
        find_model(str(tmp_path / missing))
    assert caught.value.message == (
        f"model: there is no file or folder {tmp_path / missing}; {tmp_path} contains birds, coco"
    )


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}").mkdir()
    with pytest.raises(InvalidModel, match=r"contains 00, 01, .*09 and 20 more$"):
        find_model(str(tmp_path / "model"))


def test_an_empty_volume_is_called_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"is empty$"):
        find_model(str(tmp_path / "model"))


def test_a_file_on_the_way_and_the_root_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "model", Path("/no_such_folder_anywhere")):
        with pytest.raises(InvalidModel, match=rf"there is no file or folder {path}$"):
            find_model(str(path))
