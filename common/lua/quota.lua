#!lua
-- quota reserve ONCE TICKET PRIORITY (KEY BURST PERIOD_MS COST)… : spends COST of each limit, or of none: [wait_ms,
-- ticket, which]. wait 0: spent, and a repeat with the same ONCE ('' for none) spends nothing more. Else the limit
-- numbered `which` is used up, and the caller comes again at `ticket` (and says so then): no two get the same one.
-- Who has no ticket, and no priority (renewals), stands behind those who wait. Who comes before the time on the
-- ticket keeps it.
-- quota refund ONCE (KEY BURST PERIOD_MS COST)… : gives back what ONCE spent: 1, or 0 if it spent nothing.
-- quota block (KEY BURST PERIOD_MS UNTIL_MS)… : nothing is left of the limit before UNTIL (an authority said so): 1.
-- A limit is a bucket of BURST that refills one in PERIOD_MS (GCRA). quota:KEY is when it will be full again, in ms;
-- quota:KEY:next the last ticket given, quota:KEY:first that of those with priority; quota:once:ONCE what was spent.
--#include "_base.lua"
local ITEMS_MAX, ONCE_S, WHOLE_MAX = 256, 86400, 1e14
local VERBS = {reserve = 5, refund = 3, block = 2} -- where the items begin
local from = VERBS[ARGV[1]]
if not from or #ARGV < from + 3 or (#ARGV - from + 1) % 4 ~= 0 or #ARGV > from + 4 * ITEMS_MAX then
	fail('EINVAL', 'quota needs reserve, refund or block, and 1 to 256 of key, burst, period and cost')
end

local function text_or_none(i)
	return ARGV[i] == '' and '' or arg_text(i, 256)
end

local function read_items()
	local list = {}
	for i = from, #ARGV, 4 do
		local name = 'quota:' .. arg_text(i, 512)
		need_type('string', name, name .. ':next', name .. ':first')
		local item = {key = P .. name, burst = arg_int(i + 1, 1, 1e9), period = arg_int(i + 2, 1, 1e12),
			cost = arg_int(i + 3, 0, MS_MAX)}
		if item.burst * item.period > WHOLE_MAX then
			fail('EINVAL', 'the whole limit takes too long to refill: ' .. item.key)
		end
		list[#list + 1] = item
	end
	return list
end

local function time_of(key)
	return number(redis.call('GET', key))
end

local function put(key, at)
	if at > NOW then
		redis.call('SET', key, string.format('%.0f', at), 'PX', string.format('%.0f', math.ceil(at - NOW)))
	else
		redis.call('DEL', key)
	end
end

-- How long until the cost fits into the limit.
local function wait_for(item)
	item.full = math.max(time_of(item.key), NOW) + item.cost * item.period
	return math.max(0, item.full - item.burst * item.period - NOW)
end

-- The ticket after all that were given for this limit.
local function ticket_for(item, wait, tail)
	return math.max(NOW + wait, time_of(item.key .. tail) + item.cost * item.period)
end

local function judge(list, ticket, tail)
	local latest, which, blocked = 0, 0, {}
	for i, item in ipairs(list) do
		local wait = wait_for(item)
		local untouched = item.full - item.cost * item.period <= NOW
		local behind = not untouched and (ticket == 0 or ticket > NOW) and time_of(item.key .. tail) > NOW
		if wait > 0 or behind then
			blocked[#blocked + 1] = item
			local own = ticket > 0 and math.max(NOW + wait, ticket) or ticket_for(item, wait, tail)
			if own > latest then
				latest, which = own, i
			end
		end
	end
	return latest, which, blocked
end

local function reserve(once, ticket, tail, list)
	local spent = P .. 'quota:once:' .. once
	if once ~= '' and redis.call('EXISTS', spent) == 1 then
		return {0, 0, 0}
	end
	local latest, which, blocked = judge(list, ticket, tail)
	if which > 0 then
		latest = math.max(latest, NOW + 1)
		for _, item in ipairs(blocked) do
			if latest ~= ticket then
				put(item.key .. tail, math.max(latest, time_of(item.key .. tail)))
			end
		end
		return {latest - NOW, latest, which}
	end
	for _, item in ipairs(list) do
		put(item.key, item.full)
	end
	if once ~= '' then
		redis.call('SET', spent, '1', 'EX', ONCE_S)
	end
	return {0, 0, 0}
end

local function refund(once, list)
	if once ~= '' and redis.call('DEL', P .. 'quota:once:' .. once) == 0 then
		return 0
	end
	for _, item in ipairs(list) do
		put(item.key, time_of(item.key) - item.cost * item.period)
	end
	return 1
end

local list = read_items()
if ARGV[1] == 'block' then
	for _, item in ipairs(list) do
		put(item.key, math.max(time_of(item.key), item.cost + (item.burst - 1) * item.period))
	end
	return 1
end
local once = text_or_none(2)
need_type('string', 'quota:once:' .. once)
for _, item in ipairs(list) do
	if item.cost > item.burst then
		fail('ETOOBIG', 'the cost is over the whole limit: ' .. item.key)
	end
end
if ARGV[1] == 'refund' then
	return refund(once, list)
end
return reserve(once, arg_int(3, 0, MS_MAX), arg_int(4, 0, 1) == 1 and ':first' or ':next', list)
