"""A history as the checks use it: indexed once, with the few questions that all of them ask."""
import collections
import functools

from records import entry_key

Finding = collections.namedtuple("Finding", "check endpoint text at")
Allowed = collections.namedtuple("Allowed", "what endpoint text at cause")


class Facts:
    def __init__(self, history):
        self.h = history
        self.settings, self.final = history["settings"], history["final"]
        self.findings, self.allowed = [], []
        self.results, self.alerts = self.final["results"], self.final["alerts"]

    # what was found

    def wrong(self, check, endpoint, text, at=0):
        self.findings.append(Finding(check, endpoint, text, at))

    def allow(self, what, endpoint, text, at, cause):
        self.allowed.append(Allowed(what, endpoint, text, at, cause))

    def lost_or_wrong(self, check, endpoint, text, since, until, acknowledged=False):
        """A write between since and until is gone: allowed within what Redis may lose, else a finding."""
        loss = self.loss(since, until)
        if loss and not (acknowledged and self.settings.get("barrier")):
            self.allow(check, endpoint, text, since, loss["cause"])
        else:
            self.wrong(check, endpoint, text, since)

    # questions

    def loss(self, since, until):
        """A window in which Redis may have lost what was written that touches [since, until]."""
        return next((x for x in self.h["losses"] if x["from"] <= until and since <= x["to"]), None)

    def faults(self, since, until, targets=None):
        return [f for f in self.h["faults"] if f["from"] <= until and since <= (f["to"] or 9e15)
                and (targets is None or f["target"] in targets)]

    @functools.cached_property
    def seen(self):
        """Everything that a subscriber or the end saw of results: (entry, id) → entry."""
        return {(e["entry"], e["id"]): e for e in [*self.h["seen_plain"], *self.h["seen_group"], *self.results]
                if e["stream"] == "results"}

    @functools.cached_property
    def survived(self):
        return {(e["entry"], e["id"]) for e in self.results}

    @functools.cached_property
    def by_endpoint(self):
        """Results that survived, by endpoint, in order."""
        out = collections.defaultdict(list)
        for e in sorted(self.results, key=entry_key):
            out[e["subject"]].append(e)
        return out

    @functools.cached_property
    def seen_by_endpoint(self):
        """As by_endpoint, with what was lost."""
        out = collections.defaultdict(list)
        for e in sorted(self.seen.values(), key=entry_key):
            out[e["subject"]].append(e)
        return out

    @functools.cached_property
    def issued_at(self):
        """When the authority issued a serial."""
        return {o["serial"]: o["issued"] for o in self.h["orders"].values() if o["serial"]}
