"""Fixtures: a whole certfleet beside real servers (deploy/demo/stack.py), one a module.

When a test fails, the ends of the logs are shown with it. After each module, every daemon must have ended with status
0 on SIGTERM, and no sanitizer may have found anything.
"""
import contextlib
import json
import os
import re
import sys

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "deploy", "demo"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

import faults  # noqa: E402
import stack as stack_module  # noqa: E402

SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)")
_running = []


def build_name():
    return os.environ.get("CERTFLEET_BUILD", "build/release")


def slow():
    """How much longer things may take: sanitizers cost."""
    return 3 if "asan" in build_name() or "tsan" in build_name() else 1


# The longest files, which begin first when several run at once: else the last of them runs alone.
LONGEST = ("test_faults_redis test_zoo test_fleet test_breaker test_faults_sentinel test_dashboard test_served test_alerts "
           "test_redis_sentinel test_fairness test_faults_drain test_crash test_faults_worker test_alerts_dns").split()


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        place = {name: i for i, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def patience():
    return slow()


def running_stack(**kwargs):
    """A started stack for a fixture to yield from; afterwards its end is judged."""
    with stack_module.Stack(**kwargs) as stack:
        _running.append(stack)
        try:
            yield stack
        finally:
            _running.remove(stack)
            findings = end(stack)
    assert not findings, "\n".join(findings)


def refused(stack):
    """What Redis refused one of our users (deploy/redis/users.acl.in). Two things are tried and passed over: to load
    scripts, by who may run none; and to look at appendfsync, since CONFIG would give away passwords as well."""
    if not stack.redis.alive():
        return []
    text = stack.redis.command("--json", "acl", "log")
    return [f"Redis refused {e['username']} {e['reason']} {e['object']}" for e in json.loads(text)
            if e["username"].startswith("certfleet-") and e["object"] not in ("script|load", "config|get")]


def end(stack):
    """Stops our daemons politely; gives what is wrong with how they ended."""
    findings = refused(stack)
    if stack.pebble.hung:
        findings.append("Pebble hung: see its stacks above")
    ours = stack.schedulers + stack.workers
    for server in ours:
        if server.process is None:
            continue
        status = server.stop()
        if status != 0:
            findings.append(f"{server.name} ended with status {status}:\n{server.log_tail()}")
    for server in ours + ([stack.sync] if stack.sync else []):
        log = server.log()
        found = SANITIZER.search(log)
        if found:
            findings.append(f"{server.name}:\n{log[found.start():found.start() + 6000]}")
    return findings


stack_context = contextlib.contextmanager(running_stack)


@pytest.fixture(scope="module")
def stack():
    yield from running_stack()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and report.when == "call":
        for stack in _running:
            for server in stack.schedulers + stack.workers + ([stack.sync] if stack.sync else []):
                report.sections.append((f"end of {server.name}'s log", server.log_tail(25)))
            report.sections.append(("end of Pebble's log", stack.pebble.log_tail(12)))


def pytest_sessionfinish(session):
    """With pytest-xdist the rows of the fault table go home to who shows them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = faults.rows()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for row in getattr(node, "workeroutput", {}).get("faults", []):
        faults.row(*row)


def pytest_terminal_summary(terminalreporter):
    """Leaves pytest's own last line where `make test` finds it."""
    parts, _ = terminalreporter.build_summary_stats_line()
    folder = os.path.join(TOP, build_name())
    if os.path.isdir(folder):
        with open(os.path.join(folder, "e2e.txt"), "w", encoding="utf-8") as f:
            f.write("e2e: " + ", ".join(text for text, _ in parts) + "\n")
    show_faults(terminalreporter, folder)


def show_faults(terminalreporter, folder):
    """The fault table, as far as this run filled it."""
    lines = faults.table()
    if not lines:
        return
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line)
    if os.path.isdir(folder):
        with open(os.path.join(folder, "faults.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
