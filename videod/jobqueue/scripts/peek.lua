-- The last messages of a list, the rightmost first; of one that is too large only its beginning.
-- KEYS: list. ARGV: how many, most bytes, those of an envelope, how many to show of a larger one.
-- Returns {length, element or beginning, ...}.
local found = {}
for i = 1, math.min(ARGV[1], redis.call('LLEN', KEYS[1])) do
  local element = redis.call('LRANGE', KEYS[1], -i, -i)[1]
  found[#found + 1] = #element
  if too_large(element, ARGV[2], ARGV[3]) then element = string.sub(element, 1, ARGV[4]) end
  found[#found + 1] = element
end
return found
