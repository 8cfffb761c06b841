"""What was asked is in force, what endpoints need is met, and the queue is whole."""
import collections

from records import entry_key

LIFE = ("endpoint.added", "endpoint.updated", "endpoint.removed")
BARRED = ("add", "update", "remove", "revoke")  # a barrier stands before their answer
CLOCK_MS = 2000  # a CLI's answer is matched with its event by time


def check_asks(f):
    """Each request is answered, once in effect, and what was acknowledged is there."""
    answers = collections.defaultdict(list)
    for e in f.results:
        if e["type"].startswith("request."):
            answers[e["id"]].append(e)
    for ask in f.h["asks"]:
        if ask["via"] == "cli":
            _check_cli(f, ask)
        else:
            _check_answer(f, ask, answers[f"req/{ask['source']}/{ask['id']}"])
    _check_order(f, answers)


def _check_answer(f, ask, found):
    words = f"{ask['op']} ({ask['source']}/{ask['id']})"
    if not ask["answered"]:
        f.wrong("asks", ask["endpoint"], f"{words} was never answered", ask["sent"])
    elif not found:
        f.lost_or_wrong("asks", ask["endpoint"], f"{words} was answered {ask['status']} and is not in force",
                        ask["sent"], ask["answered"], acknowledged=ask["op"] in BARRED)
    elif len(found) > 1:
        f.wrong("asks", ask["endpoint"], f"{words} was applied {len(found)} times", found[1]["at"])
    elif found[0]["data"]["status"] != ask["status"]:
        f.lost_or_wrong("asks", ask["endpoint"], f"{words} was answered {ask['status']}, then "
                        f"{found[0]['data']['status']}", ask["sent"], ask["answered"], acknowledged=ask["op"] in BARRED)


def _check_cli(f, ask):
    if ask["status"] != "done":
        return
    for e in f.by_endpoint[ask["endpoint"]]:
        if (e["type"] == "request.done" and e["data"]["request"] == "endpoint." + ask["op"]
                and ask["sent"] - CLOCK_MS <= e["at"] <= ask["answered"] + CLOCK_MS):
            return
    f.lost_or_wrong("asks", ask["endpoint"], f"{ask['op']} by the CLI was done and is not in force", ask["sent"],
                    ask["answered"], acknowledged=ask["op"] in BARRED)


def _check_order(f, answers):
    """What was asked after an answer is applied after it."""
    last = {}
    for ask in sorted((a for a in f.h["asks"] if a["via"] == "stream" and a["answered"]), key=lambda a: a["sent"]):
        found = answers[f"req/{ask['source']}/{ask['id']}"]
        before = last.get(ask["endpoint"])
        if found:
            if before and before[0]["answered"] < ask["sent"] and entry_key(before[1]) > entry_key(found[0]):
                f.lost_or_wrong("asks", ask["endpoint"], f"{ask['op']} {ask['id']} was applied before "
                                f"{before[0]['op']} {before[0]['id']}, answered before it", before[0]["sent"],
                                ask["answered"])
            last[ask["endpoint"]] = (ask, found[0])


def check_config(f):
    """Each endpoint that was added and not removed exists, as it was last told to be; and no other."""
    expected = {}
    for i, events in f.by_endpoint.items():
        for e in events:
            if e["type"] in LIFE[:2]:
                expected[i] = e
            elif e["type"] == LIFE[2]:
                expected.pop(i, None)
    for i, e in expected.items():
        now = f.final["endpoints"].get(i)
        if not now:
            f.wrong("config", i, "the endpoint is lost", e["at"])
        elif now["names"] != sorted(e["data"]["names"]) or now["generation"] != e["data"]["generation"]:
            f.wrong("config", i, f"has {now['names']} in generation {now['generation']}, was told "
                    f"{e['data']['names']} in {e['data']['generation']}", e["at"])
    for i in f.final["endpoints"]:
        if i not in expected:
            f.wrong("config", i, "exists, though it was removed or never added")
    for i in f.final["stray"]:
        f.wrong("config", i, "has a record, but is not in `endpoints`")
    _check_removals(f)


def _check_removals(f):
    """Who was asked to go is gone, and nobody else went. Behind a barrier the answer comes after the deed."""
    asked = collections.defaultdict(list)
    for a in f.h["asks"]:
        if a["op"] == "remove":
            asked[a["endpoint"]].append(a["sent"] - CLOCK_MS)
    for i, events in f.by_endpoint.items():
        told = False
        for e in events:
            if e["type"] == "endpoint.removed" and not any(at <= e["at"] for at in asked[i]):
                f.wrong("config", i, "was removed without being asked to", e["at"])
            elif e["type"] == "request.done" and e["data"]["request"] == "endpoint.remove":
                told = True
            told = told and e["type"] != "endpoint.added"
        if told and i in f.final["endpoints"]:
            f.wrong("config", i, "was asked to go and is still there")


def unrest(e, right=True):
    """Why an endpoint is not as it should be in the end, or "". right: its DNS is."""
    if not right:
        says_so = e["state"] in ("waiting_dns", "failing") or e["conditions"]
        if not says_so and not e["removing"]:
            return f"is {e['state']} without a word, and its DNS is wrong"
        return "is parked" if "parked" in ((e[q] or {}).get("where") for q in ("verify", "issue")) else ""
    job = e["issue"] or {}
    rules = (
        (e["removing"], "is being removed"),
        (e["state"] != "active", f"is {e['state']} {e['code']}".strip()),
        (e["looked_generation"] != e["generation"], "was not looked at since its config changed"),
        (e["dropped"], "has names that were dropped and not released"),
        (not e["serial"] or e["revoked"], "has no valid certificate"),
        (e["wanted"] != e["wanted_now"], "has a certificate for what it was before"),
        (e["renew_asked"] > e["issued"], "was asked to renew and did not"),
        (e["revoke_asked"] > e["revoke_done"] and e["serial"], "was asked to revoke and did not"),
        (job.get("where") == "parked", "is parked"),
    )
    return next((why for wrong, why in rules if wrong), "")


def right_names(edits):
    """Names whose DNS is right after all edits."""
    right = {}
    for edit in edits:
        right.update(dict.fromkeys(edit["names"], edit["right"]))
    return {n for n, is_right in right.items() if is_right}


def check_needs(f):
    """Each endpoint whose DNS is right is active, with a certificate of the authority's for just its names."""
    right = right_names(f.h["dns"])
    for i, e in f.final["endpoints"].items():
        is_right = set(e["names"]) <= right
        why = unrest(e, is_right)
        if why:
            f.wrong("needs", i, why, f.final["at"])
        if why or not is_right:
            continue
        certificate = f.h["certificates"].get(e["serial"])
        if not certificate:
            f.wrong("needs", i, f"has the certificate {e['serial']}, which the authority did not issue")
        elif sorted(certificate["names"]) != e["names"]:
            f.wrong("needs", i, f"has a certificate for {certificate['names']}, not {e['names']}")
        elif certificate["status"] != "Valid" or e["not_after"] < f.final["at"]:
            f.wrong("needs", i, f"has a certificate that is {certificate['status']} and ends at {e['not_after']}")


def check_queue(f):
    """The audit is clean, nothing runs after the drain, nothing is parked, all ended as they should."""
    final = f.final
    if final["audit"]["status"] != 0 or final["audit"]["said"].get("found") != 0:
        f.wrong("queue", "", f"the audit is not clean: {final['audit']}")
    for what in ("running", "parked"):
        for queue, ids in final[what].items():
            for i in ids:
                f.wrong("queue", i, f"its {queue} job is {what} in the end")
    for i, e in final["endpoints"].items():
        for queue in ("verify", "issue"):
            where = (e[queue] or {}).get("where", "none")
            if where in ("running", "parked"):
                f.wrong("queue", i, f"its {queue} job says it is {where} in the end")
            elif where == "none" and not (queue == "issue" and not e["serial"]):
                f.wrong("queue", i, f"it has no {queue} job")
    for stream, n in final["left"].items():
        if n:
            f.wrong("queue", "", f"{n} entries are left in {stream}")
    for name, status in final["exit"].items():
        if status != 0:
            f.wrong("queue", "", f"{name} ended with status {status} on SIGTERM")
    for fault in f.h["faults"]:
        if fault["what"] == "term" and fault.get("status") != 0:
            f.wrong("queue", "", f"{fault['target']} ended with status {fault.get('status')} on SIGTERM", fault["from"])
