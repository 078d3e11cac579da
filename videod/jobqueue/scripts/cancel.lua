-- End a job that waits, or ask the node that runs it to end it, and drop what else waits under its id, so that none
-- of it runs after all. Proves: the job ends `cancelled` once, in the transaction that removes all of this from the
-- lists; where the record is no longer what the caller judged by, nothing is touched.
-- KEYS: job, cancel, events, outbox, counts, counts of the hour, then for each element: where it stands, reply (or
--       job for none); then marks, reply list of the batch (or none)
-- ARGV: id, keep ms, events_max, state and token that the caller saw, callback, how many elements,
--       what the first of them is: `own` (the record's envelope), `fresh` (a message without a record), or `copy` (to
--       ask the node), what to count, what of it for the hour, for each element: itself, list or zset, its event;
--       then field, value, ...
-- Returns 'removed', 'asked', or 'changed': look again.
local job, cancel, events = KEYS[1], KEYS[2], KEYS[3]
local id, keep, most, state, token, callback, count, first = unpack(ARGV, 1, 8)
count = tonumber(count)
local refused = wrong(job, 'hash', cancel, 'string', events, 'stream', KEYS[4], 'zset')
for n = 1, count do
  refused = refused or wrong(KEYS[5 + 2 * n], ARGV[9 + 3 * n])
end
if refused then return refused end
local record = redis.call('HMGET', job, 'state', 'token')
if (record[1] or '') ~= state or (record[2] or '') ~= token then return 'changed' end

local function remove(n)
  local where, element = KEYS[5 + 2 * n], ARGV[8 + 3 * n]
  if ARGV[9 + 3 * n] == 'zset' then return redis.call('ZREM', where, element) end
  return redis.call('LREM', where, 1, element)
end

local function tell(n, name)
  local reply = KEYS[6 + 2 * n]
  say(events, most, reply == job and '' or reply, keep, id, name, ARGV[10 + 3 * n])
end

if first == 'copy' then
  redis.call('SET', cancel, '1')
  redis.call('PEXPIRE', cancel, 86400000)
else
  if remove(1) == 0 then return 'changed' end
  redis.call('DEL', cancel)
  if first == 'fresh' then redis.call('DEL', job) end
  redis.call('HSET', job, unpack(ARGV, 11 + 3 * count))
  if tonumber(keep) > 0 then redis.call('PEXPIRE', job, keep) end
  if callback ~= '' then redis.call('ZADD', KEYS[4], now_ms(), callback) end
  tell(1, 'cancelled')
  close(KEYS[7 + 2 * count], KEYS[8 + 2 * count], keep)
  tally(KEYS[5], KEYS[6], ARGV[9], ARGV[10])
end
for n = first == 'copy' and 1 or 2, count do
  if remove(n) > 0 then tell(n, 'duplicate') end
end
return first == 'copy' and 'asked' or 'removed'
