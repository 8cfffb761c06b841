"""The three endpoints of the demo, its second run, and its end by Ctrl-C."""
import glob
import os
import re
import signal
import subprocess
import time

from conftest import TOP

DEMO = [os.path.join(TOP, "deploy/demo/demo.py")]


def start_demo(**env):
    """As a terminal starts it: what began in a background shell, which ignores SIGINT, would pass that on."""
    return subprocess.Popen(["/usr/bin/python3", "-B", *DEMO], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                            env={**os.environ, "DEMO_STAY": "0", **env})


def processes_in(folder):
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if folder.encode() in f.read():
                    found.append(path)
        except OSError:
            pass
    return found


def folder_of(output):
    return re.search(r"all in (/\S+)", output)[1]


def test_demo_tells_the_whole_story(patience):
    demo = start_demo()
    output, _ = demo.communicate(timeout=180 * patience)
    print(output)
    assert demo.returncode == 0
    # Two CNAMEs for the external, one for the internal, and the shared one of base and wildcard.
    for record in (r"shop\.example\.test\.? +CNAME +ingress\.platform\.test",
                   r"_acme-challenge\.shop\.example\.test\.? +CNAME +[a-z2-7]{26}\.acme\.platform\.test",
                   r"_acme-challenge\.wiki\.internal\.test\.? +CNAME +[a-z2-7]{26}\.acme\.platform\.test",
                   r"_acme-challenge\.apps\.example-customer\.test\.? +CNAME +[a-z2-7]{26}\.acme\.platform\.test"):
        assert re.search(record, output), record
    assert not re.search(r"(?m)^ *wiki\.internal\.test\.? +CNAME", output)
    for name in ("shop.example.test", "wiki.internal.test", "apps.example-customer.test",
                 "blue.apps.example-customer.test"):
        assert f"https://{name}/  verified" in output
    serials = re.findall(r"served now: serial (\S+)", output)
    assert len(serials) == 2 and serials[0] != serials[1]
    for endpoint in ("shop", "wiki", "apps"):
        assert re.search(rf"(?m)^ *{endpoint} +served 1 of 1 +serial ", output), endpoint
    steps = re.findall(r"(?m)^ *\d\d:\d\d:\d\d +(\w+) ", output.partition("8. The proof")[2])
    assert steps[0] == "issued" and steps[1] == "published" and "renewed" in steps and steps[-1] == "served"
    folder = folder_of(output)
    assert not os.path.exists(folder)
    assert not processes_in(folder)


def test_ctrl_c_leaves_nothing_behind(patience):
    demo = start_demo()
    seen = ""
    for line in demo.stdout:
        seen += line
        if line.startswith("3."):
            break
    folder = folder_of(seen)
    assert processes_in(folder)
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60 * patience)
    assert demo.returncode == 130
    assert not os.path.exists(folder)
    deadline = time.monotonic() + 5
    while processes_in(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_in(folder)
