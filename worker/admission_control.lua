-- Looks at the limit of a fleet and changes it while the workers run. The keys are those of
-- admission.lua, which says what is in them; the arithmetic is done there, on the next slot that a
-- worker asks for.
--
--   KEYS[1]  state       KEYS[2]  override       KEYS[3]  workers       KEYS[4]  waiting
--   ARGV[1]  the channel on which a new epoch is published
--   ARGV[2]  show, set, unset, pause, resume, cool
--   ARGV[3]  set: interval in microseconds      cool: for how long, in microseconds
--   ARGV[4]  set: burst
--   ARGV[5]  set: calls, as in 600/m            ARGV[6]  set: per how many microseconds
--   ARGV[7]  set: for how many milliseconds; 0: until it is unset
--
--   set 60000 burst 5, calls 1000 per 60000000, for 7200000 ms: 1000/m for two hours
--
-- Answers integers, as things are afterwards:
--    1 an override is in force, 1 or 0    2 its calls    3 per microseconds    4 its burst
--    5 ms until it ends, -1: never        6 the interval of the limit in force, 0: no worker has asked
--    7 its burst                          8 paused, 1 or 0
--    9 cooldown ends in microseconds     10 requests waiting                  11 workers alive
--   12 slots reserved ahead, in microseconds                                  13 use lately, per mille
local SECOND = 1000000
local WINDOW = 10 * SECOND
local KEEP_STATE_MS = 604800000

local time = redis.call('TIME')
local now = tonumber(time[1]) * SECOND + tonumber(time[2])
local channel, operation = ARGV[1], ARGV[2]

local function text(number)
    return string.format('%.0f', number)
end

local function number(value)
    return tonumber(value or 0) or 0
end

-- All slots that were granted before are void, and the flow starts without a burst at `rest`.
local function begin_epoch(rest)
    local old = redis.call('HMGET', KEYS[1], 'epoch', 'rest')
    local epoch = math.max(number(old[1]) + 1, now)
    rest = math.max(number(old[2]), rest)
    redis.call('HSET', KEYS[1], 'epoch', text(epoch), 'void', text(now), 'rest', text(rest))
    redis.call('PEXPIRE', KEYS[1], KEEP_STATE_MS)
    redis.call('PUBLISH', channel, text(epoch))
end

if operation == 'set' then
    local signature = ARGV[3] .. '/' .. ARGV[4]
    redis.call('HSET', KEYS[2], 'interval', ARGV[3], 'burst', ARGV[4], 'calls', ARGV[5], 'period', ARGV[6])
    if ARGV[7] == '0' then
        redis.call('PERSIST', KEYS[2])
    else
        redis.call('PEXPIRE', KEYS[2], ARGV[7])
    end
    redis.call('HSET', KEYS[1], 'override', signature)
    begin_epoch(now)
elseif operation == 'unset' then
    if redis.call('DEL', KEYS[2]) == 1 then
        redis.call('HSET', KEYS[1], 'override', '')
        begin_epoch(now)
    end
elseif operation == 'pause' or operation == 'resume' then
    local wanted = operation == 'pause' and 1 or 0
    if number(redis.call('HGET', KEYS[1], 'paused')) ~= wanted then
        redis.call('HSET', KEYS[1], 'paused', text(wanted))
        begin_epoch(now)
    end
elseif operation == 'cool' then
    local ends = now + number(ARGV[3])
    if ends > number(redis.call('HGET', KEYS[1], 'cooldown')) then
        redis.call('HSET', KEYS[1], 'cooldown', text(ends))
        begin_epoch(ends)
    end
end

local state = redis.call('HMGET', KEYS[1], 'interval', 'burst', 'paused', 'cooldown', 'tat', 'window',
    'granted', 'granted_before')
local override = redis.call('HMGET', KEYS[2], 'interval', 'burst', 'calls', 'period')
local overridden = override[1] and true or false
local interval = number(overridden and override[1] or state[1])
local burst = number(overridden and override[2] or state[2])

local waiting = 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], text(now), '+inf')) do
    waiting = waiting + number(redis.call('HGET', KEYS[4], worker))
end

-- In the last full window.
local window = math.floor(now / WINDOW)
local used = 0
if window == number(state[6]) then
    used = number(state[8])
elseif window == number(state[6]) + 1 then
    used = number(state[7])
end

return {overridden and 1 or 0, number(override[3]), number(override[4]), overridden and burst or 0,
    overridden and redis.call('PTTL', KEYS[2]) or 0, interval, burst, number(state[3]),
    math.max(0, number(state[4]) - now), waiting,
    redis.call('ZCOUNT', KEYS[3], text(now), '+inf'),
    math.max(0, number(state[5]) - now),
    math.min(1000, math.floor(1000 * used * interval / WINDOW))}
