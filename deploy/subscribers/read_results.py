#!/usr/bin/python3
"""Reads certfleet's results as they happen: read_results.py redis://127.0.0.1:6379/0 [FLEET [FROM_ID]]"""
import sys
import msgpack
import redis

db = redis.Redis.from_url(sys.argv[1])
stream = "cf:{%s}:results" % (sys.argv[2] if len(sys.argv) > 2 else "prod")
last = sys.argv[3] if len(sys.argv) > 3 else "0"  # 0: all that is kept; else the id read last
while True:
    for _, events in db.xread({stream: last}, count=100, block=5000):
        for last, event in events:
            print(event[b"type"].decode(), event[b"subject"].decode(), msgpack.unpackb(event[b"data"]), flush=True)
