#!lua flags=allow-oom
-- reindex ID X END : puts right what hangs on an endpoint but on no job: if field x still is X ('': none), `expiry` says
-- END (-1: nothing), and the names of its config that it does not claim are claimed. A name that another endpoint of
-- its tenant claims stays there. A status; ESTALE if x changed.
--#include "_base.lua"
--#include "_job.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
if #ARGV ~= 3 then
	fail('EINVAL', 'reindex needs an id, bytes and a time')
end
local ID, END = arg_text(1, 64), arg_int(3, -1, MS_MAX)
need_type('zset', 'expiry')
local f = redis.pcall('HMGET', P .. 'e:' .. ID, 'n', 'c', 'x')
if f.err then
	return EINVAL
elseif not f[1] or not f[2] then
	return EGONE
elseif (f[3] or '') ~= ARGV[2] then
	return ESTALE
end
if END < 0 then
	redis.call('ZREM', P .. 'expiry', ID)
else
	redis.call('ZADD', P .. 'expiry', END, ID)
end
for _, name in ipairs(names_of(f[2])) do
	if not claims(ID, name) and not claim_refused(f[1], ID, name) then
		claim_add(f[1], ID, name)
	end
end
return OK
