"""Small graphs that hypothesis makes up: range x scaling x body x outputs x labels x form.

Run as a program: `python -m zoo.build_random FOLDER [COUNT]`. The author of each model feeds it
one of three ranges, and its graph brings that to one of the ranges that networks are trained on,
written in one of several ways. The examples are the same in every run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from zoo import plain
from zoo.build_toys import convert
from zoo.plain import Array, Shelf

L = keras.layers
FED = {"bytes": plain.as_it_is, "unit": plain.unit, "signed": plain.signed}
# What each of them is for pixels 0 and 255.
ENDS = {"bytes": (0.0, 255.0), "unit": (0.0, 1.0), "signed": (-1.0, 1.0)}
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# Lowest and highest value of each channel that the first layer was trained on.
WANTED = {
    "unit": ([0.0] * 3, [1.0] * 3),
    "signed": ([-1.0] * 3, [1.0] * 3),
    "half": ([-0.5] * 3, [0.5] * 3),
    "torch": (list(-MEAN / STD), list((1 - MEAN) / STD)),
    "caffe": ([-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]),
    "bytes": ([0.0] * 3, [255.0] * 3),
}


@dataclass(frozen=True)
class Graph:
    """One model to build."""

    side: int
    fed: str
    wanted: str
    written: str
    swapped: bool
    before: str
    body: str
    end: str
    labels: str
    form: str


GRAPHS = st.builds(
    Graph,
    side=st.sampled_from([16, 24]),
    fed=st.sampled_from(sorted(FED)),
    wanted=st.sampled_from(sorted(WANTED)),
    written=st.sampled_from(["multiply-add", "subtract-divide", "rescaling", "normalization"]),
    swapped=st.booleans(),
    before=st.sampled_from(["nothing", "augmentation", "resizing", "padding", "nested"]),
    body=st.sampled_from(["conv", "depthwise", "dense", "two-branches"]),
    end=st.sampled_from(["softmax", "logits", "sigmoids", "binary", "binary-logits"]),
    labels=st.sampled_from(["lines", "background", "from-0", "from-1", "json"]),
    form=st.sampled_from(["keras", "savedmodel", "tflite", "float16", "dynamic", "uint8"]),
)


def scaled(graph: Graph, x: Any) -> Any:
    """The range that is fed, brought to the range that is wanted."""
    if graph.swapped:
        x = keras.ops.stack([x[..., index] for index in (2, 1, 0)], axis=-1)
    low, high = (np.array(values) for values in WANTED[graph.wanted])
    fed_low, fed_high = ENDS[graph.fed]
    scale = (high - low) / (fed_high - fed_low)
    offset = low - fed_low * scale
    if np.allclose(scale, 1) and np.allclose(offset, 0):
        return x
    alike = np.ptp(scale) == 0 and np.ptp(offset) == 0
    if graph.written == "rescaling":
        same = (float(scale[0]), float(offset[0])) if alike else (scale.tolist(), offset.tolist())
        return L.Rescaling(*same)(x)
    if graph.written == "normalization":
        return L.Normalization(mean=-offset / scale, variance=1 / scale**2)(x)
    if graph.written == "subtract-divide":
        return (x - constant(-offset / scale, alike)) / constant(1 / scale, alike)
    return x * constant(scale, alike) + constant(offset, alike)


def constant(values: Array, alike: bool) -> Any:
    return float(values[0]) if alike else np.asarray(values, np.float32)


BEFORE: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda x: x,
    "augmentation": lambda x: L.RandomRotation(0.1)(L.RandomFlip()(x)),
    "resizing": L.Resizing(12, 12),
    "padding": L.ZeroPadding2D(1),
    "nested": lambda x: x,
}
BODIES: dict[str, Callable[[Any], Any]] = {
    "conv": lambda x: L.GlobalAveragePooling2D()(L.Conv2D(6, 3, activation="relu")(x)),
    "depthwise": lambda x: L.GlobalMaxPooling2D()(L.DepthwiseConv2D(3, activation="relu")(x)),
    "dense": lambda x: L.Dense(8, activation="relu")(L.Flatten()(x)),
    "two-branches": lambda x: L.Concatenate()(
        [L.GlobalAveragePooling2D()(L.Conv2D(3, 1)(x)), L.GlobalAveragePooling2D()(x)]
    ),
}
ENDINGS: dict[str, tuple[int, str | None]] = {
    "softmax": (3, "softmax"),
    "logits": (3, None),
    "sigmoids": (3, "sigmoid"),
    "binary": (1, "sigmoid"),
    "binary-logits": (1, None),
}


def build(graph: Graph, pictures: dict[str, Array]) -> keras.Model:
    """The model, its logits spread so that a wrong range shows."""
    keras.utils.set_random_seed(21)
    entry = keras.Input((graph.side, graph.side, 3))
    x = BEFORE[graph.before](entry)
    if graph.before == "nested":
        inner = keras.Input((graph.side, graph.side, 3))
        x = keras.Model(inner, scaled(graph, inner))(x)
    else:
        x = scaled(graph, x)
    features = BODIES[graph.body](x)
    count, activation = ENDINGS[graph.end]
    last = L.Dense(count)
    logits = last(features)
    model = keras.Model(entry, L.Activation(activation)(logits) if activation else logits)
    batch = np.stack([FED[graph.fed](p.astype(np.float32)) for p in pictures.values()])
    seen = keras.Model(entry, features)(batch, training=False).numpy()
    kernel = last.get_weights()[0]
    kernel = kernel * (1.5 / max(float(np.std((seen - seen.mean(0)) @ kernel)), 1e-6))
    last.set_weights([kernel, -(seen.mean(0) @ kernel)])
    return model


def label_file(graph: Graph, place: Path, count: int) -> None:
    """The same names, as one of the tools writes them."""
    names = [f"kind {letter}" for letter in "abc"][:count]
    text = {
        "lines": "\n".join(names),
        "background": "\n".join(["background", *names]),
        "from-0": "\n".join(f"{index} {name}" for index, name in enumerate(names)),
        "from-1": "\n".join(f"{index + 1}: {name}" for index, name in enumerate(names)),
    }
    if graph.labels == "json":
        document = ", ".join(f'"{name}": {index}' for index, name in enumerate(names))
        (place / "labels.json").write_text(f"{{{document}}}")
    else:
        (place / "labels.txt").write_text(text[graph.labels] + "\n")


def probabilities(graph: Graph, row: Array) -> Array:
    """What its author would tell of its output."""
    row = np.ravel(row).astype(np.float64)
    if graph.end == "logits":
        return np.asarray(tf.nn.softmax(row))
    if graph.end == "binary-logits":
        row = 1 / (1 + np.exp(-row))
    return np.array([1 - row[0], row[0]]) if graph.end.startswith("binary") else row


def place_on(shelf: Shelf, graph: Graph) -> None:
    """Builds, saves and asks one model."""
    name = f"{len(shelf.expected):03}-{graph.fed}-{graph.wanted}-{graph.form}-{graph.end}"
    pictures = plain.discs(graph.side, shelf.folder / "pictures" / str(graph.side))
    prepare = FED[graph.fed]
    model = build(graph, pictures)
    place = shelf.place(name, labels=())
    label_file(graph, place, 2 if graph.end.startswith("binary") else 3)
    step = 0.0
    if graph.form == "keras":
        model.save(place / "model.keras")
    elif graph.form == "savedmodel":
        model.export(place, verbose=False)
    else:
        content = convert(model, graph.form, prepare, pictures)
        (place / "model.tflite").write_bytes(content)
        rows, step = plain.tflite_answers(content, pictures, prepare)
    if graph.form in {"keras", "savedmodel"}:
        rows = {
            key: model(prepare(pixels[np.newaxis].astype(np.float32)), training=False).numpy()
            for key, pixels in pictures.items()
        }
    answers = {f"{graph.side}/{key}": probabilities(graph, row) for key, row in rows.items()}
    shelf.expect(name, answers, step)


def main(folder: Path, count: int) -> None:
    """Writes that many models."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    shelf = Shelf(folder)
    made: set[Graph] = set()

    @settings(
        derandomize=True,
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(GRAPHS)
    def each(graph: Graph) -> None:
        if graph not in made:
            made.add(graph)
            place_on(shelf, graph)

    each()
    shelf.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
