"""The JSON that goes over the wire: one type per answer, the source of the OpenAPI document.

Field names and forms are contracts with other people's clients. Nothing is computed here.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class ErrorBody(BaseModel):
    """What went wrong, for programs (code) and people (message)."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """Any 4xx or 5xx answer of the articles' endpoints."""

    error: ErrorBody
    success: bool = False


class DetectionAnswer(BaseModel):
    """`POST /object_detection` of the object-detection article."""

    model_config = ConfigDict(populate_by_name=True)

    detections: list[dict[str, str]]
    image_size: str = Field(alias="image size", pattern=r"^size=\d+x\d+$")
    image_data: list[list[list[int]]] = Field(alias="image data")


class Prediction(BaseModel):
    """One class of a picture."""

    label: str
    probability: Probability


class PredictionAnswer(BaseModel):
    """`POST /predict` of the ResNet50 article."""

    predictions: list[Prediction]
    success: bool


JsonObject = dict[str, Any]
