-- Count what a user takes of a quota that begins anew every so often. Proves: what is over it is not counted.
-- KEYS: quota. ARGV: ms of its span, then field, amount and most (0: no limit) of each part.
-- Returns how many ms until it begins anew, 0 when there was room.
local refused = wrong(KEYS[1], 'hash')
if refused then return refused end
for i = 2, #ARGV, 3 do
  local most, had = tonumber(ARGV[i + 2]), tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0)
  if most > 0 and had + ARGV[i + 1] > most then
    local left = redis.call('PTTL', KEYS[1])
    return left > 0 and left or 1
  end
end
for i = 2, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 0
