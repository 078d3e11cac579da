-- A callback failed: its next try takes its place. KEYS: outbox. ARGV: before, after ('' for none), delay ms
local refused = wrong(KEYS[1], 'zset')
if refused then return refused end
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[1], now_ms() + ARGV[3], ARGV[2]) end
return 1
