-- ask_one: raises `want` and plans the job, unless it runs (then its finish plans it). Needs _job.lua and _event.lua.
-- The endpoint's record may have been written by this script before. force revives a parked job.
local function unparked(q, id, tenant, r)
	if r[WHERE] == PARKED and r[WHY] == 'lapses' then
		emit('edges', 'unparked:' .. id .. ':' .. q .. ':' .. NOW, 'parked', id, cmsgpack.pack({V = 1,
			condition = 'parked', open = false, endpoint = id, tenant = tenant, since = r[AT]}))
	end
end

local function ask_one(q, id, plan, force)
	local key, field = P .. 'e:' .. id, JOB_FIELD[q]
	local f = redis.pcall('HMGET', key, 'n', field)
	if f.err then
		return EINVAL
	elseif not f[1] then
		return EGONE
	end
	local tenant, r = f[1], job_read(f[2])
	if not lanes_ok(q, tenant, r[LANE], plan[2]) then
		return EINVAL
	end
	r[WANT] = r[WANT] + 1
	plan = {plan[1], plan[2], math.max(plan[3], NOW), plan[4]}
	if r[WHERE] == RUNNING then
		r[ASKED] = r[ASKED] == 0 and plan or plan_merge(r[ASKED], plan)
	elseif r[WHERE] == DUE then
		local now = {r[INTENT], r[LANE], r[AT], r[WHY]}
		local merged = plan_merge(now, plan)
		if r[LANE] == LANE_SUSPECT then
			merged[2] = LANE_SUSPECT
		end
		job_out(q, tenant, id, r)
		job_due(q, tenant, id, r, merged)
	elseif r[WHERE] == NONE or force then
		unparked(q, id, tenant, r)
		job_out(q, tenant, id, r)
		r[LAPSES] = 0
		job_due(q, tenant, id, r, plan)
	end
	redis.call('HSET', key, field, cmsgpack.pack(r))
	return OK
end
