-- Queue a job that ended dead or was cancelled once more, under its id. Proves: it leaves the dead list in the
-- transaction that queues it; one that waits, runs or is done is not touched.
-- KEYS: job, list, dead. ARGV: id, envelope, dead entry ('' for none), field, value, ...
-- Returns the state that keeps it from running, or 'queued'.
local job, list, dead = KEYS[1], KEYS[2], KEYS[3]
local refused = wrong(job, 'hash', list, 'list', dead, 'list')
if refused then return refused end
local state = redis.call('HGET', job, 'state') or ''
local buried = ARGV[3] ~= '' and redis.call('LPOS', dead, ARGV[3])
if state ~= 'dead' and state ~= 'cancelled' and (state ~= '' or not buried) then return state end
if buried then redis.call('LREM', dead, 1, ARGV[3]) end
redis.call('DEL', job)
redis.call('HSET', job, unpack(ARGV, 4))
redis.call('LPUSH', list, ARGV[2])
return 'queued'
