-- Queue a job of the web side, with its page, once. Proves: no page without its message nor the other way; made again it
-- changes nothing. KEYS: page, the owner's pages, queue. ARGV: id, keep ms, message, then fields of the page.
-- Returns 'queued' or 'known'.
local page, pages, queue = KEYS[1], KEYS[2], KEYS[3]
local refused = wrong(page, 'hash', pages, 'zset', queue, 'list')
if refused then return refused end
local keep, now = tonumber(ARGV[2]), now_ms()
-- written in both cases: who waits for a replica waits for something
redis.call('ZADD', pages, 'NX', now, ARGV[1])
if redis.call('EXISTS', page) == 1 then return 'known' end
redis.call('HSET', page, unpack(ARGV, 4))
if keep > 0 then
  redis.call('PEXPIRE', page, keep)
  redis.call('PEXPIRE', pages, keep)
  redis.call('ZREMRANGEBYSCORE', pages, '-inf', now - keep)
end
redis.call('LPUSH', queue, ARGV[3])
return 'queued'
