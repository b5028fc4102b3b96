from server.cohort import choose, has_quorum
from shared.sections import CohortSection


def test_every_connected_site_is_asked_in_order_of_name() -> None:
    assert choose(("south", "east", "north"), CohortSection(quorum=3)) == ("east", "north", "south")


def test_nobody_is_asked_when_the_quorum_is_out_of_reach() -> None:
    assert choose(("south", "east"), CohortSection(quorum=3)) == ()
    assert choose((), CohortSection(quorum=1)) == ()


def test_a_round_counts_from_its_quorum_on() -> None:
    assert [has_quorum(accepted, CohortSection(quorum=2)) for accepted in (0, 1, 2, 3)] == [False, False, True, True]
