-- Mark files of a job that is still ours, and announce each in the same transaction: on a batch's reply list, as an
-- event. Proves: what is marked was announced, once, also when the answer is lost and this is run again.
-- KEYS: job, marks, events, reply (or job for none), reply list of the batch (or none)
-- ARGV: token, id, events_max, keep ms, then for each: field, mark, text for the list and event `output` ('' for none)
local job, marks, events, reply, list = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, id, most, keep = unpack(ARGV, 1, 4)
if reply == job then reply = '' end
local record = redis.call('HMGET', job, 'state', 'token')
if record[1] ~= 'running' or record[2] ~= token then return 'gone' end
local refused = wrong(marks, 'hash', events, 'stream')
if refused then return refused end
local told = 'told'
for i = 5, #ARGV, 4 do
  local field, mark, text, event = unpack(ARGV, i, i + 3)
  local before = redis.call('HGET', marks, field)
  -- written again as it is: on a new connection WAIT would else have nothing to wait for
  redis.call('HSET', marks, field, before or mark)
  if not before then
    if list and text ~= '' and answer(list, keep, text) == 0 then told = 'deaf' end
    if event ~= '' then say(events, most, reply, keep, id, 'output', event) end
  end
end
return told
