-- Tell progress of a job that is still ours (same token, still running).
-- KEYS: job, progress. ARGV: token, id, progress_max, stage, percent, event
local record = redis.call('HMGET', KEYS[1], 'state', 'token')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then return 'gone' end
redis.call('HSET', KEYS[1], 'stage', ARGV[4], 'percent', ARGV[5])
redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[3], '*', 'id', ARGV[2], 'event', 'progress', 'json', ARGV[6])
return 'told'
