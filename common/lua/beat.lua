#!lua flags=allow-oom
-- beat Q LEASE_MS (ID TOKEN)… : extends leases; a status each: 0, 1 (extended, but stop: cancelled), or CF_E*.
--#include "_base.lua"
--#include "_job.lua"
local Q, LEASE_MS = arg_queue(1), arg_int(2, 1, 86400000)
if #ARGV < 4 or #ARGV % 2 ~= 0 or #ARGV > 2 + 2 * BATCH then
	fail('EINVAL', 'beat needs a queue, a lease and 1 to 64 pairs of id and token')
end
local field, out, leases = JOB_FIELD[Q], {}, {}
for i = 3, #ARGV, 2 do
	local id, token = ARGV[i], ARGV[i + 1]
	local f = redis.pcall('HMGET', P .. 'e:' .. id, 'n', field)
	local r = not f.err and f[1] and job_read(f[2])
	if f.err then
		out[#out + 1] = EINVAL
	elseif not r then
		out[#out + 1] = EGONE
	elseif r[WHERE] ~= RUNNING or r[TOKEN] ~= token then
		out[#out + 1] = ELOST
	else
		r[AT], r[LEASE] = NOW + LEASE_MS, LEASE_MS
		redis.call('HSET', P .. 'e:' .. id, field, cmsgpack.pack(r))
		leases[#leases + 1] = r[AT]
		leases[#leases + 1] = id
		out[#out + 1] = r[CANCEL] == 1 and 1 or OK
	end
end
if #leases > 0 then
	redis.call('ZADD', P .. 'run:' .. Q, unpack(leases))
end
return out
