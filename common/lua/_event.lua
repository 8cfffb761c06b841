-- Events with CloudEvents attributes as stream fields, and the changes stream that column indexes follow.
local STREAM_CAP = 1000000
local CHANGES_CAP = 100000
local appended = {}

-- RFC 3339 in UTC; days to civil date after Howard Hinnant.
local function rfc3339(ms)
	local s = math.floor(ms / 1000)
	local z = math.floor(s / 86400) + 719468
	local era = math.floor(z / 146097)
	local doe = z - era * 146097
	local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
	local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
	local mp = math.floor((5 * doy + 2) / 153)
	local month = mp < 10 and mp + 3 or mp - 9
	local year = yoe + era * 400 + (month <= 2 and 1 or 0)
	return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
		math.floor(s / 3600) % 24, math.floor(s / 60) % 60, s % 60, ms % 1000)
end

local stamp
local function emit(stream, id, kind, subject, data)
	stamp = stamp or rfc3339(NOW)
	redis.call('XADD', P .. stream, '*', 'id', id, 'type', kind, 'source', FLEET, 'subject', subject, 'time', stamp,
		'specversion', '1.0', 'datacontenttype', 'application/msgpack', 'data', data)
	appended[stream] = true
end

local function changed(id)
	redis.call('XADD', P .. 'changes', 'MAXLEN', '~', CHANGES_CAP, '*', 'id', id)
end

-- The leader trims streams to their cap; while none does, what is a tenth past it loses its oldest entries here, in
-- bounded steps, and that is counted.
local STREAM_LEAST = 100
local function cap_streams()
	for stream in pairs(appended) do
		local length = redis.call('XLEN', P .. stream)
		local cap = length > STREAM_LEAST and tonumber(redis.call('HGET', P .. 'trimmed', 'cap') or nil) or STREAM_CAP
		if length > cap * 1.1 then
			local lost = redis.call('XTRIM', P .. stream, 'MAXLEN', '~', cap, 'LIMIT', 1000)
			local first = redis.call('XRANGE', P .. stream, '-', '+', 'COUNT', 1)[1]
			if lost > 0 and first then
				redis.call('HINCRBY', P .. 'trimmed', stream, lost)
				redis.call('HSET', P .. 'trimmed', stream .. ':first', first[1], stream .. ':at', NOW)
			end
		end
	end
end

local function need_streams()
	need_type('stream', 'results', 'edges', 'changes')
	need_type('hash', 'trimmed')
end

local EVENTS_MAX = 256
local function is_event(e)
	return type(e) == 'table' and is_text(e[1], 128) and is_text(e[2], 512) and type(e[3]) == 'string'
end

local function need_events(i, m, key)
	if m[key] ~= nil and not is_list(m[key], EVENTS_MAX, is_event) then
		fail('EINVAL', 'item ' .. i .. ': "' .. key .. '" must be a list of at most ' .. EVENTS_MAX ..
			' events [type, id, data, edge]')
	end
end

local function emit_all(list, subject)
	for _, e in ipairs(list or {}) do
		emit(e[4] and e[4] ~= 0 and 'edges' or 'results', e[2], e[1], subject, e[3])
	end
end

local function emit_state(id, state, reason, before, unique)
	emit('results', 'state:' .. id .. ':' .. unique, 'certfleet.endpoint.state', id,
		cmsgpack.pack({V = 1, state = state, reason = reason or '', previous = before or ''}))
end

-- Field t: the last entries of what happened to an endpoint.
local TIMELINE_MAX, ENTRY_MAX = 40, 4096

local function is_entry_bytes(v)
	return type(v) == 'string' and #v <= ENTRY_MAX
end

local function append_timeline(bytes, entries)
	local t, kept = unpacked(bytes) or {}, {}
	for n = math.max(1, #t + #entries - TIMELINE_MAX + 1), #t do
		kept[#kept + 1] = t[n]
	end
	for _, entry in ipairs(entries) do
		kept[#kept + 1] = entry
	end
	return cmsgpack.pack(kept)
end
