-- Give back what was counted of a quota and not taken. Proves: only in the span in which it was counted, and never below 0.
-- KEYS: quota. ARGV: ms of its span, when it was counted in ms, field, amount.
local refused = wrong(KEYS[1], 'hash')
if refused then return refused end
local left, had = redis.call('PTTL', KEYS[1]), tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or 0)
if left > 0 and had > 0 and now_ms() + left - ARGV[1] <= tonumber(ARGV[2]) then
  redis.call('HINCRBY', KEYS[1], ARGV[3], -math.min(had, tonumber(ARGV[4])))
end
return 0
