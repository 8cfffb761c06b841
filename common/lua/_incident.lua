-- Incidents: alerts of many endpoints with one cause, said as one.
--   alerts:cause:CAUSE  ZSET  keys of open alerts that stand alone although they have the cause, by when they opened
--   incident:CAUSE      ZSET  keys of its members, by when they joined
--   incident:CAUSE:n    HASH  endpoint → how many members are its own
--   alerts:members      ZSET  keys of the members of all incidents, by when they joined
-- Its alert has the key incident:CAUSE, and in its record besides: k how many endpoints make it one, p the most it
-- had, w what it says of itself, e the endpoints that it spoke of last.
local NAMED = 20 -- members that an event names
local DATA_MAX = 10000 -- members whose data is kept: enough to say them singly again
local FOLD_MAX = 64

local touched = {}
local function touch(cause, severity, deadline)
	local t = touched[cause] or {severity = 0, deadline = 0}
	t.severity = math.max(t.severity, severity)
	if deadline > 0 and (t.deadline == 0 or deadline < t.deadline) then
		t.deadline = deadline
	end
	touched[cause] = t
	return t
end

local function need_cause(cause)
	need_type('zset', 'alerts:cause:' .. cause, 'incident:' .. cause)
	need_type('hash', 'incident:' .. cause .. ':n', 'alert:incident:' .. cause)
end

local function is_open_incident(cause)
	return redis.call('HGET', P .. 'alert:incident:' .. cause, 's') == 'open'
end

-- One more or less of an endpoint's own.
local function count_member(cause, endpoint, by)
	local counts = P .. 'incident:' .. cause .. ':n'
	local n = math.floor(number(redis.call('HGET', counts, endpoint))) + by
	if n > 0 then
		redis.call('HSET', counts, endpoint, string.format('%.0f', n))
	else
		redis.call('HDEL', counts, endpoint)
	end
end

local function add_member(cause, r, endpoint, at)
	redis.call('ZADD', P .. 'incident:' .. cause, at, r.key)
	redis.call('ZADD', P .. 'alerts:members', at, r.key)
	count_member(cause, endpoint, 1)
end

local function drop_member(cause, r, endpoint)
	redis.call('ZREM', P .. 'incident:' .. cause, r.key)
	redis.call('ZREM', P .. 'alerts:members', r.key)
	count_member(cause, endpoint, -1)
end

local function endpoint_of(key)
	return key:match('^(.-)/') or key
end

local function join(cause, r, m)
	redis.call('PERSIST', r.at)
	redis.call('HSET', r.at, 's', 'member', 'v', m.severity, 'c', cause, 'o', NOW)
	redis.call('HDEL', r.at, 'r', 'd')
	if redis.call('ZCARD', P .. 'incident:' .. cause) < DATA_MAX then
		m.data.V, m.data.key, m.data.severity = 1, m.key, SEVERITY[m.severity]
		if (m.data.since or 0) == 0 then
			m.data.since = NOW
		end
		redis.call('HSET', r.at, 'd', cmsgpack.pack(m.data))
	end
	add_member(cause, r, endpoint_of(m.key), NOW)
	touch(cause, m.severity, m.data.deadline or 0)
end

-- A member whose condition ended: nobody ever heard of it, unless it once stood alone.
local function leave(cause, r)
	drop_member(cause, r, endpoint_of(r.key))
	if r.n == 0 then
		redis.call('DEL', r.at)
	else
		redis.call('HSET', r.at, 's', 'resolved', 'r', NOW)
		redis.call('HDEL', r.at, 'c')
		redis.call('EXPIRE', r.at, KEEP_S)
	end
	touch(cause, 0, 0)
end

-- Alerts that were opened singly within the window go on as members.
local function fold(cause, window, id)
	local alone = P .. 'alerts:cause:' .. cause
	local list = redis.call('ZRANGEBYSCORE', alone, NOW - window, '+inf', 'WITHSCORES', 'LIMIT', 0, FOLD_MAX)
	for i = 1, #list, 2 do
		local r = is_type(P .. 'alert:' .. list[i], 'hash') and record(list[i])
		if r and r.s == 'open' then
			local data = unpacked(r.d) or {}
			data.incident = id
			say_resolved(r, data)
			redis.call('PERSIST', r.at)
			redis.call('HSET', r.at, 's', 'member', 'c', cause)
			add_member(cause, r, endpoint_of(r.key), list[i + 1])
			touch(cause, r.v, number(data.deadline))
		end
		redis.call('ZREM', alone, list[i])
	end
	return #list / 2
end

-- The few that are left when it is over stand alone again.
local function unfold(cause)
	local list = redis.call('ZRANGE', P .. 'incident:' .. cause, 0, -1, 'WITHSCORES')
	for i = 1, #list, 2 do
		local r = is_type(P .. 'alert:' .. list[i], 'hash') and record(list[i])
		if r and r.s == 'member' then
			local endpoint, condition = list[i]:match('^(.-)/(.*)$')
			local data = unpacked(r.d) or {endpoint = endpoint, condition = condition, cause = cause}
			say_opened(r, data, r.v)
			redis.call('ZADD', P .. 'alerts:cause:' .. cause, list[i + 1], list[i])
		end
		redis.call('ZREM', P .. 'alerts:members', list[i])
	end
	redis.call('DEL', P .. 'incident:' .. cause, P .. 'incident:' .. cause .. ':n')
	return #list / 2
end

local function describe(cause, data, what)
	local endpoints = redis.call('HLEN', P .. 'incident:' .. cause .. ':n')
	data.endpoints, data.conditions = endpoints, redis.call('ZCARD', P .. 'incident:' .. cause)
	data.members = redis.call('ZRANGE', P .. 'incident:' .. cause, 0, NAMED - 1)
	data.text = endpoints .. (endpoints == 1 and ' endpoint: ' or ' endpoints: ') .. what
	return endpoints
end

local function is_over(endpoints, f)
	local least, peak = math.max(1, number(f[1])), number(f[2])
	return endpoints == 0 or (endpoints < least and endpoints * 10 <= peak)
end

local function open_incident(cause, r, t)
	local data = t.form.data
	data.cause, data.endpoint, data.deadline = cause, '', t.deadline
	redis.call('HSET', r.at, 'k', t.form.least, 'w', t.form.what)
	local folded = redis.call('ZCOUNT', P .. 'alerts:cause:' .. cause, NOW - t.form.window, '+inf')
	local endpoints = describe(cause, data, t.form.what)
	data.folded = folded > 0 and folded or nil
	say_opened(r, data, t.severity)
	folded = fold(cause, t.form.window, r.key .. '#' .. r.n)
	endpoints = folded > 0 and describe(cause, data, t.form.what) or endpoints
	redis.call('HSET', r.at, 'p', endpoints, 'e', endpoints, 'd', cmsgpack.pack(data), 'c', cause)
	return {1, 0, folded}
end

-- After all items: what the touched incidents have become. Gives [opened, escalated, resolved].
local function settle(cause, t)
	local r = record('incident:' .. cause)
	if r.s ~= 'open' then
		return t.form and open_incident(cause, r, t) or {0, 0, 0}
	end
	local f = redis.call('HMGET', r.at, 'k', 'p', 'w', 'e')
	local data, said = unpacked(r.d) or {}, number(f[4])
	local endpoints = describe(cause, data, f[3] or '')
	local deadline = number(data.deadline)
	if t.deadline > 0 and (deadline == 0 or t.deadline < deadline) then
		data.deadline = t.deadline
	end
	if is_over(endpoints, f) then
		data.peak = number(f[2])
		data.text = data.peak .. ' endpoints at most: ' .. (f[3] or '')
		r.d = false -- nothing is to be taken from what was said before
		say_resolved(r, data)
		return {unfold(cause), 0, 1}
	end
	redis.call('HSET', r.at, 'p', math.max(endpoints, number(f[2])))
	if t.severity > r.v or endpoints >= 10 * math.max(said, 1) then
		say_escalated(r, data, math.max(t.severity, r.v), ':' .. endpoints)
		redis.call('HSET', r.at, 'e', endpoints)
		return {0, 1, 0}
	end
	redis.call('HSET', r.at, 'd', cmsgpack.pack(data))
	return {0, 0, 0}
end
