-- Put a job aside until its next try is due. Proves: the message leaves the running list in the transaction
-- that puts its next attempt into the delayed set; refused when it is no longer ours; made again after a lost
-- answer it changes nothing.
-- KEYS: running, job, events, delayed, counts, counts of the hour, reply (or none)
-- ARGV: envelope, token, id, events_max, keep ms, event, envelope of the next attempt, delay ms, what to count,
--       what of it for the hour, field, value, ...
local running, job, events, delayed, reply = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7] or ''
local envelope, token, id, most, keep, event, replacement, delay = unpack(ARGV, 1, 8)
local refused = wrong(running, 'list', job, 'hash', events, 'stream', delayed, 'zset')
if refused then return refused end
if redis.call('LREM', running, 1, envelope) == 0 then return step(job, token, 'retry') end
redis.call('ZADD', delayed, now_ms() + delay, replacement)
redis.call('HSET', job, 'state', 'retry', unpack(ARGV, 11))
tally(KEYS[5], KEYS[6], ARGV[9], ARGV[10])
if say(events, most, reply, keep, id, 'retry', event) == 0 then return 'deaf' end
return 'done'
