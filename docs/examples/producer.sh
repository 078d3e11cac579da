#!/bin/sh
# Ask videod for a clip and wait for its end: producer.sh SOURCE START END
# Needs redis-cli. Redis is that of $REDIS_URL.
set -eu

redis() { redis-cli -u "${REDIS_URL:-redis://127.0.0.1:6379/0}" "$@"; }
quoted() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }

id=shell-$(date +%s)-$$
reply=reply:$id

redis LPUSH video_info_queue "{\"id\": \"$id\", \"reply_to\": \"$reply\",
    \"url\": $(quoted "$1"), \"start\": $(quoted "$2"), \"end\": $(quoted "$3")}" >/dev/null

while answer=$(redis BRPOP "$reply" 3600); do
    event=${answer#"$reply"?} # the list's name comes first, in a line of its own
    case $event in
        '{"event":"done",'*) printf '%s\n' "$event"; exit 0 ;;
        '{"event":"dead",'* | '{"event":"cancelled",'*) printf '%s\n' "$event"; exit 1 ;;
        '{'*) printf '%s\n' "$event" ;;
        *) break ;;
    esac
done
echo "no event of $id: ${event:-none for an hour}" >&2
exit 1
