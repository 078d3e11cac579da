-- What each node looks after twice a second: retries that are due go to the abnormal list. Proves: each stands
-- in the set or in the list, never in both or none.
-- KEYS: delayed, abnormal, outbox, paused, nodes, cancel of each running job. ARGV: node, most
-- Returns {moved, callbacks due, pause of all ('' for none), pause of this node, names and entries of all nodes,
-- which of the running jobs are to be cancelled (from 1)}.
local refused = wrong(KEYS[1], 'zset', KEYS[2], 'list', KEYS[3], 'zset', KEYS[4], 'hash', KEYS[5], 'hash')
if refused then return refused end
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, element in ipairs(due) do
  redis.call('LPUSH', KEYS[2], element)
  redis.call('ZREM', KEYS[1], element)
end
local paused = redis.call('HMGET', KEYS[4], '*', ARGV[1])
local callbacks = redis.call('ZCOUNT', KEYS[3], '-inf', now)
local unwanted = {}
for i = 6, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then table.insert(unwanted, i - 5) end
end
return { #due, callbacks, paused[1] or '', paused[2] or '', redis.call('HGETALL', KEYS[5]), unwanted }
