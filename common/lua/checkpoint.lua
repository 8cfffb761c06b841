#!lua flags=allow-oom
-- checkpoint Q (ID TOKEN BYTES)… : stores field o of a job that runs; empty BYTES remove it. A status each.
--#include "_base.lua"
--#include "_job.lua"
local Q = arg_queue(1)
if #ARGV < 4 or #ARGV % 3 ~= 1 or #ARGV > 1 + 3 * BATCH then
	fail('EINVAL', 'checkpoint needs a queue and 1 to 64 triples of id, token and bytes')
end
local out = {}
for i = 2, #ARGV, 3 do
	local key = P .. 'e:' .. ARGV[i]
	local f = redis.pcall('HMGET', key, 'n', JOB_FIELD[Q])
	local r = not f.err and f[1] and job_read(f[2])
	if f.err then
		out[#out + 1] = EINVAL
	elseif not r then
		out[#out + 1] = EGONE
	elseif r[WHERE] ~= RUNNING or r[TOKEN] ~= ARGV[i + 1] then
		out[#out + 1] = ELOST
	else
		if ARGV[i + 2] == '' then
			redis.call('HDEL', key, 'o')
		else
			redis.call('HSET', key, 'o', ARGV[i + 2])
		end
		out[#out + 1] = OK
	end
end
return out
