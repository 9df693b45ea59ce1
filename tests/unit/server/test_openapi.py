"""The OpenAPI document describes every URL of the application, and nothing else."""

import re

import jsonschema
import pytest

from model_server.errors import RequestError
from model_server.http import openapi
from model_server.http.options import DETECTIONS, PICTURES

from .conftest import Client

# Pages for people, not for programs.
_PAGES = ("/docs", "/static/", "/page/")


def test_every_url_is_documented_and_every_document_is_a_url(client: Client) -> None:
    documented = {
        (re.sub(r"\{(\w+)\}", r"<\1>", path), method.upper())
        for path, item in openapi.document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (rule.rule.replace("<model:", "<"), method)
        for rule in client().application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule != "/" and not rule.rule.startswith(_PAGES)
    }
    assert documented == served


def test_it_is_served_as_json(client: Client) -> None:
    response = client().get("/openapi.json")
    assert response.content_type == "application/json"
    assert response.get_json() == openapi.document()


def test_all_references_lead_somewhere() -> None:
    document = openapi.document()
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert references <= set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_media_types_are_those_of_the_routes() -> None:
    content = openapi.document()["paths"]["/object_detection"]["post"]["responses"]["200"]
    assert set(content["content"]) == {"application/json", DETECTIONS, *PICTURES}


@pytest.mark.parametrize("error", RequestError.__subclasses__())
def test_every_error_has_a_client_or_server_status(error: type[RequestError]) -> None:
    assert 400 <= error.status < 600
    assert error.__doc__
