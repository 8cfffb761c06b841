#!lua flags=allow-oom
-- recount Q REPAIR : counts the running jobs of each tenant and compares with rt:Q: [looked, tenant…] whose number is
-- wrong, at most 64 of them; with REPAIR 1 all numbers are put right. Only while at most 2048 run (about 2 ms): else
-- [-1], and a later pass will.
--#include "_base.lua"
--#include "_job.lua"
local Q = arg_queue(1)
if #ARGV ~= 2 then
	fail('EINVAL', 'recount needs a queue, and 1 to repair or 0')
end
local REPAIR, RUN, RT = arg_int(2, 0, 1) == 1, P .. 'run:' .. Q, P .. 'rt:' .. Q
if redis.call('ZCARD', RUN) > 2048 or redis.call('HLEN', RT) > 2048 then
	return {-1}
end
local counts, wrong = {}, {}
local ids = redis.call('ZRANGE', RUN, 0, -1)
for _, id in ipairs(ids) do
	local tenant = redis.pcall('HGET', P .. 'e:' .. id, 'n')
	if type(tenant) == 'string' then
		counts[tenant] = (counts[tenant] or 0) + 1
	end
end
local said = redis.call('HGETALL', RT)
for i = 1, #said, 2 do
	local tenant = said[i]
	if not counts[tenant] or tonumber(said[i + 1]) ~= counts[tenant] then
		wrong[tenant] = counts[tenant] or 0
	end
	counts[tenant] = nil
end
for tenant, n in pairs(counts) do
	wrong[tenant] = n
end
local out = {#ids}
for tenant, n in pairs(wrong) do
	if #out <= BATCH then
		out[#out + 1] = tenant
	end
	if REPAIR then
		redis.call('HDEL', RT, tenant)
		if n > 0 then
			redis.call('HSET', RT, tenant, n)
		end
	end
end
return out
