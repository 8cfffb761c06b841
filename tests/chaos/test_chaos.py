"""A short storm over each kind of Redis that can lose something, judged as a long one is.

The seeds are fixed, so that a failure is the code's and not the day's; `make chaos SEED=…` runs others, and longer.
"""
import os
import re

import chaos
import checker
import plan as planning
import pytest

BUILD = os.environ.get("CERTFLEET_BUILD", "build/release")
PATIENCE = 3 if "asan" in BUILD or "tsan" in BUILD else 1
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*")
SECONDS = 22


def sanitizer_findings(folder):
    for path, _, names in os.walk(folder):
        for name in names:
            if name.startswith(("worker", "scheduler")) and name.endswith(".log"):
                with open(os.path.join(path, name), errors="replace") as f:
                    found = SANITIZER.search(f.read())
                if found:
                    yield f"{name}: {found[0]}"


@pytest.mark.parametrize("seed, redis", [(4, "everysec"), (2, "sentinel")])
def test_a_short_storm_breaks_no_promise(seed, redis):
    folder = os.path.join(chaos.TOP, BUILD, "chaos", f"{seed}-{redis}")
    facts = chaos.persist(planning.make(seed, SECONDS, redis), folder, patience=PATIENCE)
    print(checker.summary(facts))
    assert not facts.findings, "\n" + checker.findings(facts)
    assert not list(sanitizer_findings(folder))
    assert facts.h["faults"] and facts.counts["certificates"] > 5, "it was no storm"
