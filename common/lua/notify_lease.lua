#!lua flags=allow-oom
-- notify_lease NONCE LEASE_MS TARGET… : which of up to 64 targets this sender delivers to: for each 1, or 0 if another
-- does, or 2 if it is ours but said that it is gone (hash notify:gone). LEASE_MS 0 gives them back.
--#include "_base.lua"
if #ARGV < 3 or #ARGV > 2 + BATCH then
	fail('EINVAL', 'notify_lease needs a nonce, a lease and at most ' .. BATCH .. ' targets')
end
local NONCE, LEASE = arg_text(1, 128), arg_int(2, 0, 3600000)
need_type('hash', 'notify:gone')
for i = 3, #ARGV do
	need_type('string', 'notify:lease:' .. arg_text(i, 128))
end

local function hold(target)
	local key = P .. 'notify:lease:' .. target
	local holder = redis.call('GET', key)
	if holder and holder ~= NONCE then
		return 0
	elseif LEASE == 0 then
		redis.call('DEL', key)
		return 0
	end
	redis.call('SET', key, NONCE, 'PX', LEASE)
	return redis.call('HEXISTS', P .. 'notify:gone', target) == 1 and 2 or 1
end

local out = {}
for i = 3, #ARGV do
	out[#out + 1] = hold(ARGV[i])
end
return out
