"""The circuit breaker: failures of many open it, a canary closes it, and who failed before is asked again."""
import pytest
from conftest import DUE, FIELD, OK, PROVISION, Record

CLOSED, HALF, OPEN = range(3)
LIMIT, WINDOW, PAUSE, LONGEST = 5, 600000, 30000, 900000


class Way:
    def __init__(self, fleet, way="http-01", authority="ca"):
        self.fleet, self.at = fleet, (authority, way)

    def run(self, verb, *args):
        return self.fleet.run("breaker", verb, *self.at, *args)

    def fail(self, i, domain=None, id="e"):
        return self.run("note", "fail", LIMIT, WINDOW, domain or f"d{i}.example", f"www{i}.example", id)[0]

    def ok(self):
        return self.run("note", "ok")[0]

    def take(self, worker="w1"):
        return self.run("try", worker, 60000)

    def end(self, how, worker="w1", why=""):
        return self.run("end", worker, how, PAUSE, LONGEST, why)

    def row(self):
        keys = ("authority", "way", "state", "since", "from", "next", "tries", "failures", "armed", "why")
        for row in self.fleet.run("breaker", "look")[1:]:
            r = dict(zip(keys, [v.decode() if isinstance(v, bytes) else v for v in row]))
            if (r["authority"], r["way"]) == self.at:
                return r
        return None

    def edit(self, **values):
        """Moves times, so that nobody waits."""
        import msgpack
        key, field = self.fleet.key("breakers"), " ".join(self.at)
        row = msgpack.unpackb(self.fleet.db.hget(key, field))
        self.fleet.db.hset(key, field, msgpack.packb({**row, **values}, use_bin_type=False))


@pytest.fixture
def way(fleet):
    """One whose canary has passed once."""
    w = Way(fleet)
    assert w.take() == 1 and w.end("ok")[0] == CLOSED
    return w


def test_a_canary_that_never_passed_stops_nobody(fleet):
    w = Way(fleet)
    assert [w.fail(i) for i in range(30)] == [CLOSED] * 30
    assert w.take() == 1 and w.end("fail", why="no record")[0] == CLOSED
    assert [w.fail(i) for i in range(30)] == [CLOSED] * 30
    row = w.row()
    assert not row["armed"] and row["tries"] == 1 and row["why"] == "no record"
    assert w.take() == 0, "it is tried again later"


def test_it_opens_after_so_many_domains(way):
    assert [way.fail(i) for i in range(LIMIT)] == [CLOSED] * (LIMIT - 1) + [HALF]
    row = way.row()
    assert row["state"] == HALF and row["failures"] == LIMIT and row["from"] <= row["since"]


def test_names_of_one_domain_count_a_quarter(way):
    assert [way.fail(i, domain="one.example") for i in range(4 * LIMIT)] == [CLOSED] * (4 * LIMIT - 1) + [HALF]


def test_one_name_again_and_again_counts_once(way):
    assert [way.fail(1) for _ in range(50)] == [CLOSED] * 50


def test_a_success_between_begins_anew(way):
    for _ in range(3):
        assert [way.fail(i) for i in range(LIMIT - 1)] == [CLOSED] * (LIMIT - 1)
        assert way.ok() == CLOSED
    assert way.row()["failures"] == 0


def test_old_failures_do_not_count(way):
    for i in range(LIMIT - 1):
        way.fail(i)
    way.edit(fails=[[f"d{i}.example", f"www{i}.example", "e", 1] for i in range(LIMIT - 1)])
    assert way.fail(9) == CLOSED and way.row()["failures"] == 1


def test_ways_and_authorities_are_apart(fleet, way):
    for i in range(LIMIT):
        way.fail(i)
    others = [Way(fleet, "dns-01"), Way(fleet, "http-01", "other")]
    assert all(w.take() == 1 and w.end("ok")[0] == CLOSED for w in others)
    assert [w.row()["state"] for w in others] == [CLOSED] * 2 and way.row()["state"] == HALF
    orders = Way(fleet, "orders")
    assert orders.row()["armed"], "a canary that passes by whatever way shows that orders can be had"


def test_the_canary_alone_closes_it(way):
    for i in range(LIMIT):
        way.fail(i)
    assert way.ok() == HALF, "others' success says nothing now"
    assert way.take("w1") == 1 and way.take("w2") == 0, "one tries it"
    state, _, next_ms = way.end("fail", why="refused")
    assert state == OPEN and 0 < next_ms - way.fleet.now() <= PAUSE
    assert way.take() == 0 and way.ok() == OPEN
    way.edit(next=1)
    assert way.take() == 1 and way.row()["state"] == HALF
    assert way.end("ok")[0] == CLOSED
    row = way.row()
    assert row["failures"] == row["tries"] == row["next"] == 0 and row["why"] == ""


def test_one_canary_at_a_time_at_an_authority(fleet):
    http, dns, other = Way(fleet), Way(fleet, "dns-01"), Way(fleet, "dns-01", "other")
    assert http.take("w1") == 1 and dns.take("w2") == 0 and other.take("w2") == 1
    assert http.end("ok")[0] == CLOSED and dns.take("w2") == 1


def test_pauses_grow_to_the_longest(way):
    for i in range(LIMIT):
        way.fail(i)
    pauses = []
    for _ in range(8):
        assert way.take() == 1
        pauses.append(round((way.end("fail")[2] - way.fleet.now()) / 1000))
        way.edit(next=1)
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]


def test_a_pause_in_vain_takes_more_the_next_time(way):
    for i in range(LIMIT):
        way.fail(i)
    assert way.take() == 1 and way.end("ok")[0] == CLOSED
    assert [way.fail(i) for i in range(2 * LIMIT)] == [CLOSED] * (2 * LIMIT - 1) + [HALF]
    assert way.take() == 1 and way.end("ok")[0] == CLOSED
    way.ok()
    assert [way.fail(i) for i in range(LIMIT)][-1] == HALF, "a success makes it quick again"


def test_a_canary_whose_worker_died_is_tried_by_another(way):
    for i in range(LIMIT):
        way.fail(i)
    assert way.take("w1") == 1
    way.edit(lease=1)
    assert way.take("w2") == 1
    assert way.end("ok", worker="w1")[0] == HALF, "who lost its turn says nothing"
    assert way.end("left", worker="w2")[0] == HALF and way.take("w3") == 1
    assert way.end("ok", worker="w3")[0] == CLOSED


def test_it_is_tried_each_day_and_counts_for_two(way):
    assert way.take() == 0
    day = 86400000
    way.edit(good=way.fleet.now() - day - 1000)
    assert way.take() == 1 and way.end("fail", why="x")[0] == CLOSED
    assert way.row()["armed"]
    way.edit(good=way.fleet.now() - 2 * day - 1000)
    assert not way.row()["armed"] and [way.fail(i) for i in range(LIMIT)] == [CLOSED] * LIMIT


def test_who_failed_before_is_asked_again(fleet, way):
    ids = [f"e{i}" for i in range(LIMIT)]
    for i, id in enumerate(ids):
        fleet.add(id, issue=True)
        way.fail(i, id=id)
    way.take()
    before = [fleet.record(id, "issue").want for id in ids]
    way.end("fail")
    for id, want in zip(ids, before):
        r = fleet.record(id, "issue")
        assert (r.where, r.lane, r.why, r.want) == (DUE, 0, "outage", want + 1)
    way.edit(next=1)
    way.take()
    way.end("fail")
    assert [fleet.record(id, "issue").want for id in ids] == [want + 1 for want in before], "once"


def test_what_cannot_be_read_is_closed(fleet, way):
    fleet.db.hset(fleet.key("breakers"), "ca http-01", b"not msgpack")
    assert way.row()["state"] == CLOSED and way.fail(1) == CLOSED
    fleet.db.hset(fleet.key("breakers"), "nonsense", b"")
    assert way.row() is not None
