-- What an alert's record holds, and how a change of it is said.
--   alert:KEY  HASH  n ordinal | s open, resolved or member (of an incident) | v severity | o opened | r resolved |
--     d data as last said, of a member as it stands | c cause | q the silence that keeps it quiet | a 1 once it was said
--     without being silenced
--   alerts:open  ZSET  key by the time it was opened
local KEEP_S = 90 * 86400 -- of a resolved alert: its ordinal must outlive every consumer's memory of ids
local SEVERITY = {[0] = 'info', 'warning', 'critical'}

local function record(key)
	local f = redis.call('HMGET', P .. 'alert:' .. key, 'n', 's', 'v', 'o', 'd', 'c', 'q', 'a')
	return {key = key, at = P .. 'alert:' .. key, n = number(f[1]), s = f[2] or '', v = SEVERITY[number(f[3])] and number(f[3]) or 0,
		o = number(f[4]), d = f[5], c = f[6], q = f[7], a = f[8]}
end

local function unsilence(r)
	if r.q then
		redis.call('ZREM', P .. 'silenced:' .. r.q, r.key)
		redis.call('HDEL', r.at, 'q')
		r.q = false
	end
end

-- One that begins or becomes worse is quiet while a silence fits; one that ends is, if nobody ever heard of it.
local function mark(r, data, kind)
	data.silenced, data.silence = nil, nil
	local s = kind ~= 'resolved' and silence_of(r.key, data)
	if kind == 'resolved' then
		data.silenced = not r.a or nil
		unsilence(r)
	elseif s then
		data.silenced, data.silence = true, {id = s.id, reason = s.reason, till = s.till}
		if r.q ~= s.id then
			unsilence(r)
		end
		redis.call('ZADD', P .. 'silenced:' .. s.id, NOW, r.key)
		redis.call('HSET', r.at, 'q', s.id)
	else
		unsilence(r)
		redis.call('HSET', r.at, 'a', 1)
	end
end

-- Says a change on the stream; gives the data as it was said.
local function say(r, data, kind, severity, suffix)
	local id = r.key .. '#' .. r.n
	data.V, data.id, data.key, data.severity = 1, id, r.key, SEVERITY[severity]
	data.state = kind == 'resolved' and 'resolved' or 'open'
	mark(r, data, kind)
	local packed = cmsgpack.pack(data)
	emit('alerts', id .. ':' .. kind .. (suffix or ''), 'certfleet.alert.' .. kind,
		type(data.endpoint) == 'string' and data.endpoint or '', packed)
	return packed
end

local function say_opened(r, data, severity)
	r.n, r.a = r.n + 1, false
	redis.call('PERSIST', r.at)
	redis.call('HDEL', r.at, 'r', 'a')
	data.opened, data.resolved, data.was, data.incident = NOW, nil, nil, nil
	if (data.since or 0) == 0 then
		data.since = NOW
	end
	local packed = say(r, data, 'opened', severity)
	redis.call('HSET', r.at, 'n', r.n, 's', 'open', 'v', severity, 'o', NOW, 'd', packed)
	redis.call('ZADD', P .. 'alerts:open', NOW, r.key)
end

local function say_escalated(r, data, severity, suffix)
	local last = unpacked(r.d) or {}
	data.opened, data.was, data.was_actor = r.o, SEVERITY[r.v], last.actor
	if (data.since or 0) == 0 then
		data.since = last.since or NOW
	end
	local packed = say(r, data, 'escalated', severity, ':' .. SEVERITY[severity] .. (suffix or ''))
	redis.call('HSET', r.at, 'v', severity, 'd', packed)
end

-- What the one who closes it does not know is taken from what was said last.
local function say_resolved(r, data)
	for k, v in pairs(unpacked(r.d) or {}) do
		if data[k] == nil or data[k] == '' or data[k] == 0 then
			data[k] = v
		end
	end
	data.resolved = NOW
	local packed = say(r, data, 'resolved', r.v)
	redis.call('HSET', r.at, 's', 'resolved', 'r', NOW, 'd', packed)
	redis.call('EXPIRE', r.at, KEEP_S)
	redis.call('ZREM', P .. 'alerts:open', r.key)
end
