"""The JSON that goes over the wire: one type per answer, the source of the OpenAPI document.

Field names and forms are contracts with other people's clients. Nothing is computed here. The
types are not built on the way of a request: tests hold every answer against them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[int, Field(ge=1)]


class Wire(BaseModel):
    """Base of all: unknown fields are a mistake."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class ErrorAnswer(Wire):
    """Any 4xx or 5xx answer: what is wrong and what to do about it, and a code for programs."""

    error: str
    code: str = Field(pattern="^[A-Za-z]+$")
    success: Literal[False]


class ArticleDetections(Wire):
    """`POST /object_detection` of the object-detection article."""

    detections: list[dict[str, str]]
    image_size: str = Field(alias="image size", pattern=r"^size=\d+x\d+$")
    image_data: list[list[list[int]]] = Field(
        alias="image data", description="The annotated picture: [height][width][blue, green, red]."
    )


class Prediction(Wire):
    """One class of a picture."""

    label: str
    probability: Probability


class ArticlePredictions(Wire):
    """`POST /predict` of the ResNet50 article."""

    predictions: list[Prediction]
    success: bool


class DetectionItem(Wire):
    """One object found."""

    label: str
    class_id: int
    score: Probability
    box: Annotated[list[float], Field(min_length=4, max_length=4)] = Field(
        description="xmin, ymin, xmax, ymax in pixels of the upright picture."
    )


class ImageSize(Wire):
    """Of the upright picture."""

    width: Pixels
    height: Pixels


class PictureDetections(Wire):
    """What a detector found in one picture."""

    detections: list[DetectionItem]
    image: ImageSize


class ModelName(Wire):
    """Which model answered."""

    name: str


class EncodedPicture(Wire):
    """The annotated picture inside JSON."""

    content_type: str
    base64: str


class Detections(PictureDetections):
    """`POST /object_detection` for `application/vnd.inference-operator.detections+json`."""

    model: ModelName
    picture: EncodedPicture | None = None


class ClassItem(Prediction):
    """One class of a picture, with its number."""

    class_id: int


class PictureClasses(Wire):
    """What a classifier says of one picture, most probable first."""

    classes: list[ClassItem]


class Status(Wire):
    """`GET /` and `GET /healthz`."""

    status: str


class Ready(Status):
    """`GET /readyz`: the models that answer, and why others in the models folder do not."""

    models: list[str]
    not_served: dict[str, str]


class Base64(Wire):
    """Bytes inside JSON."""

    b64: str = Field(json_schema_extra={"format": "base64-picture"})


class PictureInJson(Wire):
    """A picture as base64: a string, also a data URL, or `{"b64": "..."}`."""

    image: Annotated[str, Field(json_schema_extra={"format": "base64-picture"})] | Base64


class V1Models(Wire):
    """`GET /v1/models` and `GET /v2/models`."""

    models: list[str]


class V1Request(Wire):
    """`POST /v1/models/NAME:predict`: TensorFlow Serving's row format."""

    instances: list[Any] = Field(
        min_length=1,
        description='Pictures as {"b64": "..."}, or tensors as nested lists, or objects that name '
        "the model's inputs.",
    )
    signature_name: Literal["serving_default"] = "serving_default"


class V1Answer(Wire):
    """`POST /v1/models/NAME:predict`: one prediction for each instance, in order."""

    predictions: list[PictureDetections | PictureClasses | Any]


Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
Parameters = dict[str, Any]


class V2Server(Wire):
    """`GET /v2`."""

    name: str
    version: str
    extensions: list[str]


class V2Live(Wire):
    """`GET /v2/health/live` and `GET /v2/health/ready`."""

    live: bool = True
    ready: bool = True


class V2Ready(Wire):
    """`GET /v2/models/NAME/ready`."""

    name: str
    ready: bool


class V2IndexEntry(Wire):
    """One entry of `POST /v2/repository/index`."""

    name: str
    version: str
    state: str
    reason: str


class V2TensorMetadata(Wire):
    """An input or output of a model; -1 stands for any size."""

    name: str
    datatype: Datatype
    shape: list[int]


class Preprocessing(Wire):
    """What pixels become before the model gets them, and how that is known."""

    range: Literal["none", "unit", "signed", "caffe", "torch", "mean_std"]
    meaning: str
    source: Literal["graph", "family", "metadata", "setting", "type", "assumed"] = Field(
        description="`assumed`: nothing in the model tells; its answers are wrong if it was "
        "trained with another range."
    )
    reason: str
    resize: Literal["nearest", "bilinear", "bicubic"]
    how_to_set: str


class ModelFacts(Wire):
    """What a served model is: its files' SHA-256 after `sha256:`, or empty."""

    format: Literal["tflite", "savedmodel", "keras"]
    task: Literal["detection", "classification", "tensor"]
    digest: str = Field(pattern="^(sha256:[0-9a-f]{64})?$")
    preprocessing: Preprocessing | None = Field(description="null: it takes no pictures.")
    warnings: list[str] = Field(
        description="What its answers may suffer from, such as a range of pixels that is assumed."
    )


class V1Model(ModelFacts):
    """`GET /v1/models/NAME`."""

    name: str
    ready: bool
    inputs: list[V2TensorMetadata]
    outputs: list[V2TensorMetadata]


class V2Model(Wire):
    """`GET /v2/models/NAME`."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[V2TensorMetadata]
    outputs: list[V2TensorMetadata]
    parameters: ModelFacts


class V2Input(BaseModel):
    """An input tensor: `data` in JSON, or `parameters.binary_data_size` bytes after the JSON."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]] = Field(max_length=8)
    datatype: Datatype
    parameters: Parameters = {}
    data: list[Any] | None = None


class V2RequestedOutput(BaseModel):
    """An output that is wanted; `parameters.binary_data` and `.classification` say how."""

    name: str
    parameters: Parameters = {}


class V2Request(Wire):
    """`POST /v2/models/NAME/infer`."""

    id: str = ""
    parameters: Parameters = {}
    inputs: list[V2Input] = Field(min_length=1)
    outputs: list[V2RequestedOutput] | None = None


class V2Output(Wire):
    """An output tensor, in row-major order."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class V2Answer(Wire):
    """The answer to an infer request."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[V2Output]
