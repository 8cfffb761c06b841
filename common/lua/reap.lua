#!lua flags=allow-oom
-- reap Q [EXPECT_MS WITHIN_MS] : up to 64 lapsed leases become suspects, due at once; the third lapse of a suspect parks it. Leases further
-- ahead than twice their length (the clock was set back) are clamped. Returns [looked, lapsed, parked].
-- Nothing is done while Redis' clock is not within WITHIN_MS of EXPECT_MS: it stepped, and nobody's lease has lapsed.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
local Q = arg_queue(1)
local LAPSES_MAX = 3
if #ARGV ~= 1 and #ARGV ~= 3 then
	fail('EINVAL', 'reap needs a queue, and perhaps a time and how far it may be off')
elseif #ARGV == 3 and math.abs(NOW - arg_int(2, 0, MS_MAX)) > arg_int(3, 0, MS_MAX) then
	return {0, 0, 0}
end
need_streams()
local RUN, field = P .. 'run:' .. Q, JOB_FIELD[Q]
local lapsed, parked = 0, 0

local function parked_now(id, tenant, r, before)
	local data = {V = 1, condition = 'parked', open = true, endpoint = id, tenant = tenant, since = NOW,
		severity = 'critical', actor = 'operator', deadline = 0, fix = 'certfleet jobs retry ' .. id, next = '',
		text = 'the ' .. Q .. ' job ended its worker ' .. r[LAPSES] .. ' times and was parked'}
	local unique = Q .. ':' .. NOW
	emit('edges', 'parked:' .. id .. ':' .. unique, 'parked', id, cmsgpack.pack(data))
	if before ~= 'parked' then
		redis.call('HSET', P .. 'e:' .. id, 's', 'parked')
		emit_state(id, 'parked', 'lapses', before, unique)
	end
	changed(id)
end

local function lapse(id, f, r)
	local tenant, suspect = f[1], r[LANE] == LANE_SUSPECT
	if not lanes_ok(Q, tenant, LANE_SUSPECT) then -- its turn comes again; what lapsed behind it does not wait for that
		r[AT] = NOW + math.max(r[LEASE], 1000)
		index(RUN, id, r[AT])
		redis.call('HSET', P .. 'e:' .. id, field, cmsgpack.pack(r))
		return
	end
	job_out(Q, tenant, id, r)
	r[LAPSES] = r[LAPSES] + (suspect and 1 or 0)
	if r[LAPSES] >= LAPSES_MAX then
		job_park(Q, id, r, 'lapses')
		parked_now(id, tenant, r, f[3])
		parked = parked + 1
	else
		job_due(Q, tenant, id, r, {r[INTENT], LANE_SUSPECT, NOW, 'lapsed'})
	end
	lapsed = lapsed + 1
	redis.call('HSET', P .. 'e:' .. id, field, cmsgpack.pack(r))
end

local function look(id)
	local f = redis.pcall('HMGET', P .. 'e:' .. id, 'n', field, 's')
	local r = not f.err and f[1] and job_read(f[2])
	if not r or r[WHERE] ~= RUNNING then
		index(RUN, id, false)
	elseif r[AT] > NOW and r[AT] <= NOW + 2 * r[LEASE] then
		index(RUN, id, r[AT])
	else
		lapse(id, f, r)
	end
end

local function clamp()
	local last = redis.call('ZREVRANGE', RUN, 0, BATCH - 1, 'WITHSCORES')
	for i = 1, #last, 2 do
		local id, score = last[i], tonumber(last[i + 1])
		local f = redis.pcall('HMGET', P .. 'e:' .. id, 'n', field)
		local r = not f.err and f[1] and job_read(f[2])
		if r and r[WHERE] == RUNNING then
			if score <= NOW + 2 * r[LEASE] then
				return
			end
			r[AT] = NOW + r[LEASE]
			index(RUN, id, r[AT])
			redis.call('HSET', P .. 'e:' .. id, field, cmsgpack.pack(r))
		else
			index(RUN, id, false)
		end
	end
end

local due = redis.call('ZRANGEBYSCORE', RUN, '-inf', NOW, 'LIMIT', 0, BATCH)
for _, id in ipairs(due) do
	look(id)
end
clamp()
flush()
cap_streams()
if redis.call('EXISTS', RUN) == 0 then
	redis.call('DEL', P .. 'rt:' .. Q)
end
return {#due, lapsed, parked}
