"""The quota ledger: GCRA over several limits at once, tickets, refunds."""
import pytest
import redis
from conftest import pack  # noqa: F401 - the fixtures live there

HOUR = 3600000


def reserve(fleet, *items, once="", ticket=0, priority=0):
    flat = [x for item in items for x in item]
    return fleet.run("quota", "reserve", once, ticket, priority, *flat)


def test_burst_then_wait(fleet):
    limit = ("ca:orders", 5, HOUR, 1)
    assert [reserve(fleet, limit)[0] for _ in range(5)] == [0] * 5
    wait, ticket, which = reserve(fleet, limit)
    assert HOUR - 1000 < wait <= HOUR and which == 1 and abs(ticket - fleet.now() - wait) < 1000
    assert 4 * HOUR < fleet.db.pttl(fleet.key("quota:ca:orders")) <= 5 * HOUR


def test_all_or_nothing(fleet):
    plenty, scarce = ("ca:a", 100, 1000, 1), ("ca:b", 1, HOUR, 1)
    assert reserve(fleet, plenty, scarce)[0] == 0
    before = fleet.db.get(fleet.key("quota:ca:a"))
    assert reserve(fleet, plenty, scarce)[2] == 2
    assert fleet.db.get(fleet.key("quota:ca:a")) == before


def test_tickets_are_distinct(fleet):
    limit = ("ca:a", 1, 1000, 1)
    reserve(fleet, limit)
    tickets = [reserve(fleet, limit)[1] for _ in range(50)]
    gaps = [b - a for a, b in zip(tickets, tickets[1:])]
    assert set(gaps) == {1000}


def test_newcomers_stand_behind_those_who_wait(fleet):
    limit = ("ca:a", 1, 20, 1)
    reserve(fleet, limit)
    first = reserve(fleet, limit)[1]
    fleet.db.set(fleet.key("quota:ca:a:next"), fleet.now() + HOUR)
    while fleet.now() < first:
        pass
    fleet.db.set(fleet.key("quota:ca:a"), fleet.now() + 10, px=HOUR)
    wait, _, _ = reserve(fleet, limit)
    assert wait > HOUR - 1000
    assert reserve(fleet, ("ca:a", 2, 20, 1), ticket=first)[0] == 0, "who has a ticket goes first"
    assert reserve(fleet, ("ca:a", 100, 20, 1), priority=1)[0] == 0, "and renewals do not wait for others"


@pytest.mark.parametrize("priority", [0, 1])
def test_who_comes_early_keeps_the_ticket(fleet, priority):
    limit, tail = ("ca:a", 1, HOUR, 1), ":first" if priority else ":next"
    reserve(fleet, limit)
    tickets = [reserve(fleet, limit)[1] for _ in range(3)]
    before = fleet.db.get(fleet.key("quota:ca:a" + tail))
    for ticket in tickets:
        wait, again, _ = reserve(fleet, limit, ticket=ticket, priority=priority)
        assert again == ticket and wait > 0
    assert fleet.db.get(fleet.key("quota:ca:a" + tail)) == before, "and takes nobody's place"
    assert reserve(fleet, limit)[1] == tickets[-1] + HOUR


def test_a_look_in_a_bucket_without_its_last(fleet):
    """Cost 0 waits exactly when one more would not fit into the whole."""
    charge = ("ca:a", 2, HOUR, 1)
    for charged in range(2):
        assert reserve(fleet, ("ca:a", 1, HOUR, 0))[0] == 0, charged
        assert reserve(fleet, charge, priority=1)[0] == 0
    assert HOUR - 1000 < reserve(fleet, ("ca:a", 1, HOUR, 0))[0] <= HOUR
    reserve(fleet, ("ca:b", 1, HOUR, 1))
    assert HOUR - 1000 < reserve(fleet, ("ca:b", 1, 1, 0))[0] <= HOUR


def test_once(fleet):
    limit = ("ca:a", 2, HOUR, 1)
    assert [reserve(fleet, limit, once="e:1")[0] for _ in range(5)] == [0] * 5
    assert reserve(fleet, limit, once="e:2")[0] == 0
    assert reserve(fleet, limit, once="e:3")[0] > 0
    assert fleet.run("quota", "refund", "e:1", *limit) == 1
    assert fleet.run("quota", "refund", "e:1", *limit) == 0
    assert fleet.run("quota", "refund", "e:3", *limit) == 0
    fleet.db.delete(fleet.key("quota:ca:a:next"))
    assert reserve(fleet, limit, once="e:3")[0] == 0


def test_refund_empties(fleet):
    limit = ("ca:a", 5, HOUR, 1)
    reserve(fleet, limit)
    fleet.run("quota", "refund", "", *limit)
    assert not fleet.db.exists(fleet.key("quota:ca:a"))


def test_block(fleet):
    until = fleet.now() + HOUR
    assert fleet.run("quota", "block", "ca:a", 300, 36000, until) == 1
    wait = reserve(fleet, ("ca:a", 300, 36000, 1))[0]
    assert HOUR - 2000 < wait <= HOUR


def test_share_for_renewals(fleet):
    """Others see a smaller burst on the same key."""
    renew, others = ("ca:a", 10, HOUR, 1), ("ca:a", 8, HOUR, 1)
    assert [reserve(fleet, others)[0] for _ in range(8)] == [0] * 8
    assert reserve(fleet, others)[0] > 0
    assert [reserve(fleet, renew, priority=1)[0] for _ in range(2)] == [0, 0]
    assert reserve(fleet, renew, priority=1)[0] > 0


@pytest.mark.parametrize("argv", [
    [], ["steal"], ["reserve", "", 0, 0], ["reserve", "", 0, 0, "k", 1, 1], ["reserve", "", 0, 0, "k", 0, 1, 1],
    ["reserve", "", 0, 2, "k", 1, 1, 1], ["reserve", "", -1, 0, "k", 1, 1, 1], ["reserve", "", 0, 0, "", 1, 1, 1],
    ["reserve", "", 0, 0, "k", 10**9, 10**12, 1], ["refund", "x"], ["block", "k", 1, 1], ["reserve", "", 0, 0] + ["k", 1, 1, 1] * 257])
def test_bad_arguments(fleet, argv):
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL"):
        fleet.run("quota", *argv)
    assert fleet.dump() == {}


def test_wrong_type_and_too_big(fleet):
    with pytest.raises(redis.ResponseError, match="CFERR ETOOBIG"):
        reserve(fleet, ("k", 5, 1000, 6))
    fleet.db.lpush(fleet.key("quota:k"), "x")
    with pytest.raises(redis.ResponseError, match="CFERR EINVAL not a string"):
        reserve(fleet, ("k", 5, 1000, 1))


@pytest.mark.parametrize("garbage", ["nan", "inf", "-inf", "1e300", "9" * 30, "x", ""])
def test_garbage_is_no_time(fleet, garbage):
    """A limit whose time cannot be read is whole."""
    for key in ("quota:ca:a", "quota:ca:a:next"):
        fleet.db.set(fleet.key(key), garbage)
    assert reserve(fleet, ("ca:a", 1, HOUR, 1))[0] == 0
    assert HOUR - 1000 < reserve(fleet, ("ca:a", 1, HOUR, 1))[0] <= HOUR
