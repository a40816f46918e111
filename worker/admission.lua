-- The limit of a whole fleet: grants a worker the next slots under it and says when they begin. A
-- GCRA that reserves: `tat`, the theoretical arrival time of the next call, is all it remembers of
-- the calls before. One slot moves it on by one interval; a slot may begin burst - 1 intervals (the
-- tolerance) before its tat. All times are integer microseconds of Redis' own clock.
--
--   KEYS[1]  state     hash  epoch tat rest void cooldown paused override interval burst
--                            paced window granted granted_before, and tat:<share> for each share
--   KEYS[2]  override  hash  interval burst: wins over what the workers say, while it is there
--   KEYS[3]  workers   zset  who takes part; the score is until when it counts as alive
--   KEYS[4]  waiting   hash  how many requests wait at each of them
--   KEYS[5]  workers of the same share, as KEYS[3]; not used when the share is 100
--   ARGV[1]  the worker
--   ARGV[2]  how many slots it can use; 0: only looks
--   ARGV[3]  how many requests wait there
--   ARGV[4]  interval of the limit, in microseconds, from 1
--   ARGV[5]  burst, from 1
--   ARGV[6]  share of the limit that this worker and its like may use together, per cent
--   ARGV[7]  how many slots that begin later have been granted, as the worker knows; -1: it knows nothing
--   ARGV[8]  the channel on which a new epoch is published
--
-- Answers integers; "in" is from Redis' now, and may be negative:
--    1 slots granted   2 the first begins in   3 ... by the share in
--    4 epoch           5 interval              6 burst
--    7 the share's interval, 0: no share       8 the share's burst
--    9 workers to share with                  10 slots in a lease
--   11 the next slot after these begins in    12 asking again makes sense in
--   13 cooldown ends in, 0: none              14 paused, 1 or 0
--   15 an override is in force, 1 or 0        16 use of the limit lately, per mille
--   17 Redis' now
--
-- Slot i of the grant begins at the latest of now, (2) + i * (5), and, where there is a share,
-- (3) + i * (7). Used up to one tolerance after (2) + i * (5) it keeps the bound: over any second
-- never more than limit + burst.
--
--   10/s, burst 3 (interval 100 ms, tolerance 200 ms), at rest, now = 5000 ms, four slots wanted:
--   tat 5000; granted 4 from -200 ms on: at -200, -100, 0 ms, so three at once, and one in 100 ms;
--   tat 5400. Asked again at once, the next one begins in 5400 - 200 - 5000 = 200 ms.
--
-- Leases. A worker is given an eighth of what falls to it in a second, at least four where it has
-- four in a second, and at least one: few calls, little lost with a worker that is killed, and no
-- long runs of one worker's slots that a share could not get in between. It asks again when half of that is left, so all together hold
-- one and a half leases each. Nobody is given a slot that begins further ahead than two leases of
-- each worker take: else the first one would reserve for hours what others need now; and with less
-- than they hold, workers would be sent away and come again, ten times for each slot.
--
-- Epochs. A slot of an older epoch is void. A new one begins with a cooldown, a pause and a changed
-- override (admission_control.lua), here with an override that ended, and where Redis has forgotten the
-- state. `void` is when: of what had been reserved by then, at the pace of `paced`, as many slots are
-- still counted, since not everybody may have heard, but no more than a second of them. `rest` is the
-- time from which on the flow starts anew, without a burst.
local SECOND, HOUR = 1000000, 3600000000
local WINDOW = 10 * SECOND  -- of which the use is told
local LEASE_MAX = 1024
local KEEP_STATE_MS, KEEP_WORKERS_MS = 604800000, 7200000

local time = redis.call('TIME')
local now = tonumber(time[1]) * SECOND + tonumber(time[2])
local worker, wanted, waiting = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local interval, burst, share = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local known_granted, channel = tonumber(ARGV[7]), ARGV[8]

-- Lua's own conversion writes 1.7e+15.
local function text(number)
    return string.format('%.0f', number)
end

local function number(value)
    return tonumber(value or 0) or 0
end

-- How many count as alive in KEYS[key], this one among them.
local function count_workers(key)
    local alive = redis.call('ZCOUNT', KEYS[key], '(' .. text(now), '+inf')
    local score = redis.call('ZSCORE', KEYS[key], worker)
    return alive + (number(score) > now and 0 or 1)
end

-- Not before the state is written: a Redis that is out of memory refuses that, unless the script has
-- already written what needs no memory, and would then seem to have some every now and then.
local function forget_gone(key)
    for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[key], '-inf', text(now))) do
        redis.call('ZREM', KEYS[key], gone)
        redis.call('HDEL', KEYS[4], gone)
    end
end

local function lease_of(slot_interval, workers)
    local second = SECOND / slot_interval / workers
    local lease = math.max(second / 8, math.min(4, second))
    return math.max(1, math.min(LEASE_MAX, math.floor(lease)))
end

local share_field = 'tat:' .. text(share)
local state = redis.call('HMGET', KEYS[1], 'epoch', 'rest', 'void', 'cooldown', 'paused', 'override',
    'window', 'granted', 'granted_before', 'tat', share_field, 'paced')
local epoch, rest, void, cooldown = number(state[1]), number(state[2]), number(state[3]), number(state[4])
local paused = number(state[5]) == 1

-- The limit in force.
local setting_interval, setting_burst = interval, burst
local override = redis.call('HMGET', KEYS[2], 'interval', 'burst')
local signature = ''
if override[1] and override[2] then
    interval, burst = tonumber(override[1]), tonumber(override[2])
    signature = override[1] .. '/' .. override[2]
end
local tolerance = (burst - 1) * interval
local share_interval, share_burst = 0, 0
if share < 100 then
    share_interval = math.ceil(interval * 100 / share)
    share_burst = math.max(1, math.floor(burst * share / 100))
end
local share_tolerance = (share_burst - 1) * share_interval

-- A clock that was set back must not stop the fleet until it has caught up.
if rest > now + HOUR then rest = now end
if cooldown > now + HOUR then cooldown = 0 end

if epoch == 0 then
    epoch = now
    -- Redis has forgotten what it granted. That comes first: for a second, or longer where many workers
    -- share a small limit.
    if known_granted >= 0 then rest = now + math.min(HOUR, math.max(SECOND, known_granted * interval)) end
elseif signature ~= (state[6] or '') then
    epoch, rest, void = math.max(epoch + 1, now), math.max(rest, now), now
    redis.call('PUBLISH', channel, text(epoch))
end

local workers = count_workers(3)
local lease = lease_of(interval, workers)
local horizon = 2 * workers * lease * interval
if share < 100 then
    workers = count_workers(5)
    lease = math.min(lease, lease_of(share_interval, workers))
end

local paced = number(state[12])
local function settle(tat, slot_interval, slot_tolerance, ahead)
    if void > 0 then
        if paced > interval and tat > now then
            tat = now + math.ceil((tat - now) / paced) * interval
        end
        tat = math.min(tat, void + slot_tolerance + math.max(SECOND, slot_interval))
    end
    tat = math.min(tat, now + slot_tolerance + ahead)
    return math.max(tat, rest + slot_tolerance, now)
end

local ahead = 10 * (horizon + SECOND)  -- further than anybody can have reserved
local tat = settle(number(state[10]), interval, tolerance, ahead)
-- To the share, the time is when the limit lets the slot begin.
local share_tat = now
if share < 100 then
    share_tat = settle(number(state[11]), share_interval, share_tolerance, ahead)
    share_tat = math.max(share_tat, tat - tolerance)
end

local granted = 0
if not paused and tat - tolerance <= now + horizon then
    granted = math.min(wanted, lease)
end
if share < 100 then
    -- A slot of the limit must be used by its tat: no more of them than the share has by then.
    local spare = tat - (share_tat - share_tolerance)
    granted = spare < 0 and 0 or math.min(granted, math.floor(spare / (share_interval - interval)) + 1)
end

local begins_in, share_begins_in = tat - tolerance - now, share_tat - share_tolerance - now
tat = tat + granted * interval
share_tat = share_tat + granted * share_interval
local next_in = tat - tolerance - now
local ask_in = math.max(0, next_in - horizon)
if share < 100 then
    -- Asking for each slot of a small share alone would cost a call each: half its burst together.
    local batch = math.min(lease, math.ceil(share_burst / 2))
    local ready = share_tat - share_tolerance + (batch - 1) * (share_interval - interval)
    -- What the others reserve meanwhile moves tat on, too, and makes room for the share.
    if ready > tat then
        ask_in = math.max(ask_in, ready - tat, math.min(ready - now, batch * share_interval))
    end
    next_in = math.max(next_in, share_tat - share_tolerance - now)
end
if paused then ask_in = SECOND end

-- Who is left with a backlog comes again, after its slots or when it was told to.
if wanted > 0 then
    local alive = granted < wanted and math.max(3 * SECOND, horizon) or SECOND
    local score = text(now + math.min(HOUR, alive + math.max(0, next_in, ask_in)))
    redis.call('ZADD', KEYS[3], score, worker)
    redis.call('PEXPIRE', KEYS[3], KEEP_WORKERS_MS)
    redis.call('HSET', KEYS[4], worker, text(waiting))
    redis.call('PEXPIRE', KEYS[4], KEEP_WORKERS_MS)
    if share < 100 then
        redis.call('ZADD', KEYS[5], score, worker)
        redis.call('PEXPIRE', KEYS[5], KEEP_WORKERS_MS)
    end
end

local window, in_window, before = math.floor(now / WINDOW), number(state[8]), number(state[9])
if window ~= number(state[7]) then
    before = window == number(state[7]) + 1 and in_window or 0
    in_window = 0
end
in_window = in_window + granted
local use = math.min(1000, math.floor(1000 * before * interval / WINDOW))

redis.call('HSET', KEYS[1], 'epoch', text(epoch), 'rest', text(rest), 'void', '0', 'cooldown', text(cooldown),
    'override', signature, 'interval', text(setting_interval), 'burst', text(setting_burst),
    'paced', text(interval),
    'window', text(window), 'granted', text(in_window), 'granted_before', text(before), 'tat', text(tat))
if share < 100 then
    redis.call('HSET', KEYS[1], share_field, text(share_tat))
    forget_gone(5)
end
forget_gone(3)
redis.call('PEXPIRE', KEYS[1], text(KEEP_STATE_MS + math.max(0, math.floor((tat - now) / 1000))))

return {granted, begins_in, share_begins_in, epoch, interval, burst, share_interval, share_burst,
    workers, lease, next_in, ask_in, math.max(0, cooldown - now), paused and 1 or 0,
    signature ~= '' and 1 or 0, use, now}
