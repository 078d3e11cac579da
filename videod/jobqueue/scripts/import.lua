-- Queue a row of a sheet once. Proves: a row that waits, runs or ended is not queued again, but for one that ended dead
-- and whose login is another by now. KEYS: mark, job, queue. ARGV: message, digest of the login, keep ms.
-- Returns 'queued' or 'known'.
local mark, job, queue = KEYS[1], KEYS[2], KEYS[3]
local message, login, keep = ARGV[1], ARGV[2], tonumber(ARGV[3])
local refused = wrong(mark, 'string', job, 'hash', queue, 'list')
if refused then return refused end
local before, state = redis.call('GET', mark), redis.call('HGET', job, 'state')
local again = not before and not state
again = again or (before and before ~= login and (state == 'dead' or state == 'cancelled'))
if before ~= login then
  redis.call('SET', mark, login)
  if keep > 0 then redis.call('PEXPIRE', mark, keep) end
end
if not again then return 'known' end
redis.call('LPUSH', queue, message)
return 'queued'
