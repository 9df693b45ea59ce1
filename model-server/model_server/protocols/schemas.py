"""JSON documents of requests and responses, from which the OpenAPI document is built.

Field names are contracts with existing clients. The server does not instantiate these types while
it answers; tests validate its responses against them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[int, Field(ge=1)]


class Wire(BaseModel):
    """Base class: unknown fields are invalid."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class ErrorAnswer(Wire):
    """Any 4xx or 5xx response: what is wrong and what to do, with a stable code."""

    error: str
    code: str = Field(pattern="^[A-Za-z]+$")
    success: Literal[False]


class ArticleDetections(Wire):
    """Default response of `POST /object_detection`."""

    detections: list[dict[str, str]]
    image_size: str = Field(alias="image size", pattern=r"^size=\d+x\d+$")
    image_data: list[list[list[int]]] = Field(
        alias="image data", description="The annotated picture: [height][width][blue, green, red]."
    )


class Prediction(Wire):
    """A class and its probability."""

    label: str
    probability: Probability


class ArticlePredictions(Wire):
    """Response of `POST /predict`."""

    predictions: list[Prediction]
    success: bool


class DetectionItem(Wire):
    """A detected object."""

    label: str
    class_id: int
    score: Probability
    box: Annotated[list[float], Field(min_length=4, max_length=4)] = Field(
        description="xmin, ymin, xmax, ymax in pixels, after EXIF rotation."
    )


class ImageSize(Wire):
    """Size of the picture after EXIF rotation, in pixels."""

    width: Pixels
    height: Pixels


class PictureDetections(Wire):
    """Detections in a picture."""

    detections: list[DetectionItem]
    image: ImageSize


class ModelName(Wire):
    """The model that answered."""

    name: str


class EncodedPicture(Wire):
    """The annotated picture, base64-encoded."""

    content_type: str
    base64: str


class Detections(PictureDetections):
    """Response of `POST /object_detection` with boxes."""

    model: ModelName
    picture: EncodedPicture | None = None


class ClassItem(Prediction):
    """A class with its index and probability."""

    class_id: int


class PictureClasses(Wire):
    """Classes of a picture, most probable first."""

    classes: list[ClassItem]


class Status(Wire):
    """`GET /` and `GET /healthz`."""

    status: str


class Ready(Status):
    """`GET /readyz`: served models, and the reason for each model that failed to load."""

    models: list[str]
    not_served: dict[str, str]


class Base64(Wire):
    """Base64-encoded bytes."""

    b64: str = Field(json_schema_extra={"format": "base64-picture"})


class PictureInJson(Wire):
    """A base64-encoded picture: a string (data URLs are accepted) or `{"b64": "..."}`."""

    image: Annotated[str, Field(json_schema_extra={"format": "base64-picture"})] | Base64


class V1Models(Wire):
    """`GET /v1/models` and `GET /v2/models`."""

    models: list[str]


class V1Request(Wire):
    """Request of `POST /v1/models/NAME:predict`: TensorFlow Serving's row format."""

    instances: list[Any] = Field(
        min_length=1,
        description='Pictures as {"b64": "..."}, tensors as nested lists, or objects keyed by '
        "input name.",
    )
    signature_name: Literal["serving_default"] = "serving_default"


class V1Answer(Wire):
    """Response of `POST /v1/models/NAME:predict`: one prediction per instance, in order."""

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
    """Entry of `POST /v2/repository/index`."""

    name: str
    version: str
    state: str
    reason: str


class V2TensorMetadata(Wire):
    """An input or output; -1 in the shape means any size."""

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
    """Facts about a served model. `digest`: `sha256:` and the SHA-256 of its files, or empty."""

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
    """Input tensor: `data`, or `parameters.binary_data_size` bytes after the JSON."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]] = Field(max_length=8)
    datatype: Datatype
    parameters: Parameters = {}
    data: list[Any] | None = None


class V2RequestedOutput(BaseModel):
    """Requested output, with `parameters.binary_data` or `parameters.classification`."""

    name: str
    parameters: Parameters = {}


class V2Request(Wire):
    """`POST /v2/models/NAME/infer`."""

    id: str = ""
    parameters: Parameters = {}
    inputs: list[V2Input] = Field(min_length=1)
    outputs: list[V2RequestedOutput] | None = None


class V2Output(Wire):
    """Output tensor in row-major order."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class V2Answer(Wire):
    """Response of an infer request."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[V2Output]
