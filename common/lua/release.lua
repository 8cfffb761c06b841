#!lua flags=allow-oom
-- release Q (ID TOKEN DUE_MS WHY)… : gives jobs back, due at DUE_MS, without charging an attempt. A status each; 0
-- also for a repeat. Who asked meanwhile may make it due earlier; a suspect stays one.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
local Q = arg_queue(1)
if #ARGV < 5 or #ARGV % 4 ~= 1 or #ARGV > 1 + 4 * BATCH then
	fail('EINVAL', 'release needs a queue and 1 to 64 of id, token, due and why')
end
for i = 4, #ARGV, 4 do
	arg_int(i, 0, MS_MAX)
	if #ARGV[i + 1] > 64 then
		fail('EINVAL', 'argument ' .. i + 1 .. ' is over 64 bytes')
	end
end

local function release(id, token, due, why)
	local key, field = P .. 'e:' .. id, JOB_FIELD[Q]
	local f = redis.pcall('HMGET', key, 'n', field)
	if f.err then
		return EINVAL
	elseif not f[1] then
		return EGONE
	end
	local tenant, r = f[1], job_read(f[2])
	if r[WHERE] ~= RUNNING or r[TOKEN] ~= token then
		return token ~= '' and r[LAST] == token and OK or ELOST
	end
	local plan = {r[INTENT], r[LANE], due, why}
	plan = r[ASKED] == 0 and plan or plan_merge(plan, r[ASKED])
	if r[LANE] == LANE_SUSPECT then
		plan[2] = LANE_SUSPECT
	end
	if not lanes_ok(Q, tenant, plan[2]) then
		return EINVAL
	end
	r[LAST] = token
	r[ATTEMPT] = math.max(0, r[ATTEMPT] - 1)
	job_out(Q, tenant, id, r)
	job_due(Q, tenant, id, r, plan)
	redis.call('HSET', key, field, cmsgpack.pack(r))
	return OK
end

local out = {}
for i = 2, #ARGV, 4 do
	out[#out + 1] = release(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3])
end
flush()
return out
