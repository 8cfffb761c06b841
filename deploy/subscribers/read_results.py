#!/usr/bin/python3
"""Reads certfleet's results as they happen: read_results.py redis://127.0.0.1:6379/0 [FLEET [FROM_ID]]"""
import sys
import msgpack
import redis

db = redis.Redis.from_url(sys.argv[1])
stream = "cf:{%s}:results" % (sys.argv[2] if len(sys.argv) > 2 else "prod")
last = sys.argv[3].encode() if len(sys.argv) > 3 else b"0"  # 0: all that is kept; else the id read last


def order(id):
    return [int(part) for part in id.split(b"-")]


while True:
    db.xread({stream: last}, count=1, block=5000)  # waits
    # The oldest entry and the next ones at one instant: an oldest that is newer than what was read last is a gap.
    oldest, streams = db.pipeline(transaction=True).xrange(stream, count=1).xread({stream: last}, count=100).execute()
    if last != b"0" and oldest and order(oldest[0][0]) > order(last):
        print("gap: what came after", last.decode(), "and before", oldest[0][0].decode(), "is gone: look at all", flush=True)
    for _, events in streams or []:
        for last, event in events:
            print(event[b"type"].decode(), event[b"subject"].decode(), msgpack.unpackb(event[b"data"]), flush=True)
