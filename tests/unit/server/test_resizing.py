"""Resizing by our own loops gives Pillow's very pixels, for every size, filter and processor."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, _imaging

from model_server.vision import resampling, resizing
from model_server.vision.resampling import Box, Kind, Library, keep_in_one_piece
from model_server.vision.resizing import Resizer, by_pillow, choose, ours
from pressure.resample import compile_fuzzer

NATIVE = Path(__file__).resolve().parents[3] / "model-server" / "native"
METHODS = [
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
]


def _library() -> Library:
    try:
        return Library()
    except OSError:
        pytest.skip("the library in C was not compiled: there is no C compiler here")


def _kinds(library: Library) -> list[Kind]:
    return [kind for kind in Kind if Kind.NONE < kind <= library.best]


def _picture(width: int, height: int, seed: int) -> Image.Image:
    """Noise; for odd seeds of black and white alone, where sums leave 0 to 255 most often."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(np.where(noise > 127, 255, 0).astype(np.uint8) if seed % 2 else noise)


def _compare(
    image: Image.Image, size: tuple[int, int], method: Image.Resampling, box: Box | None = None
) -> None:
    library = _library()
    keep_in_one_piece()
    wanted = np.asarray(image.resize(size, method, box))
    for kind in _kinds(library):
        found = library.resize(image, size, method, kind, box)
        assert found is not None
        assert found.shape == wanted.shape
        assert np.array_equal(found, wanted), f"{kind.name}: {np.argwhere(found != wanted)[:3]}"


side = st.one_of(st.integers(1, 9), st.integers(1, 70), st.integers(1, 700))


@settings(max_examples=400, deadline=None)
@given(side, side, side, side, st.sampled_from(METHODS), st.integers(0, 9))
def test_any_size_by_any_filter(
    width: int, height: int, to_width: int, to_height: int, method: Image.Resampling, seed: int
) -> None:
    _compare(_picture(width, height, seed), (to_width, to_height), method)


@settings(max_examples=200, deadline=None)
@given(st.data(), side, side, side, side, st.sampled_from(METHODS))
def test_any_part_of_a_picture(
    data: st.DataObject, width: int, height: int, to_width: int, to_height: int,
    method: Image.Resampling,
) -> None:  # fmt: skip
    across = sorted(data.draw(st.lists(st.floats(0, width, width=32), min_size=2, max_size=2)))
    down = sorted(data.draw(st.lists(st.floats(0, height, width=32), min_size=2, max_size=2)))
    if across[1] - across[0] < 0.01 or down[1] - down[0] < 0.01:
        across, down = [0, width], [0, height]
    box = (across[0], down[0], across[1], down[1])
    _compare(_picture(width, height, 1), (to_width, to_height), method, box)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((1, 1), (1, 1)),
        ((1, 1), (300, 300)),
        ((300, 300), (1, 1)),
        ((16_384, 1), (3, 3)),
        ((1, 16_384), (3, 3)),
        ((16_384, 3), (1, 9)),
        ((2, 5000), (5000, 2)),
        ((640, 480), (300, 300)),
        ((480, 640), (300, 300)),  # a portrait: Pillow averages along its height first
        ((640, 480), (224, 224)),
        ((640, 480), (640, 300)),
        ((640, 480), (300, 480)),
        ((640, 480), (640, 480)),
        ((2048, 1536), (320, 320)),
        ((1537, 2049), (299, 299)),
    ],
)
def test_sizes_that_are_special(
    method: Image.Resampling, source: tuple[int, int], size: tuple[int, int]
) -> None:
    for seed in (0, 1):
        _compare(_picture(*source, seed), size, method)


def test_pictures_of_more_than_one_of_pillows_own_blocks() -> None:
    library = _library()
    keep_in_one_piece()
    image = _picture(2500, 1900, 0)  # 19 MB; Pillow's own blocks have 16
    resizer = ours(library, library.best)
    assert np.array_equal(
        resizer(image, 300, 300, "bicubic"),
        np.asarray(image.resize((300, 300), Image.Resampling.BICUBIC)),
    )


def test_a_picture_in_several_pieces_is_left_to_pillow() -> None:
    library = _library()
    before = _imaging.get_block_size()
    _imaging.set_block_size(4096)
    try:
        image = _picture(200, 100, 0).copy()
        resizer = Resizer(
            "ours",
            lambda picture, size, method: library.resize(picture, size, method, library.best),
        )
        assert library.resize(image, (9, 9), Image.Resampling.BICUBIC, library.best) is None
        expected = np.asarray(image.resize((9, 9), Image.Resampling.BICUBIC))
        assert np.array_equal(resizer(image, 9, 9, "bicubic"), expected)
    finally:
        _imaging.set_block_size(before)


@pytest.mark.parametrize("method", sorted(set(Image.Resampling) - set(METHODS)))
def test_other_methods_are_left_to_pillow(method: Image.Resampling) -> None:
    library = _library()
    assert library.resize(Image.new("RGB", (20, 20)), (9, 9), method, library.best) is None


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16", "F", "1"])
def test_other_modes_are_left_to_pillow(mode: str) -> None:
    library = _library()
    image = Image.new(mode, (20, 20))
    assert library.resize(image, (9, 9), Image.Resampling.BICUBIC, library.best) is None


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((0, 5), None),
        ((5, -1), None),
        ((5, 5), (0.0, 0.0, 21.0, 20.0)),
        ((5, 5), (-1.0, 0.0, 20.0, 20.0)),
        ((5, 5), (5.0, 0.0, 5.0, 20.0)),
        ((5, 5), (0.0, 7.0, 20.0, 3.0)),
        ((5, 5), (0.0, float("nan"), 20.0, 20.0)),
        ((5, 5), (0.0, 0.0, float("inf"), 20.0)),
        ((1 << 40, 1), None),
    ],
)
def test_sizes_and_boxes_that_are_impossible(size: tuple[int, int], box: Box | None) -> None:
    library = _library()
    with pytest.raises((ValueError, MemoryError)):
        library.resize(
            Image.new("RGB", (20, 20)), size, Image.Resampling.BICUBIC, library.best, box
        )


def test_the_picture_itself_stays_as_it_is_and_may_be_closed_afterwards() -> None:
    image = _picture(64, 48, 0)
    before = image.tobytes()
    pixels = choose()(image, 20, 30, "bicubic")
    kept = pixels.copy()
    assert image.tobytes() == before
    image.close()
    assert np.array_equal(pixels, kept)


def test_many_threads_at_a_time() -> None:
    resizer = choose()
    images = [_picture(200 + 7 * number, 150, number) for number in range(8)]
    expected = [np.asarray(image.resize((30, 40), Image.Resampling.BICUBIC)) for image in images]

    def wrong(number: int) -> int:
        found = [resizer(images[number], 30, 40, "bicubic") for _ in range(20)]
        return sum(not np.array_equal(pixels, expected[number]) for pixels in found)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(wrong, range(8))) == [0] * 8


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(64, 48), (20, 30), (100, 90)])
def test_whoever_resizes_gives_the_same(method: str, size: tuple[int, int]) -> None:
    image = _picture(64, 48, 0)
    wanted = np.asarray(image.resize(size, Image.Resampling[method.upper()]))
    for resizer in (choose("auto"), choose("pillow")):
        found = resizer(image, *size, method)
        assert found.dtype == np.uint8
        assert np.array_equal(found, wanted)


def test_the_settings_can_ask_for_pillow() -> None:
    assert choose("pillow").name == "Pillow"
    assert choose("pillow").reason == "the settings say so"


def test_without_a_library_pillow_resizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> Library:
        return Library(tmp_path / "none.so")

    monkeypatch.setattr(resizing, "Library", missing)
    found = choose.__wrapped__("auto")
    assert (found.name, found.reason) == ("Pillow", "the library in C was not compiled")


def test_a_file_that_is_no_library_or_of_another_version_is_not_used(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"\x7fELF and nothing else")
    with pytest.raises(OSError, match="damaged"):
        Library(damaged)
    with pytest.raises(OSError, match="version 0 instead of 1"):
        Library(Path(_imaging.__file__))


def test_a_processor_without_loops_has_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _library()
    library.best = Kind.NONE
    monkeypatch.setattr(resizing, "Library", lambda: library)
    assert choose.__wrapped__("auto").reason == "the processor has no AVX2"


def test_a_pillow_that_resizes_otherwise_is_noticed_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As version 13 did: its answers count, and ours would not be those of a plain script."""
    library = _library()
    real = library.resize

    def other(*asked: object, **named: object) -> object:
        pixels = real(*asked, **named)  # type: ignore[arg-type]
        assert pixels is not None
        return pixels ^ 1

    monkeypatch.setattr(library, "resize", other)
    found = ours(library, library.best)
    assert found.name == "Pillow"
    assert found.reason.startswith("this version resizes otherwise (bilinear from")


def test_the_c_sources_under_sanitizers(tmp_path: Path) -> None:
    """A bounded part of `python -m pressure.resample`."""
    _library()
    try:
        fuzzer = compile_fuzzer(tmp_path)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        if not isinstance(error, FileNotFoundError) and "-lasan" not in error.stderr:
            raise AssertionError(error.stderr) from error
        pytest.skip("there is no compiler with sanitizers here")
    done = subprocess.run(
        [str(fuzzer), "1000", "3"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1000 pictures: ")


def test_no_compiler_is_no_error(tmp_path: Path) -> None:
    target = tmp_path / "libresample.so"
    done = subprocess.run(
        [sys.executable, str(NATIVE / "build.py"), str(target)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no C compiler" in done.stdout
    assert not target.exists()


def test_a_compiler_that_was_asked_for_must_work(tmp_path: Path) -> None:
    target = tmp_path / "libresample.so"
    done = subprocess.run(
        [sys.executable, str(NATIVE / "build.py"), str(target), "--compiler", "false"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Pillow" in done.stdout


def test_pillow_by_name() -> None:
    assert by_pillow().reason == ""
    assert resampling.LIBRARY.name == "libresample.so"
