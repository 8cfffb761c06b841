#!lua flags=allow-oom
-- trim STREAM CAP KEEP_MS STEP : takes old entries away, about STEP at most: those older than KEEP_MS that no consumer
-- group has pending or not yet read; over CAP also younger ones that all have done; and then, counted as lost in the
-- hash `trimmed` (STREAM, and STREAM:first, the oldest id left), any. Returns [length, taken, lost, oldest id].
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

-- The oldest id that some group still needs; nil if no group does.
local function oldest_needed()
	local oldest
	for _, raw in ipairs(redis.call('XINFO', 'GROUPS', KEY)) do
		local group = pairs_of(raw)
		local id = group['last-delivered-id']
		if group.pending > 0 then
			local first = redis.call('XPENDING', KEY, group.name)[2]
			id = first and before(first, id) and first or id
		end
		if not oldest or before(id, oldest) then
			oldest = id
		end
	end
	return oldest
end

if redis.call('EXISTS', KEY) == 0 then
	return {0, 0, 0, ''}
end
local needed, aged = oldest_needed(), string.format('%.0f-0', math.max(0, NOW - KEEP))
local safe = (needed and before(needed, aged)) and needed or aged
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
	redis.call('HSET', P .. 'trimmed', STREAM .. ':first', first)
end
return {redis.call('XLEN', KEY), taken, lost, first}
