#!lua flags=allow-oom
-- cancel Q ID : marks a running job, so that its worker stops it at its next beat and gives it back. 1 if it runs, 0 if
-- not, EGONE if there is no such endpoint.
--#include "_base.lua"
--#include "_job.lua"
if #ARGV ~= 2 then
	fail('EINVAL', 'cancel needs a queue and an id')
end
local Q, ID = arg_queue(1), arg_text(2, 64)
local key, field = P .. 'e:' .. ID, JOB_FIELD[Q]
local f = redis.pcall('HMGET', key, 'n', field)
if f.err then
	return EINVAL
elseif not f[1] then
	return EGONE
end
local r = job_read(f[2])
if r[WHERE] ~= RUNNING then
	return 0
end
r[CANCEL] = 1
redis.call('HSET', key, field, cmsgpack.pack(r))
return 1
