-- Queue a job of the web side, with its page, once. Proves: no page without its message nor the other way; made again it
-- changes nothing. The page has no TTL before its job is over: see upkeep.py.
-- KEYS: page, the owner's pages, queue. ARGV: id, message, then fields of the page.
-- Returns 'queued' or 'known'.
local page, pages, queue = KEYS[1], KEYS[2], KEYS[3]
local refused = wrong(page, 'hash', pages, 'zset', queue, 'list')
if refused then return refused end
local owner = redis.call('HGET', page, 'owner')
if owner then
  -- written again: who waits for a replica waits for something
  redis.call('HSET', page, 'owner', owner)
  return 'known'
end
redis.call('HSET', page, unpack(ARGV, 3))
redis.call('ZADD', pages, now_ms(), ARGV[1])
redis.call('LPUSH', queue, ARGV[2])
return 'queued'
