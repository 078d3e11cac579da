-- Lend a callback that is due to this caller: for so many ms nobody else gets it. Proves: a caller that dies
-- has taken nothing away. KEYS: outbox. ARGV: ms. Returns {member, now in ms}, or nil.
local refused = wrong(KEYS[1], 'zset')
if refused then return refused end
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
if not due[1] then return nil end
redis.call('ZADD', KEYS[1], now + ARGV[1], due[1])
return { due[1], now }
