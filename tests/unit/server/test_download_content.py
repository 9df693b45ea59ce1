"""What a downloaded file is: by its name, and by its bytes where the name says nothing."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from model_server.download.content import name_model, recognize
from model_server.download.errors import ModelNotFound


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


TFLITE = b"\x1c\0\0\0TFL3" + b"\0" * 64
H5 = b"\x89HDF\r\n\x1a\n" + b"\0" * 64
KERAS = zipped("config.json", "metadata.json", "model.weights.h5")


@pytest.mark.parametrize(
    ("names", "content", "kind"),
    [
        (("a.tflite",), TFLITE, "tflite"),
        (("download",), TFLITE, "tflite"),
        (("", "suggested.tflite"), TFLITE, "tflite"),
        (("a.H5",), H5, "h5"),
        (("a.hdf5",), H5, "h5"),
        (("1",), H5, "h5"),
        (("a.keras",), KERAS, "keras"),
        (("a.keras",), H5, "keras"),
        (("model",), KERAS, "keras"),
        (("a.zip",), KERAS, "zip"),
        (("a.zip",), zipped("b"), "zip"),
        (("1",), zipped("b"), "zip"),
        (("a.tar",), tarred(), "tar"),
        (("a.tar",), b"a" + b"\0" * 1023, "tar"),
        (("a.TGZ",), gzip.compress(tarred()), "tar.gz"),
        (("a.tar.gz",), gzip.compress(b""), "tar.gz"),
        (("1",), gzip.compress(tarred()), "tar.gz"),
    ],
)
def test_kinds(names: tuple[str, ...], content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert recognize(path, names, "https://host/x") == kind


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.tflite", b"<!DOCTYPE html><p>sign in", "should be a tflite file, but it is a web page"),
        ("a.tflite", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("a.tflite", b"", "it is empty"),
        ("a.tflite", H5, "should be a tflite file, but it is a h5 file"),
        ("a.zip", TFLITE, "should be a zip file, but it is a tflite file"),
        ("a.h5", b'{"error": "x"}', "it is JSON"),
        ("a.keras", TFLITE, "should be a keras file"),
        ("index", b"\n <html>", "is a web page; storageUri must lead to"),
        ("a.xz", b"\xfd7zXZ\x00", "an .xz archive; .zip, .tar and .tar.gz can be read"),
        ("labels.txt", b"secret of another team", "is no kind of file that is known here"),
    ],
)
def test_what_is_no_model(name: str, content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ModelNotFound) as caught:
        recognize(path, (name,), "https://host/x")
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value), "content must not be quoted"


def test_the_name_of_a_model() -> None:
    assert name_model(("a.tflite", "b.tflite"), "tflite") == "a.tflite"
    assert name_model(("download", "b.tflite"), "tflite") == "b.tflite"
    assert name_model(("download", ""), "h5") == "model.h5"
    assert name_model(("a.zip",), "keras") == "model.keras"
