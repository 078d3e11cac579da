-- Queue a job of the web side, with its page, once. Proves: no page without its message nor the other way; made again it
-- changes nothing. KEYS: page, the owner's pages, queue. ARGV: id, keep ms, message, then fields of the page.
-- Returns 'queued' or 'known'.
local page, pages, queue = KEYS[1], KEYS[2], KEYS[3]
local refused = wrong(page, 'hash', pages, 'zset', queue, 'list')
if refused then return refused end
local keep, now = tonumber(ARGV[2]), now_ms()
local owner = redis.call('HGET', page, 'owner')
if owner then
  -- written again: who waits for a replica waits for something
  redis.call('HSET', page, 'owner', owner)
  return 'known'
end
redis.call('HSET', page, unpack(ARGV, 4))
redis.call('ZADD', pages, now, ARGV[1])
if keep > 0 then
  redis.call('PEXPIRE', page, keep)
  redis.call('PEXPIRE', pages, keep)
  redis.call('ZREMRANGEBYSCORE', pages, '-inf', now - keep)
end
redis.call('LPUSH', queue, ARGV[3])
return 'queued'
