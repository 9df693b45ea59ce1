"""A few hundred damaged uploads and bodies; `make fuzz` sends all of them."""

from collections.abc import Iterator

import pytest

from pressure import fuzz, soak
from pressure.bodies import body
from pressure.uploads import upload
from support.model_server import RunningServer


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with fuzz.both_models() as running:
        yield running


def test_a_request_of_a_number_is_always_the_same() -> None:
    assert upload(7) == upload(7)
    assert body(7) == body(7)
    assert len({upload(number).body for number in range(50)}) > 45


def test_damaged_requests_get_typed_errors_and_harm_nobody(server: RunningServer) -> None:
    report = fuzz.run(server, range(300), range(300))
    assert report.problems == []
    assert (report.uploads.sent, report.bodies.sent) == (300, 300)
    # Damage that never gets past the first check would find nothing.
    assert report.uploads.statuses[200] > 30
    assert report.uploads.statuses[400] > 30
    assert report.bodies.statuses[400] > 100


def test_every_kind_of_ordinary_request_is_answered(server: RunningServer) -> None:
    for request in soak.ordinary():
        answer = server.request(request.path, request.body, request.headers)
        assert answer.status == 200, (request.path, answer.body[:300])
