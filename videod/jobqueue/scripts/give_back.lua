-- Put a message that we hold back to the right end of its list, so that it is taken next. Proves: it never
-- stands in two lists or in none, and what is no longer ours is left alone.
-- KEYS: running, list, job (or ''), events, reply (or '')
-- ARGV: element, replacement, id, events_max, keep ms, event ('' for none), crashes
local running, list, job, events, reply = KEYS[1], KEYS[2], KEYS[3] or '', KEYS[4], KEYS[5] or ''
local element, replacement, id, most, keep, event, crashes = unpack(ARGV, 1, 7)
local refused = wrong(running, 'list', list, 'list', events, 'stream')
if not refused and event ~= '' then refused = wrong(job, 'hash') end
if refused then return refused end
if redis.call('LREM', running, 1, element) == 0 then return 'gone' end
redis.call('RPUSH', list, replacement)
if event ~= '' then
  redis.call('HSET', job, 'state', 'requeued', 'crashes', crashes)
  say(events, most, reply, keep, id, 'requeued', event)
end
return 'back'
