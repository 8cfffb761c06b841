#!lua
-- take Q WORKER NONCE N LEASE_MS SLOTS RUNNING SUSPECTS
-- Up to N due jobs, each with a fresh lease: [now, next_due_ms, [id, token, attempt, lapses, intent, lane, want,
-- c, g, v, x, i, jv, ji, o, d, k, conditions]…]. The same NONCE again gives the same jobs, their leases anew.
-- Lanes in order: a person's, urgent, at most one suspect (if SUSPECTS), normal. Within a lane the tenant with the
-- least virtual time is served, a slot-second for each job; the last tenth of SLOTS is for tenants that run nothing.
--#include "_base.lua"
--#include "_job.lua"
if #ARGV ~= 8 then
	fail('EINVAL', 'take needs 8 arguments')
end
local Q, NAME, NONCE = arg_queue(1), arg_text(2, 64), arg_text(3, 64)
local N, LEASE_MS = arg_int(4, 0, BATCH), arg_int(5, 1, 86400000)
local SLOTS, RUNS, SUSPECTS = arg_int(6, 0, 1000000), arg_int(7, 0, 1000000), arg_int(8, 0, 1)
local RUN, VT, RT = P .. 'run:' .. Q, P .. 'vt:' .. Q, P .. 'rt:' .. Q
local MEMO = P .. 'last:' .. NAME .. ':' .. Q
need_type('hash', 'last:' .. NAME .. ':' .. Q)
if #NONCE < 16 then
	fail('EINVAL', 'the nonce must have 16 characters or more')
end

local mine = JOB_FIELD[Q]
local FIELDS = {'c', 'g', 'v', 'x', 'i', 'jv', 'ji', 'o', 'd', 'k', Q == 'verify' and 'av' or 'ai', 'n'}
local MINE = Q == 'verify' and 6 or 7
local jobs, leases = {}, {}

local function fields(id)
	local f = redis.pcall('HMGET', P .. 'e:' .. id, unpack(FIELDS))
	return not f.err and f[1] and f or nil
end

local function deliver(id, f, r)
	r[AT] = NOW + LEASE_MS
	f[MINE] = cmsgpack.pack(r)
	redis.call('HSET', P .. 'e:' .. id, mine, f[MINE])
	leases[#leases + 1] = r[AT]
	leases[#leases + 1] = id
	f[12] = nil
	jobs[#jobs + 1] = {id, r[TOKEN], r[ATTEMPT], r[LAPSES], r[INTENT], r[LANE], r[WANT], unpack(f, 1, 11)}
end

local function start(id, f, r)
	r[WHERE], r[WORKER], r[SINCE], r[LEASE], r[CANCEL], r[ASKED] = RUNNING, NAME, NOW, LEASE_MS, 0, 0
	r[TOKEN] = string.format('%s%012x%04x', NONCE:sub(1, 16), NOW, #jobs)
	r[ATTEMPT] = r[ATTEMPT] + 1
	deliver(id, f, r)
end

local function again(list)
	for i = 1, #list - 1, 2 do
		local f = fields(list[i])
		local r = f and job_read(f[MINE])
		if f and r[WHERE] == RUNNING and r[TOKEN] == list[i + 1] then
			deliver(list[i], f, r)
		end
	end
end

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
		local own, scores, values = redis.call('HMGET', VT, unpack(woken)), {}, {}
		for i, tenant in ipairs(woken) do
			local v = math.max(tonumber(own[i]) or 0, floor)
			scores[2 * i - 1], scores[2 * i] = v, tenant
			values[2 * i - 1], values[2 * i] = tenant, v
		end
		redis.call('HSET', VT, unpack(values))
		redis.call('ZADD', ready_key(lane), 'NX', unpack(scores))
		redis.call('ZREM', wake_key(lane), unpack(woken))
		lanes[lane] = true
	end
end

-- Nothing of this tenant is due now: it waits for its next.
local function to_sleep(lane, tenant, due)
	local first = is_type(due, 'zset') and redis.call('ZRANGE', due, 0, 0, 'WITHSCORES') or {}
	redis.call('ZREM', ready_key(lane), tenant)
	if first[1] then
		redis.call('ZADD', wake_key(lane), first[2], tenant)
	end
end

-- Starts up to `most` jobs of one tenant.
local function serve(lane, tenant, most)
	local due = due_key(Q, lane, tenant)
	local ids = is_type(due, 'zset') and redis.call('ZRANGEBYSCORE', due, '-inf', NOW, 'LIMIT', 0, most) or {}
	local got = 0
	for _, id in ipairs(ids) do
		local f = fields(id)
		local r = f and job_read(f[MINE])
		if f and r[WHERE] == DUE and r[LANE] == lane and f[12] == tenant then
			start(id, f, r)
			got = got + 1
		end
	end
	if #ids > 0 then
		redis.call('ZREM', due, unpack(ids))
	end
	served[tenant] = (served[tenant] or 0) + got
	looks = looks + math.max(1, #ids)
	left = left - got
	if #ids < most then
		to_sleep(lane, tenant, due)
	end
	return got, #ids < most
end

-- The first tenants of a lane, at most BATCH: [[tenant, virtual time]…], and the time of the next one.
local function first_ready(lane)
	local flat, list = redis.call('ZRANGE', ready_key(lane), 0, BATCH, 'WITHSCORES'), {}
	for i = 1, #flat, 2 do
		list[#list + 1] = {flat[i], tonumber(flat[i + 1])}
	end
	local bound = list[BATCH + 1] and list[BATCH + 1][2] or math.huge
	list[BATCH + 1] = nil
	return list, bound
end

-- Index of the least in the list, and the second least value.
local function least(list, bound)
	local at, second = 1, bound
	for i = 2, #list do
		local v = list[i][2]
		if v < list[at][2] then
			second, at = list[at][2], i
		elseif v < second then
			second = v
		end
	end
	return at, second
end

-- Charges a tenant a slot-second for each job.
local values = {}
local function charge(entry, got)
	entry[2] = entry[2] + got
	values[entry[1]] = entry[2]
end

-- The new virtual times, in all lanes.
local function write_values()
	local scores, set = {}, {}
	for tenant, value in pairs(values) do
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

-- The tenant with the least virtual time, again and again; as many at once as keep it the least.
local function fair_round(lane, most)
	local list, bound = first_ready(lane)
	while most > 0 and #list > 0 and looks < 4 * BATCH do
		local at, second = least(list, bound)
		local entry = list[at]
		if entry[2] > bound then
			break
		end
		local share = math.min(most, second == math.huge and most or math.floor(second - entry[2]) + 1)
		local got, empty = serve(lane, entry[1], share)
		floor = math.max(floor, entry[2] + got - 1)
		charge(entry, got)
		most = most - got
		if empty then
			table.remove(list, at)
		end
	end
	write_values()
	return most
end

local function fair(lane, most)
	local before
	repeat
		before = looks
		most = fair_round(lane, most)
	until most <= 0 or looks == before or looks >= 4 * BATCH
end

local function newcomers(lane, most)
	local list = first_ready(lane)
	for _, entry in ipairs(list) do
		if most > 0 and not served[entry[1]] and not redis.call('HGET', RT, entry[1]) then
			local got = serve(lane, entry[1], 1)
			charge(entry, got)
			most = most - got
		end
	end
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
		for i, n in ipairs(redis.call('HMGET', RT, unpack(tenants))) do
			set[#set + 1] = tenants[i]
			set[#set + 1] = (tonumber(n) or 0) + served[tenants[i]]
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

local function next_due()
	local soonest = 1000
	for _, lane in ipairs({0, 1, 2, SUSPECTS == 1 and #jobs == 0 and 3 or nil}) do
		if left == 0 and redis.call('EXISTS', ready_key(lane)) == 1 then
			return 0
		end
		local first = redis.call('ZRANGE', wake_key(lane), 0, 0, 'WITHSCORES')
		if first[1] then
			soonest = math.min(soonest, math.max(0, tonumber(first[2]) - NOW))
		end
	end
	return soonest
end

local memo = redis.call('HMGET', MEMO, 'nonce', 'ids')
if memo[1] == NONCE then
	again(unpacked(memo[2]) or {})
else
	floor = tonumber(redis.call('HGET', VT, '') or 0) or 0
	local before = floor
	for lane = 0, 3 do
		lanes[lane] = redis.call('EXISTS', ready_key(lane)) == 1
	end
	for _, lane in ipairs({0, 1, 3, 2}) do
		if left > 0 and (lane ~= LANE_SUSPECT or SUSPECTS == 1) then
			fill(lane, lane == LANE_SUSPECT and 1 or left)
		end
	end
	if floor > before then
		redis.call('HSET', VT, '', floor)
	end
	write_running()
	local ids = {}
	for _, job in ipairs(jobs) do
		ids[#ids + 1] = job[1]
		ids[#ids + 1] = job[2]
	end
	redis.call('HSET', MEMO, 'nonce', NONCE, 'ids', cmsgpack.pack(ids))
	redis.call('PEXPIRE', MEMO, math.max(60000, 4 * LEASE_MS))
end
if #leases > 0 then
	redis.call('ZADD', RUN, unpack(leases))
end
return {NOW, next_due(), unpack(jobs)}
