-- Hand a message on to the node that it names. KEYS: running, the node's list. ARGV: element
local refused = wrong(KEYS[1], 'list', KEYS[2], 'list')
if refused then return refused end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 'gone' end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 'sent'
