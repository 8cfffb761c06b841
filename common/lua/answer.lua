#!lua flags=allow-oom
-- answer SOURCE ID STREAM_ID : shows the answer to a request that was applied under the hidden source ~SOURCE, now that
-- the replicas have it: what lies there is packed [answer, [[type, id, data]…]]; the answer goes to req:SOURCE:ID for
-- 24 h, the events are said, the entry is acknowledged and deleted. An answer that is there already stays. Gives 1, or
-- 0 if there was nothing to show.
--#include "_base.lua"
--#include "_event.lua"
if #ARGV ~= 3 then
	fail('EINVAL', 'answer needs source, id and stream id')
end
local SOURCE, ID, ENTRY = arg_text(1, REQUEST_MAX), arg_text(2, REQUEST_MAX), arg_text(3, 41)
local name = SOURCE:gsub('[%%:]', {['%'] = '%25', [':'] = '%3A'}) .. ':' .. ID
local seen, hidden = P .. 'req:' .. name, P .. 'req:~' .. name
need_streams()
need_type('stream', 'requests')
need_type('string', 'req:' .. name, 'req:~' .. name)

if not is_entry(ENTRY) then
	fail('EINVAL', 'not an id of a stream entry: ' .. ENTRY)
end

local held = redis.call('EXISTS', seen) == 0 and unpacked(redis.call('GET', hidden))
held = held and type(held[1]) == 'string' and is_list(held[2] or {}, EVENTS_MAX, is_event) and held
if held then
	local m = unpacked(held[1]) or {}
	redis.call('SET', seen, held[1], 'EX', 86400)
	emit_all(held[2], type(m.endpoint) == 'string' and m.endpoint or '')
end
redis.call('XACK', P .. 'requests', 'scheduler', ENTRY)
redis.call('XDEL', P .. 'requests', ENTRY)
cap_streams()
return held and 1 or 0
