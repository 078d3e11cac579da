-- A turn at a recorder is over: it is kept for a moment for who waits longest. Made again it changes nothing.
-- KEYS: turns, line. ARGV: member, most, for how many ms. Returns the id of that job, '' when nobody waits.
local refused = wrong(KEYS[1], 'zset', KEYS[2], 'zset')
if refused then return refused end
local now = now_ms()
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return '' end
local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
if not first then return '' end
redis.call('ZREM', KEYS[2], first)
redis.call('ZADD', KEYS[1], now + ARGV[3], '> ' .. first)
return first
