"""Finding models, choosing tasks, preparing tensors, and checking the golden image."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from model_server.errors import (
    GoldenImageFailed,
    InvalidModel,
    InvalidRequest,
    InvalidSettings,
    UnknownModel,
    WrongTask,
)
from model_server.models.base import ImageInput, Tensors, TensorSpec
from model_server.models.keras_safety import check_keras_file, find_problems
from model_server.models.labels import Labels
from model_server.models.source import digest, find_model
from model_server.models.tflite_metadata import TfliteMetadata, read_metadata
from model_server.request.context import RequestContext
from model_server.serving.golden import check_golden, golden_pictures
from model_server.serving.registry import Registry, label_files
from model_server.serving.sources import find_sources
from model_server.settings import load_settings
from model_server.vision.detection import Selection
from model_server.vision.images import encode
from model_server.vision.inference import Options, VisionModel
from model_server.vision.preprocessing import JpegDecoding, least_side, prepare
from model_server.vision.signature import check_inputs
from support.tiny_models import BrightBoxDetector, MeanColourClassifier


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("files", "form", "found"),
    [
        (["m.tflite", "labels.txt"], "tflite", "m.tflite"),
        (["m.keras"], "keras", "m.keras"),
        (["m.h5"], "keras", "m.h5"),
        (["saved_model.pb", "variables/v.index"], "savedmodel", "."),
        (["inner/m.tflite"], "tflite", "inner/m.tflite"),
        (["1/saved_model.pb", "12/saved_model.pb", "2/saved_model.pb"], "savedmodel", "12"),
    ],
)
def test_the_one_model_of_a_folder_is_found(
    files: list[str], form: str, found: str, tmp_path: Path
) -> None:
    for file in files:
        touch(tmp_path / file)
    source = find_model(str(tmp_path))
    assert (source.format, source.path) == (form, tmp_path / found)


@pytest.mark.parametrize(
    ("files", "wanted", "said"),
    [
        ([], "", "no model in it"),
        (["labels.txt"], "", "no model in it"),
        (["a.tflite", "b.tflite"], "", "more than one model"),
        (["a.tflite", "b.keras"], "", "more than one model"),
        (["a.tflite"], "keras", "holds a tflite model"),
    ],
)
def test_none_or_several_models_are_refused(
    files: list[str], wanted: str, said: str, tmp_path: Path
) -> None:
    for file in files:
        touch(tmp_path / file)
    with pytest.raises(InvalidModel, match=said):
        find_model(str(tmp_path), wanted)


def test_the_format_chooses_between_two(tmp_path: Path) -> None:
    touch(tmp_path / "a.tflite")
    touch(tmp_path / "b.keras")
    assert find_model(str(tmp_path), "keras").path.name == "b.keras"


def test_a_file_without_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    assert find_model(str(touch(tmp_path / "m", b"\x1c\0\0\0TFL3..."))).format == "tflite"
    assert find_model(str(touch(tmp_path / "n", b"\x89HDF\r\n\x1a\n"))).format == "keras"
    with pytest.raises(InvalidModel, match="cannot tell the format"):
        find_model(str(touch(tmp_path / "o", b"whatever")))


@pytest.mark.parametrize("name", ["bundled://nothing", "bundled://../../etc", "bundled://"])
def test_only_what_is_bundled_is_bundled(name: str) -> None:
    with pytest.raises(InvalidModel, match="no bundled model"):
        find_model(name)


def test_the_digest_changes_with_content_and_names(tmp_path: Path) -> None:
    one = find_model(str(touch(tmp_path / "a" / "m.tflite", b"1")))
    assert digest(one) == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    seen = set()
    for file in ("variables/a", "variables/b"):
        folder = tmp_path / file.replace("/", "-")
        touch(folder / "saved_model.pb", b"1")
        touch(folder / file, b"2")
        seen.add(digest(find_model(str(folder))))
    assert len(seen) == 2


def test_models_of_a_folder_are_served_under_their_folders_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        touch(tmp_path / name / "m.tflite")
    assert list(find_sources(load_settings(models_dir=tmp_path)).models) == ["a", "b"]
    assert list(find_sources(load_settings(models_dir=tmp_path, name="b")).models) == ["b", "a"]
    with pytest.raises(InvalidSettings, match="cannot be combined"):
        find_sources(load_settings(models_dir=tmp_path, model="x"))


def test_the_task_follows_from_the_outputs() -> None:
    assert VisionModel("m", BrightBoxDetector()).task == "detection"
    assert VisionModel("m", MeanColourClassifier()).task == "classification"
    assert VisionModel("m", MeanColourClassifier(), options=Options(task="tensor")).task == "tensor"
    with pytest.raises(InvalidModel, match="not those of a detection model"):
        VisionModel("m", MeanColourClassifier(), options=Options(task="detection"))
    with pytest.raises(InvalidModel, match="1 names but the model has 3"):
        VisionModel("m", MeanColourClassifier(), [Labels({0: "a"})])


def test_a_model_does_only_its_own_task(picture: bytes) -> None:
    model = VisionModel("colours", MeanColourClassifier())
    with pytest.raises(WrongTask, match="colours is not a detector"):
        model.detect(picture, Selection(0.5, 10), RequestContext())


def test_an_unknown_model_is_named() -> None:
    registry = Registry({"a": VisionModel("a", BrightBoxDetector())})
    with pytest.raises(UnknownModel, match="'b'; this server has a"):
        registry.get("b")


@pytest.mark.parametrize(
    ("expect", "accepted"),
    [
        ("", True),
        ("red light", True),
        ("red light>=0.5", True),
        ("red light>=0.9", False),
        ("person", False),
        ("red light>=x", False),
    ],
)
def test_the_golden_image_must_be_right(
    expect: str, accepted: bool, tmp_path: Path, picture: bytes
) -> None:
    model = VisionModel("m", BrightBoxDetector())
    image = touch(tmp_path / "golden.png", picture)
    settings = load_settings(golden_image=str(image), golden_expect=expect)
    if accepted:
        check_golden(model, golden_pictures(settings, tmp_path))
        return
    with pytest.raises(GoldenImageFailed, match=r"golden picture .*golden\.png: "):
        check_golden(model, golden_pictures(settings, tmp_path))


def golden(*pictures: dict[str, Any]) -> str:
    return json.dumps(pictures)


def test_every_golden_picture_is_checked_and_named(tmp_path: Path, picture: bytes) -> None:
    model = VisionModel("m", BrightBoxDetector())
    touch(tmp_path / "pictures" / "one.png", picture)
    two = touch(tmp_path / "elsewhere" / "two.png", picture)
    right = {"image": "pictures/one.png", "label": "red light", "min_score": 0.5}
    wrong = {"image": str(two), "label": "person", "min_score": 0.5, "name": "golden/two.png"}
    check_golden(model, golden_pictures(load_settings(golden=golden(right)), tmp_path))
    settings = load_settings(golden=golden(right, wrong, {"image": "none.png", "label": "person"}))
    with pytest.raises(GoldenImageFailed) as failed:
        check_golden(model, golden_pictures(settings, tmp_path))
    said = str(failed.value)
    assert "golden picture golden/two.png: expected person>=0.5, the model says red light" in said
    assert "golden picture none.png: No such file or directory" in said
    assert "pictures/one.png" not in said


def test_a_golden_picture_of_the_model_stays_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    touch(tmp_path / "secret.png")
    touch(folder / "model.tflite")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    for image in ("../secret.png", "link.png"):
        with pytest.raises(GoldenImageFailed, match="is not in the model's folder"):
            golden_pictures(load_settings(golden=golden({"image": image})), folder)


@pytest.mark.parametrize(
    "text",
    ["cat.png", "{}", "[1]", '[{"label": "cat"}]', '[{"image": "a", "min_score": 2}]',
     '[{"image": "a", "score": 1}]'],
)  # fmt: skip
def test_golden_pictures_that_cannot_be_read_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"--golden \(MODEL_SERVER_GOLDEN\).*JSON list"):
        load_settings(golden=text)


RED = Image.new("RGB", (4, 2), (255, 128, 0))


@pytest.mark.parametrize(
    ("dtype", "how", "expected"),
    [
        (np.uint8, ImageInput(), (255, 128, 0)),
        (np.int8, ImageInput(), (127, 0, -128)),
        (np.float32, ImageInput("none"), (255, 128, 0)),
        (np.float32, ImageInput("unit"), (1, 128 / 255, 0)),
        (np.float32, ImageInput("signed"), (1, 128 / 127.5 - 1, -1)),
        (np.float32, ImageInput("caffe"), (-103.939, 128 - 116.779, 255 - 123.68)),
        (np.float32, ImageInput("torch"), ((1 - 0.485) / 0.229, 0.20535, -0.406 / 0.225)),
        (np.float32, ImageInput(mean=(127.5,), std=(255.0,)), (0.5, 0.5 / 255, -0.5)),
        (np.float32, ImageInput(mean=(255, 128, 0), std=(1, 1, 1)), (0, 0, 0)),
    ],
)
def test_pixels_get_the_range_that_the_model_wants(
    dtype: Any, how: ImageInput, expected: tuple[float, ...]
) -> None:
    tensor = prepare(RED, TensorSpec("x", (1, 3, 5, 3), np.dtype(dtype)), how)
    assert tensor.shape == (1, 3, 5, 3)
    assert tensor.dtype == dtype
    assert tensor[0, 1, 2].tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("dtype", "resize", "decoding", "least"),
    [
        (np.float32, "bicubic", "auto", 1200),
        (np.float32, "bilinear", "auto", 1200),
        (np.float32, "nearest", "auto", None),
        (np.uint8, "bicubic", "auto", None),
        (np.int8, "bicubic", "auto", None),
        (np.uint8, "bicubic", "reduced", 600),
        (np.float32, "bicubic", "exact", None),
    ],
)
def test_a_jpeg_is_reduced_only_where_the_scores_bear_it(
    dtype: Any, resize: Any, decoding: JpegDecoding, least: int | None
) -> None:
    spec = TensorSpec("x", (1, 200, 300, 3), np.dtype(dtype))
    assert least_side(spec, ImageInput(resize=resize), decoding) == least
    free = TensorSpec("x", (1, -1, -1, 3), np.dtype(dtype))
    assert least_side(free, ImageInput(resize=resize), decoding) is None


def test_a_model_of_any_size_gets_the_picture_as_it_is() -> None:
    tensor = prepare(RED, TensorSpec("x", (1, -1, -1, 3), np.dtype(np.uint8)), ImageInput())
    assert tensor.shape == (1, 2, 4, 3)


def test_gray_models_get_one_channel_and_string_models_an_encoded_picture() -> None:
    gray = prepare(RED, TensorSpec("x", (1, 2, 4, 1), np.dtype(np.uint8)), ImageInput())
    assert gray.shape == (1, 2, 4, 1)
    encoded = prepare(RED, TensorSpec("x", (-1,), np.dtype(object)), ImageInput())
    assert encoded[0].startswith(b"\x89PNG")


SPECS = (TensorSpec("x", (1, -1, 3), np.dtype(np.float32)),)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "'x' is missing"),
        ({"x": np.zeros((1, 2, 3), np.float32), "y": np.zeros(1)}, "unknown input 'y'"),
        ({"x": np.zeros((1, 2, 3), np.uint8)}, "has type UINT8"),
        ({"x": np.zeros((2, 2, 3), np.float32)}, r"has shape \[2, 2, 3\]"),
        ({"x": np.zeros((1, 3), np.float32)}, r"expects \[1, -1, 3\]"),
    ],
)
def test_wrong_tensors_are_explained(inputs: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        check_inputs(inputs, SPECS)


def test_a_file_without_metadata_is_no_problem(tmp_path: Path) -> None:
    for content in (b"x", b"\xff" * 500, bytes(64), b"\x1c\0\0\0TFL3" + bytes(60)):
        assert read_metadata(touch(tmp_path / "m.tflite", content)) == TfliteMetadata()


def layer(class_name: str, **config: object) -> dict[str, object]:
    return {"class_name": class_name, "module": "keras.layers", "config": config}


def function(module: str, name: object) -> dict[str, object]:
    return {"class_name": "function", "module": module, "config": name}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (layer("Sequential", layers=[layer("Lambda")]), "Lambda"),
        ({"class_name": "__lambda__", "config": {"value": "..."}}, "__lambda__"),
        ({"class_name": "run", "module": "os", "config": {}}, "module 'os'"),
        (layer("Sequential", layers=[{"module": "kerasx.layers", "class_name": "A"}]), "kerasx"),
        (layer("TFSMLayer", filepath="/x"), "TFSMLayer"),
        ({"class_name": "function", "module": "keras.utils", "config": "get_file"}, "keras.utils"),
        ({"class_name": "get_file", "module": "keras.src.utils.file_utils"}, "file_utils"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "reads the file '/etc/passwd'"),
        (function("keras.models", "load_model"), "'load_model'"),
        (function("keras.saving", "load_model"), "keras.saving"),
        (function("keras", "utils.get_file"), "'utils.get_file'"),
        (function("keras.activations", "x.get_file"), "'x.get_file'"),
        (function("keras.src.saving.saving_api", "load_model"), "saving_api"),
        ({"class_name": "function", "config": "utils.get_file"}, "'utils.get_file'"),
        ({"class_name": "function", "module": "builtins", "config": {"a": 1}}, "function {'a': 1}"),
        ({"class_name": "utils.Progbar", "module": "keras", "config": {}}, "'utils.Progbar'"),
        ({"class_name": "A", "module": "keras.layers/../os", "config": {}}, "keras.layers/../os"),
        ({"class_name": "__typespec__", "config": []}, "__typespec__"),
        (layer("Dense", activation=layer("Wrapped", layer=[layer("JaxLayer")])), "JaxLayer"),
    ],
)
def test_what_could_run_code_is_found(config: Any, said: str) -> None:
    assert any(said in problem for problem in find_problems(config))


def test_plain_keras_layers_are_no_problem() -> None:
    activation = function("builtins", "relu")
    add = {"class_name": "Add", "module": "keras.src.ops.numpy", "config": {}}
    zeros = {"class_name": "Zeros", "module": "keras.initializers", "config": {}}
    policy = {"class_name": "DTypePolicy", "module": "keras", "config": {"name": "float32"}}
    model = {"class_name": "Functional", "module": "keras.src.models.functional", "config": {}}
    conv = layer("Conv2D", name="c", activation=activation, bias_initializer=zeros, dtype=policy)
    assert not list(find_problems(layer("Sequential", layers=[conv, add, model])))


def hdf5(path: Path, content: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(layer("Sequential", layers=[]))
        file["weights"] = np.zeros(3)
        content(file)
    return path


def itself(file: Any) -> None:
    group = file.create_group("g")
    group["self"] = group
    group.create_group("h")["up"] = group
    file["g/h/root"] = file["/"]


def shared_many_times(file: Any) -> None:
    """A chain of groups, each of which has the next twice: 2**40 paths, 40 groups."""
    last = file.create_group("last")
    for number in range(40):
        group = file.create_group(f"level{number}")
        group["a"] = group["b"] = last
        last = group


@pytest.mark.parametrize("content", [itself, shared_many_times])
def test_looking_into_an_hdf5_file_ends(content: Any, tmp_path: Path) -> None:
    assert check_keras_file(hdf5(tmp_path / "m.h5", content))["class_name"] == "Sequential"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda file: file.__setitem__("e", h5py.ExternalLink("/etc/passwd", "/")), "the link e"),
        (lambda file: file.__setitem__("e", h5py.SoftLink("/weights")), "the link e"),
        (
            lambda file: file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)]),
            "keeps x in another file",
        ),
    ],
)
def test_an_hdf5_file_that_leads_elsewhere_is_refused(
    content: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModel, match=said):
        check_keras_file(hdf5(tmp_path / "m.h5", content))


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_damaged_hdf5_file_is_refused_as_such(cut: float, tmp_path: Path) -> None:
    path = hdf5(tmp_path / "m.h5", itself)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(InvalidModel):
        check_keras_file(path)


class OneValue(MeanColourClassifier):
    """How much of blue there is against red: Dense(1), for pictures of 0 to 1."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.info = replace(
            self.info,
            outputs=(TensorSpec("y", (-1, 1), np.dtype(np.float32)),),
            labels=None,
            activations={"y": activation} if activation else {},
        )

    def run(self, inputs: Tensors) -> dict[str, Any]:
        mean = inputs["image"].mean(axis=(1, 2))
        logit = 8.0 * (mean[:, 2:] - mean[:, :1])
        if self.info.activations:
            logit = 1 / (1 + np.exp(-logit))
        return {"y": logit.astype(np.float32)}


@pytest.mark.parametrize("activation", ["", "sigmoid"])
def test_one_value_and_two_labels_are_a_binary_classifier(activation: str) -> None:
    two = [Labels({0: "red", 1: "blue"})]
    model = VisionModel("m", OneValue(activation), two)
    assert model.task == "classification"
    best = model.classify(png("blue"), 5, RequestContext())
    assert [(item.label, round(item.probability, 3)) for item in best] == [
        ("blue", 1.0),
        ("red", 0.0),
    ]
    assert model.classify(png("red"), 1, RequestContext())[0].label == "red"


def test_one_value_without_two_labels_is_a_number_unless_somebody_says_otherwise() -> None:
    assert VisionModel("m", OneValue("sigmoid")).task == "tensor"
    asked = VisionModel("m", OneValue("sigmoid"), options=Options(task="classification"))
    assert asked.class_names == ("class_0", "class_1")


def png(colour: str) -> bytes:
    return encode(Image.new("RGB", (8, 8), colour), "PNG")


@pytest.mark.parametrize(
    ("named", "labels", "found"),
    [
        # The Object Detection API's export: saved_model/ beside checkpoint/ and pipeline.config.
        ("", ["label_map.pbtxt"], "label_map.pbtxt"),
        ("saved_model", ["label_map.pbtxt"], "label_map.pbtxt"),
        ("", ["saved_model/labels.txt", "label_map.pbtxt"], "saved_model/labels.txt"),
        ("", ["saved_model/assets/labels.txt"], "saved_model/assets/labels.txt"),
        ("", [], None),
    ],
)
def test_labels_beside_and_above_a_saved_model_are_found(
    named: str, labels: list[str], found: str | None, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    for file in ("saved_model/saved_model.pb", "checkpoint/ckpt-0.index", "pipeline.config"):
        touch(export / file)
    for file in labels:
        touch(export / file, b"x")
    source = find_model(str(export / named))
    assert source.path == export / "saved_model"
    assert label_files(source, load_settings()) == ([export / found] if found else [])


@pytest.mark.parametrize("wrapped", ["", "my-export"])
def test_labels_one_folder_up_in_an_archive_and_beside_versions_are_found(
    wrapped: str, tmp_path: Path
) -> None:
    top = tmp_path / wrapped
    for file in ("1/saved_model.pb", "2/saved_model.pb"):
        touch(top / file)
    touch(top / "labels.txt")
    source = find_model(str(tmp_path))
    assert source.path == top / "2"
    assert label_files(source, load_settings()) == [top / "labels.txt"]


def test_labels_of_other_models_are_left_alone(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "m.tflite")
    touch(tmp_path / "labels.txt")
    assert label_files(find_model(str(tmp_path / "a")), load_settings()) == []


@pytest.mark.parametrize(
    ("files", "named", "said"),
    [
        (["model.zip"], "", "unpack model.zip first"),
        (["model.zip"], "model.zip", "is an archive: unpack it"),
        (["model.tar.gz"], "model.tar.gz", "is an archive: unpack it"),
        (["notes.md", "x.onnx"], "", "there is notes.md, x.onnx"),
        (["a/m.tflite", "b/m.tflite"], "", r"more than one folder \(a, b\)"),
    ],
)
def test_what_is_there_instead_of_a_model_is_told(
    files: list[str], named: str, said: str, tmp_path: Path
) -> None:
    for file in files:
        touch(tmp_path / file)
    with pytest.raises(InvalidModel, match=said):
        find_model(str(tmp_path / named))
