-- The first writer wins: keeps ARGV[1] under KEYS[1] unless something is there already, and says
-- what is there afterwards. One script, because two workers may ask Terra about the same request at
-- the same time, and both must then publish the same link.
--   KEYS[1]  the request's key
--   ARGV[1]  the link, as JSON
--   ARGV[2]  how long to keep it, in milliseconds
local kept = redis.call('GET', KEYS[1])
if kept then
    return kept
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
