-- Count a try to log in. Proves: it is counted before it is known how it ends, so that many at once count as many.
-- KEYS: tries. ARGV: most, ms until they are forgotten, 1, or -1 to take one back. Returns how many ms to wait, 0 when it may be tried.
local refused = wrong(KEYS[1], 'string')
if refused then return refused end
local count = redis.call('INCRBY', KEYS[1], ARGV[3])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count <= tonumber(ARGV[1]) then return 0 end
return math.max(1, redis.call('PTTL', KEYS[1]))
