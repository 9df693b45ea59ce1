"""Errors are classified by what the API server says for machines, as real API servers answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inference_operator.errors import ApiError, ApiFailure
from inference_operator.kubernetes.responses import raise_error

FORBIDDEN = 'services "x" is forbidden: '
# Answers of Kubernetes 1.36: status, message, details.
ANSWERS: dict[str, tuple[int, str, Any, ApiFailure]] = {
    "a quota": (
        403,
        FORBIDDEN + "exceeded quota: none, requested: count/services=1, used: count/services=0",
        {"name": "x", "kind": "services"},
        ApiFailure.QUOTA_EXCEEDED,
    ),
    "a quota that says nothing about a resource": (
        403,
        FORBIDDEN + "failed quota: none: must specify limits.cpu for: model-server",
        {"name": "x", "kind": "pods"},
        ApiFailure.QUOTA_EXCEEDED,
    ),
    "a policy whose words are like a quota's": (
        403,
        FORBIDDEN + "the team's budget exceeded quota rules",
        {"name": "x", "kind": "services"},
        ApiFailure.FORBIDDEN,
    ),
    "no such namespace": (
        404,
        'namespaces "nope" not found',
        {"name": "nope", "kind": "namespaces"},
        ApiFailure.NAMESPACE_GONE,
    ),
    "a namespace that is being deleted": (
        403,
        FORBIDDEN + "unable to create new content in namespace t1",
        {
            "name": "x",
            "kind": "services",
            "causes": [
                {
                    "reason": "NamespaceTerminating",
                    "message": "namespace t1 is being terminated",
                    "field": "metadata.namespace",
                }
            ],
        },
        ApiFailure.NAMESPACE_GONE,
    ),
    "a policy that speaks of namespaces": (
        403,
        FORBIDDEN + "namespaces must not be being terminated by hand",
        {"name": "x", "kind": "services"},
        ApiFailure.FORBIDDEN,
    ),
    "an invalid field": (
        422,
        'Service "x" is invalid',
        {"kind": "Service", "causes": [{"reason": "FieldValueInvalid", "field": "spec.ports"}]},
        ApiFailure.INVALID,
    ),
    "a policy's refusal, whose cause has no reason": (
        422,
        "denied request: needs the label team",
        {"kind": "services", "causes": [{"message": "needs the label team"}]},
        ApiFailure.INVALID,
    ),
    "a conflict": (409, "conflict", {"kind": "services"}, ApiFailure.CONFLICT),
    "no such object": (404, 'services "x" not found', {"kind": "services"}, ApiFailure.NOT_FOUND),
    "too old": (410, "too old resource version", None, ApiFailure.EXPIRED),
    "too many requests": (429, "", {"retryAfterSeconds": 1}, ApiFailure.UNAVAILABLE),
    "a failure": (500, "etcdserver: request timed out", None, ApiFailure.UNAVAILABLE),
    "something else": (405, "method not allowed", None, ApiFailure.OTHER),
}


@pytest.mark.parametrize(("status", "message", "details", "failure"), ANSWERS.values(), ids=ANSWERS)
def test_classification(status: int, message: str, details: Any, failure: ApiFailure) -> None:
    body = {"kind": "Status", "code": status, "message": message, "details": details}
    with pytest.raises(ApiError) as caught:
        raise_error(status, json.dumps(body).encode())
    assert caught.value.failure is failure


def test_no_answer_at_all() -> None:
    assert ApiError(0, "connection refused").failure is ApiFailure.UNAVAILABLE


@pytest.mark.parametrize("details", [{"kind": 5}, {"causes": 5}, {"causes": [5]}, "text", []])
def test_details_of_any_form_are_an_error_with_its_status(details: Any) -> None:
    with pytest.raises(ApiError) as caught:
        raise_error(403, json.dumps({"message": "no", "details": details}).encode())
    assert caught.value.failure is ApiFailure.FORBIDDEN
