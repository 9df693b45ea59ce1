"""One round of every attack and some damaged uploads; `make hostile` sends all of them."""

from pressure import hostile


def test_attacks_harm_nobody() -> None:
    """How long `/healthz` takes is measured by `make hostile`: here others use the machine too."""
    with hostile.target() as (server, probes):
        report = hostile.run(server, probes, 1, range(100))
    assert report.problems == []
    assert report.uploads.sent == 100
    assert report.probes > 10
    # What is refused is refused for what it is.
    assert report.statuses[413] >= 4
    assert report.statuses[400] >= 4
