"""A seed is a plan, always the same; and a plan is something one can survive."""
import plan as planning
import pytest


@pytest.mark.parametrize("redis", planning.REDIS)
def test_the_same_seed_is_the_same_plan(redis):
    assert planning.make(7, 120, redis) == planning.make(7, 120, redis)
    assert planning.make(7, 120, redis) != planning.make(8, 120, redis)


@pytest.mark.parametrize("seconds", [20, 60, 600])
@pytest.mark.parametrize("redis", planning.REDIS)
def test_all_is_over_when_the_calm_begins(seconds, redis):
    for seed in range(20):
        p = planning.make(seed, seconds, redis)
        assert all(f.at + f.for_s <= p.storm + 0.01 for f in p.faults)
        assert all(s.at <= p.storm for s in p.steps)
        assert {f.what for f in p.faults} <= set(planning.possible(redis))


def test_a_target_suffers_one_fault_at_a_time():
    for seed in range(20):
        over = {}
        for f in planning.make(seed, 300).faults:
            assert over.get(f.target, 0) <= f.at
            over[f.target] = f.at + f.for_s


def test_every_fault_that_a_redis_knows_comes_up():
    for redis in planning.REDIS:
        seen = {f.what for seed in range(10) for f in planning.make(seed, 600, redis).faults}
        assert seen == set(planning.possible(redis))


def test_dns_is_right_before_it_is_asked_for_and_in_the_end():
    p = planning.make(3, 600)
    for e in p.endpoints:
        mine = [s for s in p.steps if s.endpoint == e.id]
        edits = [s.op for s in mine if s.op.startswith("dns_")]
        assert sum(s.op == "add" for s in mine) == 1
        for s in mine:
            if s.op == "update" and edits:
                assert any(d.op == "dns_repair" and d.args["names"] == s.args["names"] and d.at <= s.at for d in mine)


def test_it_can_be_read():
    text = planning.text(planning.make(1, 60))
    assert "seed 1, 60 s" in text and "FAULT" in text and " add c0 " in text
