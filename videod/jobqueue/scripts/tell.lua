-- Tell an event of a job that is still ours. KEYS: job, events, reply (or none)
-- ARGV: token, id, events_max, keep ms, event name, event
local record = redis.call('HMGET', KEYS[1], 'state', 'token')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'gone' end
say(KEYS[2], ARGV[3], KEYS[3] or '', ARGV[4], ARGV[2], ARGV[5], ARGV[6])
return 'told'
