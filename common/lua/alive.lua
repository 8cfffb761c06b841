#!lua flags=allow-oom
-- alive WORKER BEAT_MS SECONDS (FIELD VALUE)… : a worker's row for SECONDS, and its last sign of life, at maxmemory too:
-- a fleet whose Redis is full still answers challenges, and must know by whom. 1.
--#include "_base.lua"
if #ARGV < 5 or #ARGV % 2 ~= 1 or #ARGV > 3 + 2 * BATCH then
	fail('EINVAL', 'alive needs a worker, a time, how long it holds, and 1 to 64 of field and value')
end
local NAME, BEAT, SECONDS = arg_text(1, 128), arg_int(2, 0, MS_MAX), arg_int(3, 1, 86400)
for i = 5, #ARGV, 2 do
	if #ARGV[i] > 4096 then
		fail('EINVAL', 'argument ' .. i .. ' is over 4096 bytes')
	end
end
need_type('hash', 'w:' .. NAME)
need_type('zset', 'workers')
redis.call('HSET', P .. 'w:' .. NAME, unpack(ARGV, 4))
redis.call('EXPIRE', P .. 'w:' .. NAME, SECONDS)
redis.call('ZADD', P .. 'workers', BEAT, NAME)
return 1
