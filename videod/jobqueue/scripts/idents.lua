-- The ids of jobs of the web side in a part of a list, from the left. KEYS: list. ARGV: from, how many, most bytes, those of
-- an envelope, how many to look at of a larger one. Returns {length, id, ...}.
local length, from = redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
local found = { length }
for i = from, math.min(from + ARGV[2], length) - 1 do
  local element = redis.call('LRANGE', KEYS[1], i, i)[1]
  if too_large(element, ARGV[3], ARGV[4]) then element = string.sub(element, 1, ARGV[5]) end
  local id = string.match(element, '"id": ?"(w[%w_-]+)"')
  if id then found[#found + 1] = id end
end
return found
