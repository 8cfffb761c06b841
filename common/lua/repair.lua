#!lua flags=allow-oom
-- repair Q ID EXPECT [INTENT LANE DUE_MS WHY] [keep] : if the job record's bytes are still EXPECT ('': none), the job
-- becomes due so, or none, and leaves every index where it does not belong. With `keep` a record that can be read stays
-- as it is, and only the indexes follow it: what runs goes on running. An id without an endpoint leaves the index of
-- endpoints (EGONE). A status; ESTALE if the record changed.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
local Q = arg_queue(1)
local KEEP = (#ARGV == 4 or #ARGV == 8) and ARGV[#ARGV] == 'keep'
local args = #ARGV - (KEEP and 1 or 0)
if args ~= 3 and args ~= 7 then
	fail('EINVAL', 'repair needs a queue, id, expected bytes, perhaps a plan, perhaps keep')
end
need_type('zset', 'endpoints', 'expiry')
local ID, key, field = arg_text(2, 64), P .. 'e:' .. ARGV[2], JOB_FIELD[Q]
local plan = args == 7 and {arg_int(4, 0, 9), arg_int(5, 0, 3), arg_int(6, 0, MS_MAX), ARGV[7]:sub(1, 64)} or nil
local f = redis.pcall('HMGET', key, 'n', field, 'c')
if f.err then
	return EINVAL
elseif not f[1] or not f[3] then
	redis.call('ZREM', P .. 'endpoints', ID)
	redis.call('ZREM', P .. 'expiry', ID)
	redis.call('ZREM', P .. 'run:' .. Q, ID)
	redis.call('ZREM', P .. 'parked:' .. Q, ID)
	return EGONE
elseif (f[2] or '') ~= ARGV[3] then
	return ESTALE
end
local tenant, r = f[1], job_read(f[2])
if not lanes_ok(Q, tenant, 0, 1, 2, 3) then
	return EINVAL
end
local stays = KEEP and job_of(f[2]) ~= nil
if not stays then
	job_out(Q, tenant, ID, r)
end
for lane = 0, 3 do
	index(due_key(Q, lane, tenant), ID, false)
end
index(P .. 'run:' .. Q, ID, false)
index(P .. 'parked:' .. Q, ID, false)
if stays then
	job_index(Q, tenant, ID, r)
else
	if plan then
		job_due(Q, tenant, ID, r, plan)
	end
	redis.call('HSET', key, field, cmsgpack.pack(r))
end
redis.call('ZADD', P .. 'endpoints', 0, ID)
flush()
return OK
