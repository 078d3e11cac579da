"""Ask videod for a clip and wait for its end: producer.py SOURCE START END

Needs the package redis. Redis is that of $REDIS_URL.
"""
# ruff: noqa: T201

import json
import os
import sys
import uuid

import redis

FINAL = ("done", "dead", "cancelled")


def main() -> int:
    """Exit code 0 when the clip is made."""
    source, start, end = sys.argv[1:]
    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
    # a time-out of its own would end the wait for an event
    client = redis.Redis.from_url(url, socket_timeout=None)

    ident = f"python-{uuid.uuid4()}"
    reply = f"reply:{ident}"
    message = {"id": ident, "url": source, "start": start, "end": end, "reply_to": reply}
    client.lpush("video_info_queue", json.dumps(message))

    while found := client.brpop([reply], timeout=3600):
        event = json.loads(found[1])
        print(json.dumps(event), flush=True)
        if event["event"] in FINAL:
            return 0 if event["event"] == "done" else 1
    print(f"no event of {ident} for an hour", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
