-- How many of these messages are there no more, and the newest message.
-- Messages are taken from the right, so the first of them that is there tells that those behind it are, too. It is looked
-- for from the right, and passes for there where a longer list is not looked through to the end.
-- KEYS: list. ARGV: longest message that is told, how far to look, messages from the oldest to the newest.
-- Returns {how many are gone, length, newest message, or '' where it is longer}.
local size = redis.call('LLEN', KEYS[1])
local gone = 0
while gone < #ARGV - 2 do
  local there = redis.call('LPOS', KEYS[1], ARGV[gone + 3], 'RANK', -1, 'MAXLEN', ARGV[2])
  if there or size > tonumber(ARGV[2]) then break end
  gone = gone + 1
end
local newest = redis.call('LRANGE', KEYS[1], 0, 0)[1] or ''
if #newest > tonumber(ARGV[1]) then newest = '' end
return { gone, size, newest }
