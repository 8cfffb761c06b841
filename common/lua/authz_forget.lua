#!lua flags=allow-oom
-- authz_forget Q ID TOKEN NAME URL : forgets an authorization that was deactivated or has expired. A status.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
local Q = arg_queue(1)
if #ARGV ~= 5 then
	fail('EINVAL', 'authz_forget needs a queue, id, token, name and url')
end
local key, base = dom_of(arg_text(4, 255))
if not is_type(key, 'hash') then
	fail('EINVAL', 'not a hash: ' .. key)
end
local f = redis.pcall('HMGET', P .. 'e:' .. ARGV[2], 'n', JOB_FIELD[Q])
if f.err then
	return EINVAL
elseif not f[1] then
	return EGONE
end
local r = job_read(f[2])
if r[WHERE] ~= RUNNING or r[TOKEN] ~= ARGV[3] then
	return ELOST
end
local d = dom_read(key, base)
for i = #d[4], 1, -1 do
	if d[4][i][2] == ARGV[5] then
		table.remove(d[4], i)
		dom_write(key, base, d)
	end
end
return OK
