"""A pool of drawn pictures on disk, so that training waits for no pen and a crash loses nothing.

A pool is a cache: its folder is named after the generator's sources, its kind and its seeds, so a
changed generator never meets old pictures. It knows nothing of networks, nor imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from . import draw
from .draw import MOST_FIGURES

Kind = Literal["scene", "single"]
#: What to draw, the file to keep it in, the first seed.
_Chunk = tuple[Kind, Path, int]

#: Seeds are drawn and kept in files of so many, from the first seed on.
_CHUNK = 250
_SOURCES = (
    "outlines.py",
    "shapes.py",
    "sketches.py",
    "pens.py",
    "grounds.py",
    "distractors.py",
    "draw.py",
)


def _fingerprint() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:12]


def _alone() -> None:
    cv2.setNumThreads(1)  # The workers are the threads.


def _draw_scene(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return a scene's picture and its figures, one row each: the box, then the class; -1 pads."""
    scene = draw.scene(seed)
    truth = np.full((MOST_FIGURES, 5), -1, np.float32)
    truth[: len(scene.boxes), :4] = scene.boxes
    truth[: len(scene.boxes), 4] = scene.classes
    return scene.image, truth


def _draw_single(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    image, label = draw.single(seed)
    return image, np.array([label], np.float32)


_DRAW = {"scene": _draw_scene, "single": _draw_single}


def _chunks(kind: Kind, folder: Path, first: int, count: int) -> list[_Chunk]:
    """Return the files that hold the seeds from `first` on, each of `_CHUNK` seeds or fewer."""
    return [
        (kind, folder / f"{at:08d}-{min(_CHUNK, first + count - at)}.npz", at)
        for at in range(first, first + count, _CHUNK)
    ]


def _draw_chunk(chunk: _Chunk) -> None:
    kind, target, first = chunk
    count = int(target.stem.split("-")[1])
    drawn = [_DRAW[kind](seed) for seed in range(first, first + count)]
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as file:
        np.savez(
            file, images=np.stack([d[0] for d in drawn]), truths=np.stack([d[1] for d in drawn])
        )
    partial.rename(target)


def _draw_missing(chunks: list[_Chunk], workers: int) -> None:
    missing = [chunk for chunk in chunks if not chunk[1].exists()]
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_alone) as crew:
        for done, _ in enumerate(crew.imap_unordered(_draw_chunk, missing), start=1):
            left = (time.monotonic() - started) / done * (len(missing) - done)
            print(f"drew {done} of {len(missing)} files, {left:.0f} s to go", flush=True)


def pool(
    kind: Kind, first: int, count: int, cache: Path, workers: int = 2
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return the pictures with seeds first to first + count - 1, drawing those not yet on disk.

    Returns:
        Pictures (count, side, side, 3) uint8 RGB, and truths: (count, MOST_FIGURES, 5) for scenes
        (ymin, xmin, ymax, xmax, class; rows of -1 are padding), (count, 1) for singles.
    """
    folder = cache / f"{kind}-{_fingerprint()}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [file for _, file, _ in _chunks(kind, folder, first, count)]
    if not all(file.exists() for file in files):
        # A process of its own: the workers load the main module, which may hold TensorFlow.
        command = [sys.executable, "-m", "training.pool", kind, str(folder)]
        subprocess.run([*command, str(first), str(count), str(workers)], check=True)
    side = draw.SCENE_SIDE if kind == "scene" else draw.SINGLE_SIDE
    images = np.empty((count, side, side, 3), np.uint8)
    truths = []
    for number, file in enumerate(files):
        with np.load(file) as part:
            images[number * _CHUNK :][: len(part["images"])] = part["images"]
            truths.append(part["truths"])
    return images, np.concatenate(truths)


def _recoloured(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the picture with its channels in another order or negative: no class has a colour."""
    if rng.random() < 0.6:
        image = image[..., rng.permutation(3)]
    return 255 - image if rng.random() < 0.15 else image


def varied_scenes(
    images: npt.NDArray[np.uint8], truths: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return a batch of scenes mirrored, transposed and recoloured at random.

    Every class is drawn at any angle and mirrored, so all eight symmetries of the square keep the
    truth true.
    """
    images, truths = images.copy(), truths.copy()
    for index, rows in enumerate(truths):
        image, known = images[index], rows[:, 4] >= 0
        if rng.random() < 0.5:
            image = image[:, ::-1]
            rows[known, 1], rows[known, 3] = 1 - rows[known, 3], 1 - rows[known, 1]
        if rng.random() < 0.5:
            image = image[::-1]
            rows[known, 0], rows[known, 2] = 1 - rows[known, 2], 1 - rows[known, 0]
        if rng.random() < 0.5:
            image = image.transpose(1, 0, 2)
            rows[:, :4] = rows[:, [1, 0, 3, 2]]
        images[index] = _recoloured(image, rng)
    return images, truths


def varied_singles(
    images: npt.NDArray[np.uint8], truths: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return a batch of single figures mirrored and recoloured (a house is never upside down)."""
    images = images.copy()
    for index, image in enumerate(images):
        mirrored = image[:, ::-1] if rng.random() < 0.5 else image
        images[index] = _recoloured(mirrored.copy(), rng)
    return images, truths


if __name__ == "__main__":
    _kind, _folder, _first, _count, _workers = sys.argv[1:]
    _draw_missing(
        _chunks(cast("Kind", _kind), Path(_folder), int(_first), int(_count)), int(_workers)
    )
