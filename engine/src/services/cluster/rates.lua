-- Takes tokens from a bucket: see `Rates::take_several`. Returns 0, or the milliseconds until they are there; then nothing was taken.
-- KEYS: the bucket. ARGV: now, the time from empty to full, the time that the tokens take to come; microseconds.
local now, fills, taking = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local room = fills - taking
if full - now > room then
    return math.ceil((full - now - room) / 1000)
end
full = full + taking
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.max(1, math.ceil((full - now) / 1000)))
return 0
