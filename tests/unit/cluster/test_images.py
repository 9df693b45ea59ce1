"""References of images, and which old builds are deleted."""

from __future__ import annotations

from local_cluster.images import (
    KEPT_BUILDS,
    LITERT,
    OPERATOR,
    TENSORFLOW,
    VARIANTS,
    reference_of,
    repository_of,
    superseded,
)


def test_references() -> None:
    assert (
        reference_of(OPERATOR, "0.1.0", "0123456789ab")
        == "inference-operator.dev/operator:0.1.0-0123456789ab"
    )
    small = reference_of(LITERT, "0.1.0", "0123456789ab")
    large = reference_of(TENSORFLOW, "0.1.0", "0123456789ab")
    assert large == f"{small}-tensorflow"


def test_a_demonstration_does_not_pay_for_tensorflow() -> None:
    assert TENSORFLOW not in VARIANTS["litert"]
    assert set(VARIANTS["all"]) == {*VARIANTS["litert"], *VARIANTS["tensorflow"]}


def test_builds_of_the_small_image_do_not_push_out_the_large_one() -> None:
    small = [reference_of(LITERT, "0.1.0", f"{n:012x}") for n in range(KEPT_BUILDS + 2)]
    large = [reference_of(TENSORFLOW, "0.1.0", "0123456789ab")]
    assert superseded(LITERT, small + large) == small[KEPT_BUILDS:]
    assert superseded(TENSORFLOW, small + large) == []


def test_both_variants_share_a_repository() -> None:
    assert repository_of(LITERT) == repository_of(TENSORFLOW) != repository_of(OPERATOR)
