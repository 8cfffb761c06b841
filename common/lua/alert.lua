#!lua flags=allow-oom
-- Turns conditions into alerts: opened once, escalated when they become worse, resolved when they end, never repeated.
-- ARGV: entries of the edges stream that this answers for (separated by blanks, or ""), then up to 64 items
--   {key, open, severity (0 info, 1 warning, 2 critical), data}
-- data is the msgpack map of common/event.h. A change says it on `alerts` with the alert's id, KEY#ORDINAL, added to it.
--   alert:KEY  HASH  n ordinal | s open or resolved | v severity | o opened | r resolved | d data as last said
--   alerts:open  ZSET  key by the time it was opened
-- Gives [opened, escalated, resolved] counts. The edges are acknowledged and deleted in the same step.
--#include "_base.lua"
--#include "_event.lua"

local KEEP_S = 90 * 86400 -- of a resolved alert: its ordinal must outlive every consumer's memory of ids
local SEVERITY = {[0] = 'info', 'warning', 'critical'}

need_type('stream', 'alerts', 'edges')
need_type('zset', 'alerts:open')
need_type('hash', 'trimmed')

local MUST = {'key', 'open', 'severity', 'data'}
local KINDS = {key = 'text', open = 'boolean', severity = 'int', data = 'table'}
local list = {}
if #ARGV == 0 then
	fail('EINVAL', 'alert needs the entries that it answers for, or ""')
end
for id in ARGV[1]:gmatch('%S+') do
	if not is_entry(id) then
		fail('EINVAL', 'not an id of a stream entry: ' .. id)
	end
end
if #ARGV > 1 then
	list = items(2, function(i, m)
		need(i, m, MUST, KINDS)
		if not SEVERITY[m.severity] then
			fail('EINVAL', 'item ' .. i .. ': "severity" must be 0, 1 or 2')
		elseif m.data.endpoint ~= nil and type(m.data.endpoint) ~= 'string' then
			fail('EINVAL', 'item ' .. i .. ': "endpoint" must be an id')
		end
		if not is_type(P .. 'alert:' .. m.key, 'hash') then
			fail('EINVAL', 'not a hash: ' .. P .. 'alert:' .. m.key)
		end
	end)
end

local function say(kind, m, ordinal, suffix)
	local id = m.key .. '#' .. ordinal
	m.data.V, m.data.id, m.data.key, m.data.severity = 1, id, m.key, SEVERITY[m.severity]
	m.data.state = kind == 'resolved' and 'resolved' or 'open'
	local packed = cmsgpack.pack(m.data)
	emit('alerts', id .. ':' .. kind .. (suffix or ''), 'certfleet.alert.' .. kind, m.data.endpoint or '', packed)
	return packed
end

local counts = {0, 0, 0}

local function open(m, key, was)
	local ordinal = number(was[1]) + 1
	m.data.opened = NOW
	if (m.data.since or 0) == 0 then
		m.data.since = NOW
	end
	local packed = say('opened', m, ordinal)
	redis.call('PERSIST', key)
	redis.call('HDEL', key, 'r')
	redis.call('HSET', key, 'n', ordinal, 's', 'open', 'v', m.severity, 'o', NOW, 'd', packed)
	redis.call('ZADD', P .. 'alerts:open', NOW, m.key)
	counts[1] = counts[1] + 1
end

local function escalate(m, key, was)
	m.data.opened = number(was[4])
	if (m.data.since or 0) == 0 then
		m.data.since = (unpacked(was[5]) or {}).since or NOW
	end
	local packed = say('escalated', m, number(was[1]), ':' .. SEVERITY[m.severity])
	redis.call('HSET', key, 'v', m.severity, 'd', packed)
	counts[2] = counts[2] + 1
end

local function resolve(m, key, was)
	local last = unpacked(was[5]) or {}
	for k, v in pairs(last) do
		if m.data[k] == nil or m.data[k] == '' or m.data[k] == 0 then
			m.data[k] = v
		end
	end
	m.severity = SEVERITY[number(was[3])] and number(was[3]) or m.severity
	m.data.resolved = NOW
	local packed = say('resolved', m, number(was[1]))
	redis.call('HSET', key, 's', 'resolved', 'r', NOW, 'd', packed)
	redis.call('EXPIRE', key, KEEP_S)
	redis.call('ZREM', P .. 'alerts:open', m.key)
	counts[3] = counts[3] + 1
end

for _, m in ipairs(list) do
	local key = P .. 'alert:' .. m.key
	local was = redis.call('HMGET', key, 'n', 's', 'v', 'o', 'd')
	if was[2] ~= 'open' then
		if m.open then
			open(m, key, was)
		end
	elseif not m.open then
		resolve(m, key, was)
	elseif m.severity > number(was[3]) then
		escalate(m, key, was)
	end
end

for id in ARGV[1]:gmatch('%S+') do
	redis.call('XACK', P .. 'edges', 'alerts', id)
	redis.call('XDEL', P .. 'edges', id)
end
cap_streams()
return counts
