#!lua flags=allow-oom
-- unlock NAME HOLDER : frees the lock P..NAME if HOLDER still has it. 1 freed, 0 not ours.
--#include "_base.lua"
if #ARGV ~= 2 then
	fail('EINVAL', 'unlock needs a name and a holder')
end
local NAME = arg_text(1, 256)
need_type('string', NAME)
return redis.call('GET', P .. NAME) == ARGV[2] and redis.call('DEL', P .. NAME) or 0
