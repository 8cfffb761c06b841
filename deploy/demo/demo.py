#!/usr/bin/python3
"""The whole story of certfleet on one machine: `make demo`.

Starts real servers in a private folder, adds three endpoints, plays the customers who create the DNS records, waits for
the certificates, fetches the sites as a browser would, renews one, shows that certfleet saw each of them served, and ends. On a terminal it stays up so that you can
try things (DEMO_STAY=0 or 1 overrides). Ctrl-C at any time leaves nothing behind.
"""
import os
import shutil
import sys
import textwrap
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from servers import ServerError, wait_until  # noqa: E402
from stack import TARGET, TOP, Stack, build_dir, die_with_signals  # noqa: E402

COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

ENDPOINTS = (
    ("shop", ("shop.example.test",), "external", "a shop that the internet reaches"),
    ("wiki", ("wiki.internal.test",), "internal", "an inner site that no authority could reach"),
    ("apps", ("apps.example-customer.test", "*.apps.example-customer.test"), "external", "a name and all below it"),
)
ZONE = "office"  # where the inner site is, and the workers of the demo are: they see what it serves
FETCH = {"shop": ("shop.example.test",), "wiki": ("wiki.internal.test",),
         "apps": ("apps.example-customer.test", "blue.apps.example-customer.test")}


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def say(text=""):
    print(text, flush=True)


class Steps:
    def __init__(self):
        self.n = 0

    def __call__(self, title, why=""):
        self.n += 1
        say()
        say(paint("1", f"{self.n}. {title}"))
        for line in textwrap.wrap(why, 96):
            say(paint("2", f"   {line}"))


def show(text):
    for line in text.rstrip("\n").splitlines():
        say(f"   {line}")


def run(stack, *args, **kwargs):
    """Shows a command as one would type it, runs it and shows what it said."""
    say(paint("36", "   $ certfleet " + " ".join(f"'{a}'" if "*" in a else a for a in args)))
    done = stack.cli(*args, **kwargs)
    show(done.stdout)
    return done


def zone_records(stack, endpoint):
    """The records to create, as (name, type, data), from the zone-file lines that certfleet prints."""
    records = []
    for line in stack.cli("records", endpoint, "--zone").stdout.splitlines():
        words = [w for w in line.partition(";")[0].split() if w not in ("IN", "in")]
        if len(words) > 1 and words[1].isdigit():
            del words[1]
        if len(words) >= 3:
            records.append((words[0], words[1], " ".join(words[2:])))
    return records


def add_endpoints(stack):
    for endpoint, names, kind, what in ENDPOINTS:
        say()
        show(paint("2", f"# {what}"))
        target = ("--target", TARGET) if kind == "external" else ()
        zone = ("--zone", ZONE) if kind == "internal" else ()
        run(stack, "endpoint", "add", *names, "--type", kind, *target, *zone, "--id", endpoint, "-q")


def create_records(stack):
    for endpoint, *_ in ENDPOINTS:
        records = zone_records(stack, endpoint)
        stack.knot.add(*records)
        for name, kind, data in records:
            show(f"{name} {kind} {data}  {paint('32', 'created')}")
    run(stack, "endpoint", "verify", *(endpoint for endpoint, *_ in ENDPOINTS))


def wait_active(stack, seconds=120):
    """Shows each change of state until all are active."""
    began, seen = time.monotonic(), {}

    def look():
        for endpoint, *_ in ENDPOINTS:
            state = stack.cli_json("endpoint", "show", endpoint).get("state", "?")
            if seen.get(endpoint) != state:
                seen[endpoint] = state
                mark = paint("32", state) if state == "active" else state
                show(f"{time.monotonic() - began:5.1f} s  {endpoint:<6} {mark}")
        return all(state == "active" for state in seen.values())
    wait_until("all endpoints to be active", look, seconds, every=0.2)


def fetch_sites(stack):
    for endpoint, *_ in ENDPOINTS:
        for name in FETCH[endpoint]:
            wait_until(f"the edge to serve {name}", lambda n=name: stack.curl(n, check=False).returncode == 0, 60, 0.2)
            body = stack.curl(name).stdout.strip()
            facts = stack.served(name)
            show(f"https://{name}/  {paint('32', 'verified')}  \"{body.rpartition(':')[0] or body}\"")
            show(f"    serial {facts['serial']}, for {', '.join(facts['names'])}, until {facts['notAfter']}")


def renew(stack):
    name = FETCH["shop"][0]
    before = stack.serial_served(name)
    show(f"served now: serial {before}")
    run(stack, "endpoint", "renew", "shop", "--wait")
    wait_until("the edge to serve the new certificate", lambda: stack.serial_served(name) != before, 60, 0.2)
    stack.curl(name)
    show(f"served now: serial {stack.serial_served(name)}  {paint('32', 'new, and verified')}")


def proof(stack):
    """A look comes 2 s after each certificate, and again until the edge has it."""
    for endpoint, *_ in ENDPOINTS:
        def proven():
            e = stack.cli_json("endpoint", "show", endpoint)
            return e if e["served"]["status"] == "ok" and e["served"]["serial"] == e["certificate"]["serial"] else None
        e = wait_until(f"the edge's proof of {endpoint}", proven, 60, 0.1)
        show(f"{endpoint:<6} {paint('32', 'served')} {e['served']['right']} of {e['served']['addresses']}  serial {e['served']['serial']}")
    say()
    show(paint("2", "# the way of the shop's two certificates, from endpoint show"))
    timeline = stack.cli_json("endpoint", "show", ENDPOINTS[0][0])["timeline"]
    for t in timeline:
        if t["what"] in ("issued", "renewed", "published", "served"):
            show(f"{t['time'][11:19]}  {t['what']:<9}  {t['text']}")


def write_owner(stack):
    """A command by which a visitor plays a domain's owner: cname NAME VALUE."""
    zones = " ".join(sorted(stack.knot.zones, key=len, reverse=True))
    path = os.path.join(stack.folder, "cname")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="ascii") as f:
        f.write(f"""#!/bin/sh
# cname NAME VALUE: creates a CNAME in the customers' DNS, as their owner would.
for zone in {zones}; do
    case $1 in *.$zone)
        printf 'zone-begin %s.\\nzone-set %s. %s. 1 CNAME %s.\\nzone-commit %s.\\n' "$zone" "$zone" "$1" "$2" "$zone" |
            knotc -s {stack.knot.socket} >/dev/null && exit 0 ;;
    esac
done
echo "cname: none of the zones here holds $1: {zones}" >&2
exit 1
""")
    return path


def stay(stack):
    alias = f"{build_dir()}/certfleet -c {stack.config}"
    cname = write_owner(stack)
    say()
    say(paint("1", "All is up. Now your own, in a browser on this machine:"))
    show(f"""
1. Open    http://127.0.0.1:{stack.schedulers[0].port}/
   and add an endpoint: own.internal.test, internal. The page shows the record to create.
2. Create that record, in another terminal; the page has a button to copy each part:
   {cname} NAME VALUE
3. Watch the page turn green and the certificate come.""")
    say()
    say(paint("1", "Other things to try, in another terminal:"))
    show(f"""
alias cf='{alias}'
cf endpoint list                      cf records shop
cf endpoint show apps                 cf certificate show wiki
cf results --follow                   cf status
cf endpoint add new.example.test --type external --target {TARGET} --id new
knotc -s {stack.knot.socket} zone-read example.test     # the customer's zone
dig @127.0.0.1 -p {stack.unbound.port} _acme-challenge.shop.example.test CNAME
curl --cacert {stack.pebble.root_file} --resolve shop.example.test:{stack.haproxy.https_port}:127.0.0.1 \\
     https://shop.example.test:{stack.haproxy.https_port}/
kill -9 {stack.workers[0].pid}                          # a worker: the other takes its jobs over
logs: {stack.folder}/*/*.log""")
    say()
    say("Ctrl-C ends it and leaves nothing behind.")
    while all(s.alive() for s in (stack.redis, stack.pebble)):
        time.sleep(0.5)
    raise ServerError("Redis or Pebble ended by itself")


def story(stack):
    step = Steps()
    step("Start", "Real servers, each on a free port of 127.0.0.1, all in " + stack.folder)
    stack.say = lambda text: show(f"· {text}")
    began = time.monotonic()
    stack.start()
    show(f"up in {time.monotonic() - began:.1f} s")
    step("The platform adds three endpoints")
    add_endpoints(stack)
    step("What the domains' owners must create",
         "Two CNAMEs for a name that is reached from outside (traffic, and the one that lets certfleet answer for it), "
         "one for an internal name. They stay for ever: no renewal needs an owner again.")
    run(stack, "records", *(endpoint for endpoint, *_ in ENDPOINTS))
    step("The owners create them", "In their own DNS (Knot here), and someone asks certfleet to look again.")
    create_records(stack)
    step("certfleet provisions")
    wait_active(stack)
    step("The sites, as a browser sees them", "curl through HAProxy, trusting only Pebble's root.")
    fetch_sites(stack)
    step("A renewal", "By request here; by itself when two thirds of the lifetime have passed or the authority says so.")
    renew(stack)
    step("The proof", "certfleet looks by TLS, as a visitor would, at what each address of the edge presents, until all have it.")
    proof(stack)


def keep_logs(stack):
    to = os.path.join(TOP, "build", "demo-failed")
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(stack.folder, to, ignore=lambda folder, names: [
        n for n in names if not n.endswith(".log") and not os.path.isdir(os.path.join(folder, n))])
    return to


def main():
    die_with_signals()
    stack = None
    want_stay = os.environ.get("DEMO_STAY", "1" if sys.stdin.isatty() and sys.stdout.isatty() else "0") == "1"
    say(paint("1", "certfleet: the main job, end to end, on real servers"))
    try:
        stack = Stack(config={"scheduler": {"proof_every": "24h"}, "worker": {"zone": ZONE}})
        story(stack)
        if want_stay:
            stay(stack)
        say()
        say(paint("32", "Done: three endpoints provisioned, served and verified, one renewed."))
        return 0
    except KeyboardInterrupt:
        say("\nEnding.")
        return 0 if want_stay else 130
    except ServerError as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        if stack:
            print(f"demo: logs are in {keep_logs(stack)}", file=sys.stderr)
        return 1
    finally:
        if stack:
            stack.stop()


if __name__ == "__main__":
    sys.exit(main())
