-- In front of every script. Once a script has written, Redis does not take it back when a later command
-- fails. So each script asks `wrong` about all keys that it will write, before its first write.
local function wrong(...)
  local pairs = { ... }
  for i = 1, #pairs, 2 do
    local kind = redis.call('TYPE', pairs[i])['ok']
    if kind ~= 'none' and kind ~= pairs[i + 1] then
      return redis.error_reply('WRONGTYPE ' .. pairs[i] .. ' is no ' .. pairs[i + 1])
    end
  end
  return nil
end

-- `text` on a producer's list. A key of another type is the producer's fault: it is reported back, the job goes on.
local function answer(list, keep, text)
  local kind = redis.call('TYPE', list)['ok']
  if kind ~= 'list' and kind ~= 'none' then return 0 end
  redis.call('LPUSH', list, text)
  if tonumber(keep) > 0 then redis.call('PEXPIRE', list, keep) end
  return 1
end

-- Tell an event: to the stream, and to the producer's list where there is one.
local function say(events, most, reply, keep, id, name, json)
  redis.call('XADD', events, 'MAXLEN', '=', most, '*', 'id', id, 'event', name, 'json', json)
  return reply == '' and 1 or answer(reply, keep, json)
end

-- What is said of a job that is not in the running list: `done` where this very step ended it before, else `gone`.
local function step(job, token, state)
  local record = redis.call('HMGET', job, 'state', 'token')
  if record[2] ~= token or record[1] ~= state then return 'gone' end
  -- written again as it is: on a new connection WAIT would else have nothing to wait for
  redis.call('HSET', job, 'state', state)
  return 'done'
end

-- Whether an element is larger than any that is sound: `most` bytes, or `whole` for an envelope of ours.
local function too_large(element, most, whole)
  local ours = string.sub(element, 1, 10) == '{"videod":'
  return #element > tonumber(ours and whole or most)
end

-- The time of Redis in ms: those of the nodes differ.
local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The end of a job's marks, and of a batch (`list` not nil): `start`, if it was not said yet, and `end`.
local function close(marks, list, keep)
  if list then
    if redis.call('HGET', marks, 'start') == false then answer(list, keep, 'start') end
    answer(list, keep, 'end')
  end
  redis.call('DEL', marks)
end

-- Figures: `facts` is text, a field and what to add to it, and so on. For ever into `total`, `recent` into the hash of
-- an hour, which is kept 8 days. Never fails: an end is worth more than its count.
local function tally(total, hour, facts, recent)
  for field, number in string.gmatch(facts, '(%S+) (%d+)') do redis.pcall('HINCRBY', total, field, number) end
  for field, number in string.gmatch(recent, '(%S+) (%d+)') do redis.pcall('HINCRBY', hour, field, number) end
  redis.pcall('PEXPIRE', hour, 691200000)
end
