-- End a job that waits, or ask the node that runs it to end it. Proves: what is removed from a list ends
-- `cancelled` in the same transaction, and a job that has ended is not touched.
-- KEYS: job, cancel, events, outbox, where it waits (or job itself), reply (or none)
-- ARGV: id, keep ms, events_max, event, element ('' to ask the node), list or zset, callback, field, value, ...
-- Returns the state of the record, or 'removed', 'asked'.
local job, cancel, events, where, reply = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6] or ''
local id, keep, most, event, element, kind = unpack(ARGV, 1, 6)
local refused = wrong(job, 'hash', cancel, 'string', events, 'stream', KEYS[4], 'zset')
if refused then return refused end
local state = redis.call('HGET', job, 'state') or ''
if element == '' then
  if state ~= 'running' and state ~= 'requeued' and state ~= 'retry' then return state end
  redis.call('SET', cancel, '1')
  redis.call('PEXPIRE', cancel, 86400000)
  return 'asked'
end
local removed
if kind == 'zset' then removed = redis.call('ZREM', where, element)
else removed = redis.call('LREM', where, 1, element) end
if removed == 0 then return state end
redis.call('DEL', cancel)
redis.call('HSET', job, unpack(ARGV, 8))
if tonumber(keep) > 0 then redis.call('PEXPIRE', job, keep) end
if ARGV[7] ~= '' then redis.call('ZADD', KEYS[4], now_ms(), ARGV[7]) end
say(events, most, reply, keep, id, 'cancelled', event)
return 'removed'
