-- In front of every script. Tell an event: to the stream, and to the producer's list where there is one.
-- A reply list of another type is the producer's fault: it is reported back and the job goes on.
local function say(events, most, reply, keep, id, name, json)
  -- once a script has written it cannot take that back: a stream that somebody made a string must not stop it
  local told = redis.pcall('XADD', events, 'MAXLEN', '=', most, '*', 'id', id, 'event', name, 'json', json)
  if type(told) == 'table' and told['err'] then return 0 end
  if reply == '' then return 1 end
  local kind = redis.call('TYPE', reply)['ok']
  if kind ~= 'list' and kind ~= 'none' then return 0 end
  redis.call('LPUSH', reply, json)
  if tonumber(keep) > 0 then redis.call('PEXPIRE', reply, keep) end
  return 1
end
