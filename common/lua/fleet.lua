#!lua flags=no-writes
-- fleet ALIVE_MS : how the fleet does, in a few dozen bounded looks:
-- [now, workers that gave a sign within ALIVE_MS, requests waiting, age of the oldest (ms), endpoints, open alerts,
--  and for verify and issue each: running, parked, how long the oldest due job has waited (ms),
--  names that the workers looked at of late, and of these turned from some CAN to none; workers whose resolver fails,
--  that see a DS at our challenge zone, that do not see it delegated, whose barriers time out;
--  of their clocks less an authority's the farthest (ms), that authority, that worker]
--#include "_base.lua"
if #ARGV ~= 1 then
	fail('EINVAL', 'fleet needs the age of a living worker')
end
local ALIVE = arg_int(1, 1, 86400000)
need_type('zset', 'workers', 'endpoints', 'alerts:open')
need_type('stream', 'requests')

local function count(name)
	return is_type(P .. name, 'zset') and redis.call('ZCARD', P .. name) or 0
end

local function first_score(name)
	local key = P .. name
	return is_type(key, 'zset') and tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or nil) or nil
end

-- Tenants that wait for their time stand in wake; those that have work now in ready, the next few of which are asked.
local function late(q)
	local oldest = NOW
	for lane = 0, 3 do
		local at = q .. ':' .. lane
		oldest = math.min(oldest, first_score('wake:' .. at) or NOW)
		local ready = P .. 'ready:' .. at
		local tenants = is_type(ready, 'zset') and redis.call('ZRANGE', ready, 0, 15) or {}
		for _, tenant in ipairs(tenants) do
			oldest = math.min(oldest, first_score('due:' .. at .. ':' .. tenant) or NOW)
		end
	end
	return NOW - oldest
end

-- What the rows of the living workers say of themselves, 256 at most.
local function workers_say(out)
	local n = {0, 0, 0, 0, 0, 0}
	local farthest = {0, '', ''}
	local troubles = {resolver = 3, zone_ds = 4, zone_not_delegated = 5}
	local alive = redis.call('ZRANGEBYSCORE', P .. 'workers', NOW - ALIVE, '+inf', 'LIMIT', 0, 256)
	for _, name in ipairs(alive) do
		local row = is_type(P .. 'w:' .. name, 'hash') and
			redis.call('HMGET', P .. 'w:' .. name, 'looked', 'turned', 'trouble', 'barrier',
			'ca_apart', 'ca') or {}
		n[1] = n[1] + (tonumber(row[1] or nil) or 0)
		n[2] = n[2] + (tonumber(row[2] or nil) or 0)
		local kind = troubles[row[3] or '']
		if kind then
			n[kind] = n[kind] + 1
		end
		n[6] = n[6] + (row[4] == 'late' and 1 or 0)
		local apart = number(row[5] or nil)
		if math.abs(apart) > math.abs(farthest[1]) then
			farthest = {apart, row[6] or '', name}
		end
	end
	for _, count in ipairs(n) do
		out[#out + 1] = count
	end
	for _, v in ipairs(farthest) do
		out[#out + 1] = v
	end
end

local first = redis.call('XRANGE', P .. 'requests', '-', '+', 'COUNT', 1)[1]
local age = first and math.max(0, NOW - tonumber(first[1]:match('^%d+'))) or 0
local out = {NOW, redis.call('ZCOUNT', P .. 'workers', NOW - ALIVE, '+inf'), redis.call('XLEN', P .. 'requests'), age,
	count('endpoints'), count('alerts:open')}
for _, q in ipairs({'verify', 'issue'}) do
	out[#out + 1] = count('run:' .. q)
	out[#out + 1] = count('parked:' .. q)
	out[#out + 1] = late(q)
end
workers_say(out)
return out
