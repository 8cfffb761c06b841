#!lua flags=allow-oom
-- publish txt|http NAME VALUE SECONDS : puts a challenge's answer where the responders read it (txt: all values at a
-- label). It is small and has an end, so that an order that was begun can end at maxmemory. 1.
--#include "_base.lua"
if #ARGV ~= 4 or (ARGV[1] ~= 'txt' and ARGV[1] ~= 'http') then
	fail('EINVAL', 'publish needs txt or http, a name, a value and a time')
end
local TXT, KEY = ARGV[1] == 'txt', ARGV[1] .. ':' .. arg_text(2, 512)
local VALUE, SECONDS = arg_text(3, 1024), arg_int(4, 1, 86400)
need_type(TXT and 'hash' or 'string', KEY)
if TXT then
	redis.call('HSET', P .. KEY, VALUE, '1')
	redis.call('EXPIRE', P .. KEY, SECONDS)
else
	redis.call('SET', P .. KEY, VALUE, 'EX', SECONDS)
end
return 1
