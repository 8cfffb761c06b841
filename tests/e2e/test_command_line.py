"""The command line's face: completion in a real shell, manual pages, links, tokens, quotas, updates."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from conftest import build_name, running_stack
from servers import LOOPBACK

PAGES = ("certfleet.1", "certfleet-scheduler.8", "certfleet-worker.8", "certfleet.yaml.5")


@pytest.fixture(scope="module")
def fleet():
    limits = {"new_orders": "300/3h"}
    for stack in running_stack(workers=0, schedulers=1, sync=False):
        with open(stack.config, encoding="utf-8") as f:
            text = f.read()
        with open(stack.config, "w", encoding="utf-8") as f:
            f.write(text.replace("terms_of_service_agreed: true", "terms_of_service_agreed: true\n    limits: "
                                 f"{{new_orders: {limits['new_orders']}}}"))
        for name in ("shop", "shore", "blog"):
            stack.cli("endpoint", "add", f"{name}.example.test", "--id", name, "--type", "external", "--target",
                      "ingress.platform.test")
        yield stack


def typed(stack, line):
    """What a bash that loaded our script offers at the end of the line."""
    script = (f"source <({stack.program('certfleet')} completion bash) && compopt() {{ :; }}; COMP_LINE='{line}'; "
              "COMP_POINT=${#COMP_LINE}; _certfleet; printf '%s\\n' \"${COMPREPLY[@]}\"")
    path = os.path.dirname(os.path.abspath(stack.program("certfleet")))
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
                          env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "CERTFLEET_CONFIG": stack.config})
    return done.stdout.split()


@pytest.mark.parametrize("line, offered", [
    ("certfleet endpoint l", ["list"]),
    ("certfleet endpoint list --stat", ["--state="]),
    ("certfleet endpoint list --state=f", ["failing"]),
    ("certfleet endpoint list --state f", ["failing"]),
    ("certfleet --json jobs re", ["retry"]),
    ("certfleet alerts sil", ["silence", "silences"]),
    ("certfleet help endpoint rem", ["remove"]),
    ("certfleet explain caa_forb", ["caa_forbids"]),
    ("certfleet endpoint show sho", ["shop", "shore"]),
    ("certfleet endpoint remove b", ["blog"]),
    ("certfleet endpoint import /etc/host", ["/etc/host.conf", "/etc/hostname", "/etc/hosts"]),
    ("certfleet nothing", []),
], ids=lambda v: v.replace("certfleet ", "") if isinstance(v, str) else "")
def test_completes(fleet, line, offered):
    got = typed(fleet, line)
    assert got == offered or "/etc" in line and set(got) <= set(offered) and got


def test_completes_as_one_types(fleet, patience):
    """In an interactive bash, with its own Readline: the Tab key."""
    program = os.path.abspath(fleet.program("certfleet"))
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(PATH=f"{os.path.dirname(program)}:{os.environ['PATH']}", PS1="$ ", TERM="dumb",
                          CERTFLEET_CONFIG=fleet.config, INPUTRC="/dev/null", HISTFILE="")
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    seen = ""

    def until(text):
        nonlocal seen
        deadline = time.monotonic() + 20 * patience
        while text not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([fd], [], [], 0.2)[0]:
                seen += os.read(fd, 4096).decode(errors="replace")
    try:
        os.write(fd, b"source <(certfleet completion bash); echo re''ady\n")
        until("ready\r\n")
        os.write(fd, b"certfleet endpoint sho\tsho\t")
        until("certfleet endpoint show sho")
        os.write(fd, b"p\t--js\t\n")
        until('"id": "shop"')
    finally:
        os.close(fd)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_the_scripts(fleet, shell):
    script = fleet.cli("completion", shell).stdout
    assert "completion words" in script
    with open(os.path.join(build_name(), "completion", shell), encoding="utf-8") as f:
        assert f.read() == script


@pytest.mark.parametrize("page", PAGES)
def test_manual_pages_are_right(page):
    path = os.path.join(build_name(), "man", page)
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = subprocess.run(["mandoc", "-T", "utf8", path], capture_output=True, text=True, check=True).stdout
    text = re.sub(".\x08", "", text)  # how it writes what is bold
    assert all(f"\n{part}\n" in text for part in ("NAME", "DESCRIPTION", "SEE ALSO")) and len(text.splitlines()) > 20


def test_the_manual_has_every_command_and_key(fleet):
    text = fleet.cli("manual").stdout.replace("\\-", "-")
    for line in fleet.cli("help").stdout.splitlines():
        found = re.match(r"  (\w+(?: [a-z]+)?)(?: |$)", line)
        if found and not line.startswith("  certfleet"):
            assert found[1].split()[0] in text
    keys = fleet.cli("manual", "certfleet.yaml.5").stdout.replace("\\-", "-")
    for line in fleet.cli("config", "show").stdout.splitlines():
        assert line.strip(" -").split(":")[0] in keys


def exchange(fleet, secret):
    request = urllib.request.Request(f"http://{LOOPBACK}:{fleet.scheduler_ports[0]}/v1/links/exchange", method="POST",
                                     data=json.dumps({"secret": secret}).encode(),
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def test_links(fleet):
    first = fleet.cli_json("link", "new", "shop", "--expires", "1h")
    second = fleet.cli("link", "new", "shop", "--base", "https://dash.platform.test").stdout.strip()
    assert second.startswith("https://dash.platform.test/link#cf_")
    alive = fleet.cli_json("link", "list", "shop")["links"]
    assert len(alive) == 2
    assert exchange(fleet, first["link"].split("#")[1]) < 300
    assert fleet.cli_json("link", "revoke", "shop")["revoked"] == 2
    assert exchange(fleet, second.split("#")[1]) >= 400
    assert fleet.cli_json("link", "list", "shop")["links"] == []
    assert fleet.cli("link", "new", "nothing", check=False).returncode == 1
    assert fleet.cli("link", "new", "shop", "--expires", "1s", check=False).returncode == 2


def test_tokens(fleet):
    path = fleet.path("tokens")
    token = fleet.cli("token", "new", "ops", "--scope", "write", "--file", path).stdout.strip()
    fleet.cli("token", "new", "acme-ro", "--scope", "read", "--tenant", "acme", "--file", path)
    assert fleet.cli("token", "new", "ops", "--scope", "read", "--file", path, check=False).returncode == 1
    assert fleet.cli_json("token", "list", "--file", path)["tokens"] == [
        {"name": "ops", "scope": "write", "tenant": None}, {"name": "acme-ro", "scope": "read", "tenant": "acme"}]
    with open(path, encoding="utf-8") as f:
        assert token not in f.read()
    assert os.stat(path).st_mode & 0o777 == 0o600
    fleet.cli("token", "revoke", "ops", "--file", path)
    assert [t["name"] for t in fleet.cli_json("token", "list", "--file", path)["tokens"]] == ["acme-ro"]
    assert fleet.cli("token", "revoke", "ops", "--file", path, check=False).returncode == 1


def test_quotas(fleet):
    assert fleet.cli_json("quotas")["quotas"] == [{
        "authority": "pebble", "limit": "new_orders", "burst": 300, "window_seconds": 10800, "left": 300,
        "free_at": None}]
    assert "300" in fleet.cli("quotas").stdout


def test_update(fleet):
    assert fleet.cli("endpoint", "update", "blog", check=False).returncode == 2
    fleet.cli("endpoint", "update", "blog", "--key-type", "rsa-2048")
    done = fleet.cli("endpoint", "update", "blog", "blog.example.test", "www.blog.example.test")
    assert "updated" in done.stdout
    shown = fleet.cli_json("endpoint", "show", "blog")
    assert shown["names"] == ["blog.example.test", "www.blog.example.test"] and shown["key_type"] == "rsa-2048"
    assert fleet.cli("endpoint", "update", "blgo", "--target", "x.test", check=False).returncode == 1


def watching(fleet, *args, tty=False):
    """A process that watches, and the file that it writes to."""
    argv = [fleet.program("certfleet"), "-c", fleet.config, *args, "--watch=200ms"]
    if not tty:
        p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p, p.stdout.fileno()
    ours, theirs = pty.openpty()
    p = subprocess.Popen(argv, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    return p, ours


def read_until(fd, text, seconds, seen=""):
    deadline = time.monotonic() + seconds
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 65536).decode(errors="replace")
    return seen


def stop(p):
    p.send_signal(signal.SIGINT)
    return p.wait(20)


def test_watch_says_each_change_on_a_line(fleet, patience):
    p, fd = watching(fleet, "endpoint", "list")
    seen = read_until(fd, "shore", 20 * patience)
    fleet.cli("endpoint", "update", "shore", "--target", "other.platform.test")
    seen = read_until(fd, "endpoints[shore].target: ingress.platform.test -> other.platform.test\n", 20 * patience, seen)
    assert "\033" not in seen and stop(p) == 0
    p, fd = watching(fleet, "--json", "endpoint", "show", "shore")
    seen = read_until(fd, "}\n", 20 * patience)
    fleet.cli("endpoint", "update", "shore", "--target", "third.platform.test")
    seen = read_until(fd, "third.platform.test", 20 * patience, seen)
    seen = read_until(fd, '"what":"shore.generation"', 20 * patience, seen)
    assert stop(p) == 0
    for line in seen[seen.rindex("\n}") + 2:].strip().splitlines():
        assert set(json.loads(line)) == {"time", "what", "from", "to"}


def test_watch_draws_in_place(fleet, patience):
    p, fd = watching(fleet, "status", tty=True)
    seen = read_until(fd, "endpoints", 20 * patience)
    seen = read_until(fd, "\033[J\033[H", 20 * patience, seen)  # drawn again, without wiping
    assert seen.count("\033[2J") == 1 and stop(p) == 0
    assert fleet.cli("endpoint", "verify", "shop", "--watch", check=False).returncode == 2
