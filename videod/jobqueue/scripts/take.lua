-- Move one message from the first list that has one to the running list. Proves: a message is always in
-- exactly one list. KEYS: running, then the lists in the order wanted. ARGV: most bytes, those of an envelope.
-- Returns {list, element} or nil; {list} where it is too large to be sent: it then stands in the running list.
for i = 2, #KEYS do
  -- a key that is no list must not keep the others from being served
  local element = redis.pcall('LMOVE', KEYS[i], KEYS[1], 'RIGHT', 'LEFT')
  if type(element) == 'string' then
    if too_large(element, ARGV[1], ARGV[2]) then return { KEYS[i] } end
    return { KEYS[i], element }
  end
end
return nil
