-- The first message in a running list that is too large. KEYS: running. ARGV: most bytes, those of an envelope,
-- how many to show. Returns {length, beginning} or nil. One element at a time: all at once may be gigabytes.
for i = 0, redis.call('LLEN', KEYS[1]) - 1 do
  local element = redis.call('LRANGE', KEYS[1], i, i)[1]
  if element and too_large(element, ARGV[1], ARGV[2]) then return { #element, string.sub(element, 1, ARGV[3]) } end
end
return nil
