-- Make a taken element ours: put the envelope in its place, write the record, say `started`.
-- Proves: one id runs once (a second message of it is dropped and says `duplicate`), a forged envelope
-- changes nothing, and a claim whose answer was lost can be made again.
-- KEYS: running, job, events, reply (or '')
-- ARGV: element, envelope, token before ('' for a fresh message), again (0/1), id, events_max, keep ms,
--       the event `started`, whether to say it (0/1), field, value, ...
local running, job, events, reply = KEYS[1], KEYS[2], KEYS[3], KEYS[4] or ''
local element, envelope, token, again, id, most, keep = unpack(ARGV, 1, 7)
local refused = wrong(running, 'list', job, 'hash', events, 'stream')
if refused then return refused end
-- our envelope first: it stands there once. The raw element may stand there for another message that looks the same
local at = redis.call('LPOS', running, envelope)
if at then
  -- written again as it is: on a new connection WAIT would else have nothing to wait for
  redis.call('LSET', running, at, envelope)
  return { 'ours', '' }
end
at = redis.call('LPOS', running, element)
if not at then return { 'gone', '' } end
local record = redis.call('HMGET', job, 'state', 'token')
local state = record[1]
if token ~= '' then
  -- ours, and given back: a copy of an envelope that is running or ended proves nothing
  local waits = state == 'requeued' or state == 'retry'
  if record[2] ~= token or not waits then return { 'forged', state or '' } end
else
  local live = state == 'running' or state == 'retry' or state == 'requeued'
  if live or (state == 'done' and again == '0') then
    redis.call('LREM', running, 1, element)
    -- the same event under another name, and with the state
    local rest = string.sub(ARGV[8], #'{"event":"started"' + 1, -2)
    say(events, most, reply, keep, id, 'duplicate', '{"event":"duplicate"' .. rest .. ',"state":"' .. state .. '"}')
    return { 'duplicate', state }
  end
  redis.call('DEL', job)
end
redis.call('HDEL', job, 'error', 'retry_at', 'ended_at')
redis.call('LSET', running, at, envelope)
redis.call('HSET', job, unpack(ARGV, 10))
redis.call('PERSIST', job)
if ARGV[9] == '1' and say(events, most, reply, keep, id, 'started', ARGV[8]) == 0 then return { 'ours', 'deaf' } end
return { 'ours', '' }
