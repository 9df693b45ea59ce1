"""Which pictures a command line means, and where each one's result goes."""

from pathlib import Path, PurePath

import pytest

from inference_client.errors import UnreadablePicture
from inference_client.pictures import find_inputs


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def targets(*paths: Path, output: Path) -> list[str]:
    found = find_inputs([str(path) for path in paths], output, "jpg")
    return [str(item.target("jpg")) for item in found]


def test_one_picture(tmp_path: Path) -> None:
    touch(tmp_path, "street.png")
    (item,) = find_inputs([str(tmp_path / "street.png")], tmp_path / "outputs", "jpg")
    assert item.source == tmp_path / "street.png"
    assert item.target("jpg") == PurePath("street_output.jpg")


def test_standard_input() -> None:
    (item,) = find_inputs(["-"], Path("outputs"), "png")
    assert item.source is None
    assert item.target("png") == PurePath("stdin_output.png")


def test_a_folder_is_searched_and_its_shape_kept(tmp_path: Path) -> None:
    touch(tmp_path, "in/b.JPG", "in/a.png", "in/sub/c.webp", "in/notes.txt", "in/.cache/x.jpg")
    assert targets(tmp_path / "in", output=tmp_path / "out") == [
        "a_output.jpg",
        "b_output.jpg",
        "sub/c_output.jpg",
    ]


def test_equal_names_do_not_replace_each_other(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.jpg", "one/a.png", "two/a.jpg")
    found = targets(tmp_path / "one", tmp_path / "two", output=tmp_path / "out")
    assert found == ["a.jpg_output.jpg", "a.png_output.jpg", "a.jpg_2_output.jpg"]


def test_a_second_run_does_not_take_results_for_pictures(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a_output.jpg", "outputs/b_output.jpg")
    assert targets(tmp_path, output=tmp_path / "outputs") == [
        "a_output.jpg",
        "a_output_output.jpg",
    ]
    assert targets(tmp_path, output=tmp_path) == ["a_output.jpg", "outputs/b_output_output.jpg"]


def test_one_result_can_be_sent_when_it_is_asked_for_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a_output.jpg")
    assert targets(tmp_path / "a_output.jpg", output=tmp_path) == ["a_output_output.jpg"]


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path: Path) -> None:
    path = Path(f"{tmp_path}/caf\udce9.jpg")
    path.write_bytes(b"x")
    (item,) = find_inputs([str(tmp_path)], tmp_path / "out", "jpg")
    assert item.name.encode().endswith("caf\N{REPLACEMENT CHARACTER}.jpg".encode())


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match=r"nowhere.jpg: no such file or folder"):
        find_inputs(["nowhere.jpg"], tmp_path, "jpg")


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(UnreadablePicture, match=r"the folder .* contains no pictures .*\.png"):
        find_inputs([str(tmp_path)], tmp_path / "out", "jpg")
