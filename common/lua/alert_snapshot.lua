#!lua flags=allow-oom
-- Says which alerts are open, a page at a time, so that consumers can resolve what is not named.
-- ARGV: name of the snapshot, first rank of the page, when the snapshot began (Unix ms; 0: now).
-- The event's data: {V, snapshot, page, last, as_of, open: [KEY#ORDINAL …]}: after the last page whatever was opened
-- before as_of and was not named is resolved. Gives [members of this page, 1 if it was the last, as_of].
--#include "_base.lua"
--#include "_event.lua"

local PAGE = 64
if #ARGV ~= 3 then
	fail('EINVAL', 'alert_snapshot needs a name, a rank and a time')
end
local name = arg_text(1, 200)
local first = arg_int(2, 0, MS_MAX)
local as_of = arg_int(3, 0, MS_MAX)
need_type('stream', 'alerts')
need_type('zset', 'alerts:open')
need_type('hash', 'trimmed')
if as_of == 0 then
	as_of = NOW
end

local keys = redis.call('ZRANGE', P .. 'alerts:open', first, first + PAGE)
local last = #keys <= PAGE
local open = {}
for i = 1, math.min(#keys, PAGE) do
	local key = P .. 'alert:' .. keys[i]
	open[i] = keys[i] .. '#' .. number(is_type(key, 'hash') and redis.call('HGET', key, 'n'))
end
local page = math.floor(first / PAGE)
emit('alerts', 'snapshot:' .. name .. ':' .. page, 'certfleet.alert.snapshot', '',
	cmsgpack.pack({V = 1, snapshot = name, page = page, last = last, as_of = as_of, open = open}))
cap_streams()
return {#open, last and 1 or 0, as_of}
