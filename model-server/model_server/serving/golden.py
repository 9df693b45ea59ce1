"""Golden pictures: what a model must answer before its server is ready."""

from collections.abc import Sequence
from pathlib import Path

from model_server.errors import GoldenImageFailed, RequestError
from model_server.request.context import RequestContext
from model_server.settings import GoldenPicture, Settings
from model_server.vision.detection import Selection
from model_server.vision.inference import VisionModel

# Low, so that a failure can say with which score the expected label came.
_LEAST_SCORE = 0.05
_ANSWERS_IN_MESSAGE = 5


def golden_pictures(settings: Settings, folder: Path) -> list[GoldenPicture]:
    """All golden pictures that the settings name, with absolute or working-directory paths.

    Args:
        settings: Of the server.
        folder: The model's folder; relative paths in `golden` are files in it.

    Raises:
        GoldenImageFailed: if a path leads out of the folder, or the expectation cannot be read.
    """
    pictures = [_located(picture, folder) for picture in settings.golden]
    if settings.golden_image is not None:
        label, _, least = settings.golden_expect.partition(">=")
        try:
            score = float(least) if least else 0.0
        except ValueError as error:
            raise GoldenImageFailed(f"golden picture {settings.golden_image}: {error}") from error
        pictures.append(GoldenPicture(str(settings.golden_image), label.strip(), score))
    return pictures


def _located(picture: GoldenPicture, folder: Path) -> GoldenPicture:
    path = Path(picture.image)
    if path.is_absolute():
        return picture
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise GoldenImageFailed(f"golden picture {path}: is not in the model's folder")
    name = picture.name or picture.image
    return GoldenPicture(str(found), picture.label, picture.min_score, name)


def check_golden(model: VisionModel, pictures: Sequence[GoldenPicture]) -> None:
    """Make sure that the model gets every picture right.

    Raises:
        GoldenImageFailed: for each wrong answer, the picture's name, what was expected, and what
            the model said instead.
    """
    wrong = [problem for problem in (_problem(model, picture) for picture in pictures) if problem]
    if wrong:
        raise GoldenImageFailed("; ".join(wrong))


def _problem(model: VisionModel, picture: GoldenPicture) -> str:
    """What is wrong with the answer to a picture, empty when it is right."""
    title = f"golden picture {picture.name or picture.image}"
    try:
        answers = _answers(model, Path(picture.image).read_bytes())
    except OSError as error:
        return f"{title}: {error.strerror or error}"
    except (ValueError, RequestError) as error:
        return f"{title}: {error}"
    right = any(label == picture.label and score >= picture.min_score for label, score in answers)
    if right or not picture.label:
        return ""
    expected = picture.label + (f">={picture.min_score:g}" if picture.min_score else "")
    said = [f"{label} {score:.2f}" for label, score in answers[:_ANSWERS_IN_MESSAGE]]
    return f"{title}: expected {expected}, the model says {', '.join(said) or 'nothing'}"


def _answers(model: VisionModel, data: bytes) -> list[tuple[str, float]]:
    """Labels and scores (0..1), the best first."""
    context = RequestContext(request_id="golden-image")
    if model.task == "detection":
        found = model.detect(data, Selection(_LEAST_SCORE, 100), context)
        return [(item.label, item.score) for item in found.detections]
    top = model.classify(data, _ANSWERS_IN_MESSAGE, context)
    return [(item.label, item.probability) for item in top]
