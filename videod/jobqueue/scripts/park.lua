-- Put a job aside until its turn at a recorder comes. Proves: it leaves the running list in the transaction that puts
-- it into the delayed set, with the attempt that it had, and says nothing; who left the recorder meanwhile is noticed.
-- KEYS: running, job, delayed, turns, line. ARGV: envelope, token, id, delay ms, most, field, value, ...
local running, job, delayed, turns, line = unpack(KEYS, 1, 5)
local envelope, token, id, delay, most = unpack(ARGV, 1, 5)
local refused = wrong(running, 'list', job, 'hash', delayed, 'zset', turns, 'zset', line, 'zset')
if refused then return refused end
if redis.call('LREM', running, 1, envelope) == 0 then return step(job, token, 'requeued') end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', turns, '-inf', now)
if redis.call('ZCARD', turns) < tonumber(most) then delay = 0 end
redis.call('ZADD', delayed, now + delay, envelope)
redis.call('ZADD', line, 'NX', now, id)
redis.call('HSET', job, 'state', 'requeued', unpack(ARGV, 6))
return 'done'
