import pytest

from cord.in_flight import InFlight, in_flight_of


def test_the_first_problems_count_their_rounds_from_nought() -> None:
    places = InFlight(3)
    with places.pace() as a, places.pace() as b:
        assert (a.urgency, b.urgency) == (0, 0)
        places.go_on(a)
        assert (a.urgency, b.urgency) == (1, 0), "b lags behind"


def test_who_begins_later_stands_in_the_midst_of_those_at_work() -> None:
    places = InFlight(3)
    with places.pace() as ahead, places.pace() as behind:
        for _ in range(10):
            places.go_on(ahead)
        for _ in range(4):
            places.go_on(behind)
        with places.pace() as new:
            assert behind.urgency < new.urgency < ahead.urgency


def test_who_fails_is_counted_no_more() -> None:
    places = InFlight(3)

    def fail() -> None:
        with places.pace() as pace:
            places.go_on(pace)
            raise RuntimeError("the search failed")

    with pytest.raises(RuntimeError):
        fail()
    with places.pace() as new:
        assert new.urgency == 0


def test_all_shards_of_a_run_share_its_places() -> None:
    assert in_flight_of("run-a", 4) is in_flight_of("run-a", 4)
    assert in_flight_of("run-a", 4) is not in_flight_of("run-b", 4)
