-- Which of these commands may this user not run on our keys? Writes nothing. Redis 6.2 cannot say.
-- KEYS: one of each sort. ARGV: commands
local missing = {}
if not redis.acl_check_cmd then return missing end
for _, command in ipairs(ARGV) do
  if not redis.acl_check_cmd(command, KEYS[1], KEYS[1]) then missing[#missing + 1] = command end
end
return missing
