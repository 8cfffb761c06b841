#!lua
-- zone_take ZONE WORKER N PATIENCE_MS : the worker is there, and takes up to N of what is asked of its zone: [bytes…].
-- What waited longer than PATIENCE_MS is waited for by nobody, and goes. N 0: the worker leaves.
--#include "_base.lua"
if #ARGV ~= 4 then
	fail('EINVAL', 'zone_take needs a zone, a worker, a number and a time')
end
local ZONE, NAME, N, PATIENCE = arg_text(1, 32), arg_text(2, 128), arg_int(3, 0, BATCH), arg_int(4, 1, 3600000)
local workers, asks = 'zone:' .. ZONE, 'zone:' .. ZONE .. ':asks'
local KEEP_MS = 86400000
need_type('zset', workers, asks)
if N == 0 then
	redis.call('ZREM', P .. workers, NAME)
	return {}
end
redis.call('ZADD', P .. workers, NOW, NAME)
redis.call('ZREMRANGEBYSCORE', P .. workers, '-inf', NOW - KEEP_MS)
redis.call('PEXPIRE', P .. workers, KEEP_MS)
redis.call('ZREMRANGEBYSCORE', P .. asks, '-inf', NOW - PATIENCE)
local out = redis.call('ZRANGE', P .. asks, 0, N - 1)
if #out > 0 then
	redis.call('ZREM', P .. asks, unpack(out))
end
return out
