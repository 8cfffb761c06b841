-- Who is served: within a lane the tenant with the least virtual time, at most N jobs in all. take.lua gives fields()
-- and start(). Tenants wait in wake:Q:LANE by their earliest due time, and in ready:Q:LANE by virtual time; vt:Q keeps
-- it while a tenant is not ready, its field '' the floor: where who was away starts.
local floor, lanes, looks, left = 0, {}, 0, N
local served = {}

local function ready_key(lane)
	return P .. 'ready:' .. Q .. ':' .. lane
end

local function wake_key(lane)
	return P .. 'wake:' .. Q .. ':' .. lane
end

-- Tenants whose time has come join the ready; one that was away starts at the floor.
local function wake_up(lane)
	local woken = redis.call('ZRANGEBYSCORE', wake_key(lane), '-inf', NOW, 'LIMIT', 0, BATCH)
	if #woken > 0 then
		local own, scores, raised = redis.call('HMGET', VT, unpack(woken)), {}, {}
		for i, tenant in ipairs(woken) do
			local v = math.max(number(own[i]), floor)
			scores[2 * i - 1], scores[2 * i] = digits(v), tenant
			if not own[i] or v ~= number(own[i]) then
				raised[#raised + 1], raised[#raised + 2] = tenant, scores[2 * i - 1]
			end
		end
		if #raised > 0 then
			redis.call('HSET', VT, unpack(raised))
		end
		redis.call('ZADD', ready_key(lane), 'NX', unpack(scores))
		redis.call('ZREM', wake_key(lane), unpack(woken))
		lanes[lane] = true
	end
end

-- Tenants of which nothing is due now: each waits for its next, if it has one.
local asleep, waking = {}, {}
local function to_sleep(tenant, next_due)
	asleep[#asleep + 1] = tenant
	if next_due then
		waking[#waking + 1], waking[#waking + 2] = next_due, tenant -- as Redis printed it
	end
end

local function write_asleep(lane)
	if #asleep > 0 then
		redis.call('ZREM', ready_key(lane), unpack(asleep))
	end
	if #waking > 0 then
		redis.call('ZADD', wake_key(lane), unpack(waking))
	end
	asleep, waking = {}, {}
end

-- A suspect that lapsed as one waits until it can run alone, and then no other suspect joins it.
local SUSPECTS_MAX = 16
local suspects, closed = 0, false

local function may_start(lane, r)
	if lane ~= LANE_SUSPECT then
		return true
	elseif closed or r[LAPSES] > 0 and SUSPECTS - suspects < SUSPECTS_MAX then
		closed = true
		return false
	end
	suspects = suspects + 1
	closed = r[LAPSES] > 0
	return true
end

local function is_closed(lane)
	return lane == LANE_SUSPECT and closed
end

-- The first ids in a due set that are due now, `most` at most, and the scores of these and of the next one.
local function first_due(due, most)
	local flat, ids, scores = redis.pcall('ZRANGE', due, '0', digits(most), 'WITHSCORES'), {}, {} -- of a wrong type: none
	for i = 1, #flat, 2 do
		scores[#scores + 1] = flat[i + 1]
		if #ids == most or tonumber(flat[i + 1]) > NOW then
			break
		end
		ids[#ids + 1] = flat[i]
	end
	return ids, scores
end

-- The same where one is wanted, which leaves the set; what is not due yet goes back.
local function pop_due(due)
	local first = redis.pcall('ZPOPMIN', due)
	if first[1] and tonumber(first[2]) > NOW then
		redis.call('ZADD', due, first[2], first[1])
		return {}, {first[2]}
	end
	return {first[1]}, {}
end

-- Starts up to `most` jobs of one tenant.
local function serve(lane, tenant, most)
	local due, alone = due_key(Q, lane, tenant), most == 1 and lane ~= LANE_SUSPECT
	local ids, scores = (alone and pop_due or first_due)(due, most)
	local got, gone = 0, {}
	for _, id in ipairs(ids) do
		local f = fields(id)
		local r = f and job_read(f[MINE])
		if f and r[WHERE] == DUE and r[LANE] == lane and f[12] == tenant then
			if not may_start(lane, r) then
				break
			end
			start(id, f, r)
			got = got + 1
		end
		gone[#gone + 1] = id
	end
	if #gone > 0 and not alone then
		redis.call('ZREMRANGEBYRANK', due, '0', digits(#gone - 1)) -- they are its first
	end
	served[tenant] = (served[tenant] or 0) + got
	looks = looks + math.max(1, #ids)
	left = left - got
	if #ids < most then
		to_sleep(tenant, scores[#gone + 1])
	end
	return got, #ids < most
end

-- The first tenants of a lane, at most BATCH: [[tenant, virtual time]…], and the time of the next one.
local function first_ready(lane)
	local flat, list = redis.call('ZRANGE', ready_key(lane), 0, BATCH, 'WITHSCORES'), {}
	for i = 1, #flat, 2 do
		list[#list + 1] = {flat[i], number(flat[i + 1])}
	end
	local bound = list[BATCH + 1] and list[BATCH + 1][2] or math.huge
	list[BATCH + 1] = nil
	return list, bound
end

-- Charges a tenant a slot-second for each job.
local values = {}
local function charge(entry, got)
	entry[2] = entry[2] + got * SLOT
	values[entry[1]] = entry[2]
end

-- The new virtual times, in all lanes.
local function write_values()
	local scores, set = {}, {}
	for tenant, value in pairs(values) do
		value = digits(value)
		scores[#scores + 1], set[#set + 1] = value, tenant
		scores[#scores + 1], set[#set + 1] = tenant, value
	end
	if #set > 0 then
		redis.call('HSET', VT, unpack(set))
		for lane, any in pairs(lanes) do
			if any then
				redis.call('ZADD', ready_key(lane), 'XX', unpack(scores))
			end
		end
	end
	values = {}
end

-- Charged tenants stand in `again` in order, from its first on.
local function queue_again(again, first, entry)
	local at = #again + 1
	while at > first and again[at - 1][2] > entry[2] do
		again[at] = again[at - 1]
		at = at - 1
	end
	again[at] = entry
end

-- The tenant with the least virtual time, again and again; as many jobs at once as keep it the least. It is the first of
-- those as they were read, or the first of those that were charged since.
local NOBODY = {'', math.huge}
local function fair_round(lane, most)
	local list, bound = first_ready(lane)
	local again, i, k = {}, 1, 1
	while most > 0 and looks < 4 * BATCH and not is_closed(lane) do
		local entry = list[i] or NOBODY
		if again[k] and again[k][2] < entry[2] then
			entry, k = again[k], k + 1
		else
			i = i + 1
		end
		if entry == NOBODY or entry[2] > bound then
			break
		end
		local second = math.min((list[i] or NOBODY)[2], (again[k] or NOBODY)[2], bound)
		local share = math.min(most, second == math.huge and most or math.floor((second - entry[2]) / SLOT) + 1)
		local got, empty = serve(lane, entry[1], share)
		floor = math.max(floor, entry[2] + (got - 1) * SLOT)
		charge(entry, got)
		most = most - got
		if not empty then
			queue_again(again, k, entry)
		end
	end
	write_asleep(lane)
	write_values()
	return most
end

local function fair(lane, most)
	local before
	repeat
		before = looks
		most = fair_round(lane, most)
	until most <= 0 or looks == before or looks >= 4 * BATCH or is_closed(lane)
end

local function newcomers(lane, most)
	local list = first_ready(lane)
	for _, entry in ipairs(list) do
		if most > 0 and not is_closed(lane) and not served[entry[1]] and not redis.call('HGET', RT, entry[1]) then
			local got = serve(lane, entry[1], 1)
			charge(entry, got)
			most = most - got
		end
	end
	write_asleep(lane)
	write_values()
end

local function write_running()
	local tenants, set = {}, {}
	for tenant, n in pairs(served) do
		if n > 0 then
			tenants[#tenants + 1] = tenant
		end
	end
	if #tenants > 0 then
		hash_spread(RT)
		for i, n in ipairs(redis.call('HMGET', RT, unpack(tenants))) do
			set[#set + 1] = tenants[i]
			set[#set + 1] = digits(number(n) + served[tenants[i]])
		end
		redis.call('HSET', RT, unpack(set))
	end
end

local function fill(lane, most)
	wake_up(lane)
	if lanes[lane] then
		local open = SLOTS - math.floor(SLOTS / 10) - RUNS - #jobs
		fair(lane, math.min(most, left, open))
		if open < left then
			newcomers(lane, math.min(most, left))
		end
	end
end
