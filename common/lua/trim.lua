#!lua flags=allow-oom
-- trim STREAM CAP KEEP_MS STEP : takes old entries away, about STEP at most: those older than KEEP_MS that no consumer
-- group has pending or not yet read, but never the newest entry; over CAP also younger ones that all have done; and
-- then any, which the hash `trimmed` counts as lost (STREAM, and STREAM:first the oldest id left, :at when, :group who
-- was the furthest behind). What a group has pending of entries that are gone is taken from it. CAP is left in `trimmed`
-- (cap) for the scripts that append. Returns [length, taken, lost, oldest id, lost in all, ms since then or -1, group].
--#include "_base.lua"
if #ARGV ~= 4 then
	fail('EINVAL', 'trim needs a stream, a cap, an age and a step')
end
local STREAM, CAP = arg_text(1, 64), arg_int(2, 1, 1e9)
local KEEP, STEP = arg_int(3, 0, MS_MAX), arg_int(4, 1, 100000)
local KEY = P .. STREAM
need_type('stream', STREAM)
need_type('hash', 'trimmed')

local function pairs_of(list)
	local m = {}
	for i = 1, #list, 2 do
		m[list[i]] = list[i + 1]
	end
	return m
end

local function before(a, b)
	local am, as = a:match('^(%d+)%-(%d+)$')
	local bm, bs = b:match('^(%d+)%-(%d+)$')
	am, bm = tonumber(am), tonumber(bm)
	return am < bm or (am == bm and tonumber(as) < tonumber(bs))
end

-- The oldest id that some group still needs, and the group; nil if no group does.
local function oldest_needed()
	local oldest, who
	for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEY)) do
		local group = pairs_of(raw)
		local id = group['last-delivered-id']
		if group.pending > 0 then
			local first = redis.call('XPENDING', KEY, group.name)[2]
			id = first and before(first, id) and first or id
		end
		if not oldest or before(id, oldest) then
			oldest, who = id, group.name
		end
	end
	return oldest, who
end

-- A group that reads and never acknowledges would keep the ids of all that it read: those that are gone leave it. Nothing
-- is idle for so long that it would change hands.
local NEVER, SWEEPER = '9007199254740992', 'certfleet-trim'
local function forget_pending(first)
	for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEY)) do
		local group = pairs_of(raw)
		local oldest = group.pending > 0 and redis.call('XPENDING', KEY, group.name)[2]
		if oldest and before(oldest, first) then
			redis.call('XAUTOCLAIM', KEY, group.name, SWEEPER, NEVER, '0-0', 'COUNT', 1000, 'JUSTID')
			redis.call('XGROUP', 'DELCONSUMER', KEY, group.name, SWEEPER)
		end
	end
end

local function result(taken, lost, first)
	local all = redis.call('HMGET', P .. 'trimmed', STREAM, STREAM .. ':at', STREAM .. ':group')
	local at = tonumber(all[2])
	return {redis.call('XLEN', KEY), taken, lost, first, tonumber(all[1]) or 0, at and math.max(0, NOW - at) or -1,
		all[3] or ''}
end

redis.call('HSET', P .. 'trimmed', 'cap', CAP)

if redis.call('EXISTS', KEY) == 0 then
	return result(0, 0, '')
end
local needed, behind = oldest_needed()
local newest = redis.call('XREVRANGE', KEY, '+', '-', 'COUNT', 1)[1]
local safe = string.format('%.0f-0', math.max(0, NOW - KEEP))
for _, id in ipairs({needed or safe, newest and newest[1] or safe}) do
	safe = before(id, safe) and id or safe
end
local taken, lost = redis.call('XTRIM', KEY, 'MINID', '~', safe, 'LIMIT', STEP), 0
if redis.call('XLEN', KEY) > CAP and needed then
	taken = taken + redis.call('XTRIM', KEY, 'MINID', '~', needed, 'LIMIT', STEP)
end
if redis.call('XLEN', KEY) > CAP then
	lost = redis.call('XTRIM', KEY, 'MAXLEN', '~', CAP, 'LIMIT', STEP)
end
local first = redis.call('XRANGE', KEY, '-', '+', 'COUNT', 1)[1]
first = first and first[1] or ''
if lost > 0 and needed then
	redis.call('HINCRBY', P .. 'trimmed', STREAM, lost)
	redis.call('HSET', P .. 'trimmed', STREAM .. ':first', first, STREAM .. ':at', NOW, STREAM .. ':group', behind)
end
if first ~= '' then
	forget_pending(first)
end
return result(taken, lost, first)
