-- Let a retry be due now. KEYS: delayed, abnormal. ARGV: element. Returns 1, or 0 when it is no longer there.
local refused = wrong(KEYS[1], 'zset', KEYS[2], 'list')
if refused then return refused end
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
