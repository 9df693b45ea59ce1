"""Whose an object with a child's name is, and what a refusal is called."""

from __future__ import annotations

from typing import Any

import pytest

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.errors import ApiError, ChildConflictError, ChildRejectedError
from inference_operator.reconcile.rejections import conflict, explain, is_ours
from support.operator_objects import child, owner, service

ISVC = parse(service())
REF = ("Service", "shapes-predictor")


def orphan(**changes: Any) -> dict[str, Any]:
    """A child of ours without its owner reference."""
    body = child("Service", owners=())
    body["metadata"]["annotations"] = {names.ANNOTATION_APPLIED: "00"}
    body["metadata"]["managedFields"] = [{"manager": names.FIELD_MANAGER, "operation": "Apply"}]
    body["metadata"] |= changes
    return body


def test_an_orphan_of_ours_is_recognized_by_all_of_its_marks() -> None:
    assert is_ours(orphan(), ISVC)
    assert not is_ours(orphan(annotations={}), ISVC), "never applied by the operator"
    assert not is_ours(orphan(managedFields=[{"manager": "helm", "operation": "Apply"}]), ISVC)
    assert not is_ours(orphan(labels=names.labels("another")), ISVC)
    assert not is_ours(orphan(ownerReferences=[owner(uid="other")]), ISVC), "somebody owns it"
    assert not is_ours(None, ISVC)


def test_an_object_is_handed_over_by_name_unless_somebody_controls_it() -> None:
    theirs = child("Service", owners=())
    theirs["metadata"]["annotations"] = {names.ANNOTATION_ADOPT: "shapes"}
    assert is_ours(theirs, ISVC)
    theirs["metadata"]["annotations"] = {names.ANNOTATION_ADOPT: "another"}
    assert not is_ours(theirs, ISVC)
    theirs = kserve_child()
    theirs["metadata"]["annotations"] = {names.ANNOTATION_ADOPT: "shapes"}
    assert not is_ours(theirs, ISVC)


def kserve_child() -> dict[str, Any]:
    return child("Deployment", owners=(owner(api_version="serving.kserve.io/v1beta1"),))


def test_a_child_of_the_inference_service_of_kserve_is_not_one_that_goes_away() -> None:
    error = conflict(REF, ISVC, kserve_child())
    assert isinstance(error, ChildConflictError)
    assert "InferenceService.serving.kserve.io shapes" in error.message
    assert "migrate" in error.message


@pytest.mark.parametrize(
    ("deletion", "says"),
    [
        ({}, "still being deleted"),
        (
            {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["cloud/lb", "x/y"]},
            "since 2026-01-01T00:00:00Z and waits for its finalizers: cloud/lb, x/y",
        ),
    ],
)
def test_what_a_former_resource_left_says_what_it_waits_for(
    deletion: dict[str, Any], says: str
) -> None:
    body = child("Service", owners=(owner(uid="former"),))
    body["metadata"] |= deletion
    error = conflict(REF, ISVC, body)
    assert isinstance(error, ApiError)
    assert error.status == 409
    assert says in error.message


@pytest.mark.parametrize(
    ("status", "message", "reason", "may_pass"),
    [
        (422, "Service is invalid: spec.ports[0].port: Invalid value: 0", "InvalidSpec", False),
        (422, "is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
         "PolicyRefused", True),
        (400, 'admission webhook "w" denied the request: no', "PolicyRefused", True),
        (403, "exceeded quota: q", "QuotaExceeded", True),
        (403, 'admission webhook "w" denied the request: no', "Forbidden", True),
    ],
)  # fmt: skip
def test_a_refusal_is_called_what_it_is(
    status: int, message: str, reason: str, may_pass: bool
) -> None:
    error = explain(ApiError(status, message), REF)
    assert isinstance(error, ChildRejectedError)
    assert (error.reason, error.may_pass) == (reason, may_pass)
    assert message in error.message
