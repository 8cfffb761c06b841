#!lua
-- take Q WORKER NONCE N LEASE_MS SLOTS RUNNING SUSPECTS
-- Up to N due jobs, each with a fresh lease: [now, next_due_ms, [id, token, attempt, lapses, intent, lane, want,
-- c, g, v, x, i, jv, ji, o, d, k, conditions]…]. The same NONCE again gives the same jobs, their leases anew.
-- Lanes in order: a person's, urgent, suspects, normal. SUSPECTS more suspects may be given, 16 if none runs there; one
-- that lapsed as a suspect runs with no other suspect beside it. Within a lane the tenant with the
-- least virtual time is served, a slot-second for each job; the last tenth of SLOTS is for tenants that run nothing.
--#include "_base.lua"
--#include "_job.lua"
if #ARGV ~= 8 then
	fail('EINVAL', 'take needs 8 arguments')
end
local Q, NAME, NONCE = arg_queue(1), arg_text(2, 64), arg_text(3, 64)
local N, LEASE_MS = arg_int(4, 0, BATCH), arg_int(5, 1, 86400000)
local SLOTS, RUNS, SUSPECTS = arg_int(6, 0, 1000000), arg_int(7, 0, 1000000), arg_int(8, 0, 16)
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
local LEASE_ENDS, TOKENS = digits(NOW + LEASE_MS), string.format('%s%012x', NONCE:sub(1, 16), NOW)

local function fields(id)
	local f = redis.pcall('HMGET', P .. 'e:' .. id, unpack(FIELDS))
	return not f.err and f[1] and f or nil
end

local function deliver(id, f, r)
	r[AT] = NOW + LEASE_MS
	f[MINE] = cmsgpack.pack(r)
	redis.call('HSET', P .. 'e:' .. id, mine, f[MINE])
	leases[#leases + 1] = LEASE_ENDS
	leases[#leases + 1] = id
	f[12] = nil
	jobs[#jobs + 1] = {id, r[TOKEN], r[ATTEMPT], r[LAPSES], r[INTENT], r[LANE], r[WANT], unpack(f, 1, 11)}
end

local function start(id, f, r)
	r[WHERE], r[WORKER], r[SINCE], r[LEASE], r[CANCEL], r[ASKED] = RUNNING, NAME, NOW, LEASE_MS, 0, 0
	r[TOKEN] = TOKENS .. string.format('%04x', #jobs)
	r[ATTEMPT] = r[ATTEMPT] + 1
	deliver(id, f, r)
end

local function again(list)
	for i = 1, math.min(#list, 2 * BATCH), 2 do
		local f = type(list[i]) == 'string' and fields(list[i])
		local r = f and job_read(f[MINE])
		if f and r[WHERE] == RUNNING and r[TOKEN] == list[i + 1] then
			deliver(list[i], f, r)
		end
	end
end

--#include "_fair.lua"
local function next_due()
	local soonest = 1000
	for _, lane in ipairs({0, 1, 2, SUSPECTS > 0 and 3 or nil}) do
		if left == 0 and redis.call('EXISTS', ready_key(lane)) == 1 then
			return 0
		end
		local first = redis.call('ZRANGE', wake_key(lane), 0, 0, 'WITHSCORES')
		if first[1] then
			soonest = math.min(soonest, math.max(0, number(first[2]) - NOW))
		end
	end
	return soonest
end

local memo = redis.call('HMGET', MEMO, 'nonce', 'ids')
if memo[1] == NONCE then
	again(unpacked(memo[2]) or {})
else
	floor = number(redis.call('HGET', VT, ''))
	local before = floor
	for lane = 0, 3 do
		lanes[lane] = redis.call('EXISTS', ready_key(lane)) == 1
	end
	for _, lane in ipairs({0, 1, 3, 2}) do
		if left > 0 and (lane ~= LANE_SUSPECT or SUSPECTS > 0) then
			fill(lane, lane == LANE_SUSPECT and math.min(SUSPECTS, left) or left)
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
