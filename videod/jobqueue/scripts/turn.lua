-- A turn at a recorder: take it, or keep it. Proves: no more than `most` have one at once over all nodes. One that
-- nobody kept for a lease is over; one of an earlier run of our own node is over at once.
-- KEYS: turns, line. ARGV: member, id, begin of our node's members, of those of this run, most, lease ms
-- Returns 'ours' or 'busy'.
local turns, line = KEYS[1], KEYS[2]
local member, id, node, run, most, lease = unpack(ARGV, 1, 6)
local refused = wrong(turns, 'zset', line, 'zset')
if refused then return refused end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', turns, '-inf', now)
for _, other in ipairs(redis.call('ZRANGE', turns, 0, -1)) do
  if string.sub(other, 1, #node) == node and string.sub(other, 1, #run) ~= run then redis.call('ZREM', turns, other) end
end
redis.call('ZREM', turns, '> ' .. id) -- what was kept for this job by who left last
if not redis.call('ZSCORE', turns, member) and redis.call('ZCARD', turns) >= tonumber(most) then return 'busy' end
redis.call('ZADD', turns, now + lease, member)
redis.call('ZREM', line, id)
return 'ours'
