-- Counts attempts as `AttemptLimiter` does, for all gateways. Returns the milliseconds to wait, and for `look` the attempts.
-- KEYS: one for each rule; then, if there is a claimant, its promise.
-- ARGV: what to do; now; whether there is a claimant; how far promises reach; how long they are kept;
--       then for each rule: free attempts, window, longest wait, time to forgive one; milliseconds.
local action, now, claimed = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local horizon, kept = tonumber(ARGV[4]), tonumber(ARGV[5])
local count = #KEYS - (claimed and 1 or 0)
local claimant = claimed and KEYS[#KEYS] or nil
local NEVER = -1e15

local function text(number) return string.format('%.0f', number) end

local function stored(key)
    local found = redis.call('HMGET', key, 'a', 'l', 'b', 'f', 'w', 'p', 'n')
    if not found[1] then return nil end
    local known = {}
    for place, name in ipairs({'attempts', 'last', 'before', 'forgiven', 'window', 'promised', 'promises'}) do
        known[name] = tonumber(found[place])
    end
    return known
end

local function store(key, known)
    redis.call('HSET', key, 'a', text(known.attempts), 'l', text(known.last), 'b', text(known.before), 'f', text(known.forgiven),
        'w', text(known.window), 'p', text(known.promised), 'n', text(known.promises))
    redis.call('PEXPIRE', key, text(math.max(1, math.max(known.last, known.promised) + known.window - now)))
end

local function rule(place)
    local at = 5 + (place - 1) * 4
    return {
        limit = tonumber(ARGV[at + 1]), window = tonumber(ARGV[at + 2]), longest = tonumber(ARGV[at + 3]),
        forgive = tonumber(ARGV[at + 4]), key = KEYS[place],
    }
end

-- What counts now.
local function counted(rule)
    local known = stored(rule.key)
    if not known or now >= math.max(known.last, known.promised) + known.window then return nil end
    if rule.forgive > 0 then
        local forgiven = math.floor(math.max(now - known.forgiven, 0) / rule.forgive)
        known.attempts = math.max(known.attempts - forgiven, 0)
        known.forgiven = known.forgiven + forgiven * rule.forgive
    end
    return known
end

local function delay(known, rule, more)
    local over = known.attempts + more - rule.limit
    if over < 0 then return 0 end
    return math.min(1000 * 2 ^ math.min(over, 30), rule.longest)
end

local function next_time(known, rule)
    if known then return known.last + delay(known, rule, 0) end
    return rule.limit == 0 and now + rule.longest or now
end

local function promise(rules)
    local at = now
    for _, rule in ipairs(rules) do
        local known = counted(rule)
        local time = next_time(known, rule)
        if known and time > now and known.promised > now then
            time = math.max(time, known.promised + delay(known, rule, known.promises))
        end
        at = math.max(at, time)
    end
    if at - now > horizon then return at end
    for _, rule in ipairs(rules) do
        local known = stored(rule.key)
        if known and next_time(counted(rule), rule) > now then
            known.promises = known.promised > now and known.promises + 1 or 1
            known.promised = math.max(known.promised, at)
            store(rule.key, known)
        end
    end
    redis.call('SET', claimant, text(at), 'PX', text(math.max(1, at + kept - now)))
    return at
end

if action == 'success' then
    for place = 1, count do redis.call('DEL', KEYS[place]) end
    return {0, 0}
end

if action == 'release' then
    for place = 1, count do
        local known = stored(KEYS[place])
        if known then
            known.attempts = math.max(known.attempts - 1, 0)
            known.last = known.before
            if known.attempts == 0 then redis.call('DEL', KEYS[place]) else store(KEYS[place], known) end
        end
    end
    if claimant then redis.call('SET', claimant, text(now), 'PX', text(kept)) end
    return {0, 0}
end

local rules = {}
for place = 1, count do rules[place] = rule(place) end

if action == 'look' then
    local wait, attempts = 0, 0
    for _, rule in ipairs(rules) do
        local known = counted(rule)
        if known then
            wait = math.max(wait, next_time(known, rule) - now)
            attempts = math.max(attempts, known.attempts)
        end
    end
    return {wait, attempts}
end

local promised = claimant and tonumber(redis.call('GET', claimant) or nil)
if promised and now >= promised + kept then promised = nil end
if not promised or now < promised then
    local time = now
    for _, rule in ipairs(rules) do time = math.max(time, next_time(counted(rule), rule)) end
    if time > now then
        if promised then time = promised elseif claimant then time = promise(rules) end
        return {time - now, 0}
    end
end
if claimant then redis.call('DEL', claimant) end
for _, rule in ipairs(rules) do
    local known = counted(rule) or {attempts = 0, last = now, forgiven = now, promised = NEVER, promises = 0}
    store(rule.key, {
        attempts = known.attempts + 1, last = now, before = known.last, forgiven = known.forgiven,
        window = math.max(rule.window, rule.longest), promised = known.promised, promises = known.promises,
    })
end
return {0, 0}
