-- End a message that is too large to be sent to anybody. Proves: one final event, in one transaction with the
-- removal; made again after a lost answer it ends no second one that looks the same.
-- KEYS: running, job, events, dead, counts, counts of the hour
-- ARGV: length, beginning, id, events_max, keep ms, the event `dead`, dead entry, what to count, what of it for
--       the hour, field, value, ...
local running, job, events, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local length, beginning, id, most, keep, event, entry = unpack(ARGV, 1, 7)
local refused = wrong(running, 'list', job, 'hash', events, 'stream', dead, 'list')
if refused then return refused end
if redis.call('EXISTS', job) == 1 then
  -- written again as it is: on a new connection WAIT would else have nothing to wait for
  redis.call('HSET', job, 'state', 'dead')
  return 'done'
end
for i = 0, redis.call('LLEN', running) - 1 do
  local element = redis.call('LRANGE', running, i, i)[1]
  if #element == tonumber(length) and string.sub(element, 1, #beginning) == beginning then
    redis.call('LSET', running, i, id) -- by the id, which is short: LREM compares
    redis.call('LREM', running, 1, id)
    redis.call('HSET', job, unpack(ARGV, 10))
    if tonumber(keep) > 0 then redis.call('PEXPIRE', job, keep) end
    redis.call('LPUSH', dead, entry)
    tally(KEYS[5], KEYS[6], ARGV[8], ARGV[9])
    say(events, most, '', keep, id, 'dead', event)
    return 'done'
  end
end
return 'gone'
