#!lua flags=no-writes
-- alert_causes WINDOW_MS CAUSE… : what is known of up to 64 causes: [now, [1 if its incident is open, alerts that were
-- opened within the window and stand alone although they have it]…]
--#include "_base.lua"
if #ARGV < 1 or #ARGV > 1 + BATCH then
	fail('EINVAL', 'alert_causes needs a window and at most ' .. BATCH .. ' causes')
end
local WINDOW = arg_int(1, 0, MS_MAX)
local out = {NOW}
for i = 2, #ARGV do
	local cause = arg_text(i, 128)
	need_type('hash', 'alert:incident:' .. cause)
	need_type('zset', 'alerts:cause:' .. cause)
	out[i] = {redis.call('HGET', P .. 'alert:incident:' .. cause, 's') == 'open' and 1 or 0,
		redis.call('ZCOUNT', P .. 'alerts:cause:' .. cause, NOW - WINDOW, '+inf')}
end
return out
