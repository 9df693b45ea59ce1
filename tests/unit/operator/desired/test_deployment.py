"""The Deployment owns whatever the API server would otherwise keep."""

from __future__ import annotations

from typing import Any

from inference_operator.api.spec import parse
from inference_operator.config import Config
from inference_operator.desired.state import build_desired


def deployment(predictor: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The Deployment of a predictor, and the name of its revision."""
    metadata = {"name": "a", "namespace": "n", "uid": "u", "generation": 1}
    desired = build_desired(
        parse({"metadata": metadata, "spec": {"predictor": predictor}}), Config()
    )
    (found,) = [child for child in desired.children if child["kind"] == "Deployment"]
    return dict(found), desired.revision


def test_the_copy_of_the_service_account_goes_with_it() -> None:
    with_account, _ = deployment({"serviceAccountName": "reader"})
    spec = with_account["spec"]["template"]["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("reader", "reader")
    without, _ = deployment({})
    assert not {"serviceAccountName", "serviceAccount"} & without["spec"]["template"]["spec"].keys()


def test_the_copy_is_no_reason_to_restart_pods() -> None:
    """Pods of an operator that did not send it yet have it all the same."""
    _, revision = deployment({"serviceAccountName": "reader"})
    assert revision == "a-predictor-2724bf6a"
