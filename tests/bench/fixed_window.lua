-- The common shared limiter, for comparison: calls are counted in windows of a second.
--
--   KEYS[1]  the window's counter
--   ARGV[1]  calls that a window may have
--
-- Answers 0: go on; else milliseconds until the window ends.
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], 1000) end
if count <= tonumber(ARGV[1]) then return 0 end
return math.max(1, redis.call('PTTL', KEYS[1]))
