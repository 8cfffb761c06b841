"""Renewals that the authority asks for (RFC 9773)."""
import time

import pytest
from conftest import running_stack, stack_module
from servers import wait_until

NAME = "ari.internal.test"


class Asking(stack_module.Stack):
    """Pebble says to ask again in six hours; this fleet asks every few seconds."""

    def base_config(self):
        config = super().base_config()
        config["authorities"][0]["renewal_info_every"] = "3s"
        return config


@pytest.fixture
def asking(monkeypatch):
    monkeypatch.setattr(stack_module, "Stack", Asking)
    yield from running_stack(sync=False)


def test_a_window_in_the_past_renews_with_replaces(asking, patience):
    asking.knot.add(asking.challenge_cname(NAME))
    asking.cli("endpoint", "add", NAME, "--type", "internal", "--id", "ari")
    asking.wait_states("active", ["ari"], 30 * patience)
    serial = asking.pebble.serials()[-1]
    now = time.time()
    asking.pebble.set_renewal_window(asking.pebble.certificate(serial)[1], now - 7200, now - 3600)
    wait_until("the renewal", lambda: len(asking.pebble.serials()) == 2, 30 * patience, 0.2)
    assert "ARI: order" in asking.pebble.log() and "is a replacement of" in asking.pebble.log()
    new = asking.pebble.serials()[-1].upper().lstrip("0")
    wait_until("the endpoint to have it", lambda: shown_serial(asking) == new, 20 * patience, 0.2)
    # The new one's window is in two months: nothing more is ordered.
    end = time.monotonic() + 7
    while time.monotonic() < end:
        assert asking.pebble.orders_added() == 2
        time.sleep(0.5)


def shown_serial(stack):
    return stack.cli_json("endpoint", "show", "ari")["certificate"]["serial"].upper().replace(":", "").lstrip("0")
