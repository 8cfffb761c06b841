#!lua
-- zone_ask ZONE BYTES ALIVE_MS : has a worker of the zone look from inside. 1 when it waits to be taken; 0 when no worker
-- of the zone was there within ALIVE_MS; ETOOBIG when too many wait.
--#include "_base.lua"
if #ARGV ~= 3 or #ARGV[2] > 131072 then
	fail('EINVAL', 'zone_ask needs a zone, at most 128 KiB, and a time')
end
local ZONE, ALIVE = arg_text(1, 32), arg_int(3, 0, 3600000)
local workers, asks = 'zone:' .. ZONE, 'zone:' .. ZONE .. ':asks'
local ASKS_MAX, KEEP_MS = 4096, 60000
need_type('zset', workers, asks)
if #redis.call('ZRANGEBYSCORE', P .. workers, NOW - ALIVE, '+inf', 'LIMIT', 0, 1) == 0 then
	return 0
elseif redis.call('ZCARD', P .. asks) >= ASKS_MAX then
	return ETOOBIG
end
redis.call('ZADD', P .. asks, NOW, ARGV[2])
redis.call('PEXPIRE', P .. asks, KEEP_MS)
redis.call('PUBLISH', P .. 'zone:' .. ZONE, '1')
return 1
