-- Put a message that we hold back to the right end of its list, so that it is taken next. Proves: it never
-- stands in two lists or in none, what is no longer ours is left alone, and an envelope that is not that of its
-- record goes back as it is: it changes no record and says nothing.
-- KEYS: running, list, job (or ''), events, reply (or '')
-- ARGV: element, replacement, id, events_max, keep ms, event ('' for none), crashes, token
local running, list, job, events, reply = KEYS[1], KEYS[2], KEYS[3] or '', KEYS[4], KEYS[5] or ''
local element, replacement, id, most, keep, event, crashes, token = unpack(ARGV, 1, 8)
local refused = wrong(running, 'list', list, 'list', events, 'stream')
if not refused and event ~= '' then refused = wrong(job, 'hash') end
if refused then return refused end
if redis.call('LREM', running, 1, element) == 0 then return 'gone' end
local ours = false
if event ~= '' then
  local record = redis.call('HMGET', job, 'state', 'token')
  local live = record[1] == 'running' or record[1] == 'requeued' or record[1] == 'retry'
  ours = live and record[2] == token
end
redis.call('RPUSH', list, ours and replacement or element)
if ours then
  redis.call('HSET', job, 'state', 'requeued', 'crashes', crashes)
  say(events, most, reply, keep, id, 'requeued', event)
end
return 'back'
