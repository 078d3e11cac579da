-- Commit the end of a job. Proves: exactly one final event, in one transaction with the removal of the
-- message, the order to call back, the `end` of a batch and its count; refused when the message is no longer ours;
-- made again after a lost answer it changes nothing.
-- KEYS: running, job, events, dead, progress, outbox, cancel, marks, counts, counts of the hour, reply (or job for
--       none), reply list of the batch (or none)
-- ARGV: envelope, token, id, events_max, keep ms, event name, event, dead entry ('' for none),
--       progress_max, last progress ('' for none), callback ('' for none), what to count, what of
--       it for the hour, field, value, ...
local running, job, events, dead, reply = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[11]
local envelope, token, id, most, keep, name, event, entry = unpack(ARGV, 1, 8)
if reply == job then reply = '' end
local refused = wrong(running, 'list', job, 'hash', events, 'stream', dead, 'list', KEYS[5], 'stream')
if not refused and ARGV[11] ~= '' then refused = wrong(KEYS[6], 'zset') end
if refused then return refused end
if redis.call('LREM', running, 1, envelope) == 0 then return step(job, token, name) end
redis.call('HSET', job, unpack(ARGV, 14))
if tonumber(keep) > 0 then redis.call('PEXPIRE', job, keep) end
redis.call('DEL', KEYS[7])
close(KEYS[8], KEYS[12], keep)
if ARGV[10] ~= '' then
  redis.call('XADD', KEYS[5], 'MAXLEN', '=', ARGV[9], '*', 'id', id, 'event', 'progress', 'json', ARGV[10])
end
if entry ~= '' then redis.call('LPUSH', dead, entry) end
if ARGV[11] ~= '' then redis.call('ZADD', KEYS[6], now_ms(), ARGV[11]) end
tally(KEYS[9], KEYS[10], ARGV[12], ARGV[13])
if say(events, most, reply, keep, id, name, event) == 0 then return 'deaf' end
return 'done'
