#!/usr/bin/python3
"""Chaos: a seed makes a plan, a fleet goes through it, and what it left is held against the promises.

    chaos.py --seed 7 --seconds 600 [--redis everysec|always|sentinel] [--print-plan: only say what it would do]
    chaos.py --judge build/chaos/7-everysec/history.json      judges a history again

Everything is left in build/chaos/SEED-FLAVOUR/: plan.txt, history.json, report.txt, and stack/ with all logs.
Exit status 0: no finding.
"""
import argparse
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "deploy", "demo")]

import checker  # noqa: E402
import plan as planning  # noqa: E402
import run as running  # noqa: E402
from observe import History  # noqa: E402
from stack import die_with_signals  # noqa: E402


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text + "\n")


def one(plan, folder, say=print, patience=1):
    """A whole run; gives the Facts with what was found."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "stack"))
    write(folder, "plan.txt", planning.text(plan))
    say(planning.text(plan).splitlines()[0])
    history = History()
    try:
        with running.Run(plan, history, os.path.join(folder, "stack"), say, patience) as run:
            run.go()
    finally:
        running.write(history, folder)
    return judge(os.path.join(folder, "history.json"), folder)


def persist(plan, folder, **kwargs):
    """Pebble can come to a stand by itself: such a run shows nothing, and its seed is run again."""
    for left in (2, 1, 0):
        try:
            return one(plan, folder, **kwargs)
        except running.PebbleHangs:
            if not left:
                raise
            print(f"seed {plan.seed} {plan.redis}: Pebble hangs (its own fault); again", flush=True)


def judge(path, folder):
    with open(path, encoding="utf-8") as f:
        facts = checker.check(json.load(f))
    write(folder, "report.txt", checker.summary(facts) + "\n" + checker.findings(facts, most=1000))
    return facts


def tell(facts):
    print(checker.summary(facts))
    if facts.findings:
        print(checker.findings(facts))
    return not facts.findings


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--seconds", type=float, default=60)
    args.add_argument("--redis", choices=planning.REDIS, help="if not given, by the seed")
    args.add_argument("--print-plan", action="store_true")
    args.add_argument("--judge", metavar="HISTORY")
    args = args.parse_args()
    if args.judge:
        return 0 if tell(judge(args.judge, os.path.dirname(os.path.abspath(args.judge)))) else 1
    kinds = list(planning.REDIS)
    plan = planning.make(args.seed, args.seconds, args.redis or kinds[(args.seed - 1) % len(kinds)])
    if args.print_plan:
        print(planning.text(plan))
        return 0
    die_with_signals()
    folder = os.path.join(TOP, "build", "chaos", f"{plan.seed}-{plan.redis}")
    return 0 if tell(persist(plan, folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
