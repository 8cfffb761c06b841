#!lua
-- apply REQUEST : one request as a whole: endpoint, claims, jobs, answer, events, acknowledgement. REQUEST is a msgpack
-- map: src, rid (deduplicated by both), sid (its entry in the requests stream), op add|update|remove|touch|refuse,
-- i endpoint, x generation expected (0: any), c config, n tenant, ng true: a new generation, na [name…] added,
-- nd [name…] dropped, v and j [intent, lane, due, why] asked of verify and issue, ans the answer, t a timeline entry,
-- e [[type, id, data]…]. Returns [status, 1 if it was applied before, conflict, generation]; a status other than 0 wrote
-- nothing, and the request stands to be refused.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
--#include "_apply_item.lua"
local ANSWER_S = 86400

local function acknowledge(m)
	if m.sid then
		redis.call('XACK', P .. 'requests', 'scheduler', m.sid)
		redis.call('XDEL', P .. 'requests', m.sid)
	end
end

-- Field d after this request: dropped names wait there for their release; names that came back leave it.
local function dropped(m, f)
	local order, seen = {}, {}
	for _, name in ipairs(m.na or {}) do
		seen[name] = true
	end
	for _, list in ipairs({dropped_names(f[4]), m.nd or {}}) do
		for _, name in ipairs(list) do
			if not seen[name] then
				seen[name] = true
				order[#order + 1] = name
			end
		end
	end
	return order
end

-- Everything that can refuse: a status and words, or the fields of the endpoint as it stands.
local function judge(m)
	local f = redis.pcall('HMGET', P .. 'e:' .. m.i, 'c', 'g', 'n', 'd', 't', 'jv', 'ji')
	if f.err then
		return nil, EINVAL, 'not a hash: ' .. P .. 'e:' .. m.i
	elseif m.op == 'add' and f[1] then
		return nil, EEXIST, ''
	elseif m.op ~= 'add' and not f[1] then
		return nil, ENOTFOUND, ''
	elseif m.op ~= 'add' and m.x and m.x > 0 and tonumber(f[2]) ~= m.x then
		return nil, ESTALE, ''
	elseif m.op ~= 'add' and m.n and m.n ~= f[3] then
		return nil, EINVAL, 'the endpoint belongs to another tenant'
	end
	local tenant = f[3] or m.n
	for _, name in ipairs(m.na or {}) do
		local status, text = claim_refused(tenant, m.i, name)
		if status then
			return nil, status, text
		end
	end
	for _, name in ipairs(m.nd or {}) do
		local bucket = dom_of(name)
		if not is_type(bucket, 'hash') then
			return nil, EINVAL, 'not a hash: ' .. bucket
		end
	end
	if #dropped(m, f) > DROPPED_MAX then
		return nil, ETOOBIG, 'more than ' .. DROPPED_MAX .. ' names wait for their release'
	end
	for _, q in ipairs({'verify', 'issue'}) do
		if not lanes_ok(q, tenant, 0, 1, 2, 3) then
			return nil, EINVAL, 'a wrong type under a due set of tenant ' .. tenant
		end
	end
	return f
end

local function write_endpoint(m, f, generation)
	local key, d = P .. 'e:' .. m.i, dropped(m, f)
	local set = {'g', string.format('%.0f', generation), 'n', f[3] or m.n}
	local function put(field, bytes)
		set[#set + 1] = field
		set[#set + 1] = bytes
	end
	if m.c then
		put('c', m.c)
	end
	if m.t then
		put('t', append_timeline(f[5], {m.t}))
	end
	if #d > 0 then
		put('d', cmsgpack.pack(d))
	elseif f[4] then
		redis.call('HDEL', key, 'd')
	end
	redis.call('HSET', key, unpack(set))
	redis.call('ZADD', P .. 'endpoints', 0, m.i)
	for _, name in ipairs(m.na or {}) do
		claim_add(f[3] or m.n, m.i, name)
	end
	for _, name in ipairs(m.nd or {}) do
		claim_leave(m.i, name)
	end
end

-- A job that runs for an endpoint that is to go is told so at its next beat.
local function cancel(m)
	for _, field in pairs(JOB_FIELD) do
		local r = job_read(redis.call('HGET', P .. 'e:' .. m.i, field))
		if r[WHERE] == RUNNING then
			r[CANCEL] = 1
			redis.call('HSET', P .. 'e:' .. m.i, field, cmsgpack.pack(r))
		end
	end
end

if #ARGV ~= 1 then
	fail('EINVAL', 'apply needs one request')
end
need_queue('verify')
need_queue('issue')
need_streams()
need_type('stream', 'requests')
need_type('zset', 'endpoints', 'expiry')
local m = items(1, check)[1]
local key = P .. 'req:' .. m.src:gsub('[%%:]', {['%'] = '%25', [':'] = '%3A'}) .. ':' .. m.rid
if not is_type(key, 'string') then
	fail('EINVAL', 'not a string: ' .. key)
elseif redis.call('EXISTS', key) == 1 then
	acknowledge(m)
	return {OK, 1, '', 0}
end
local generation = 0
if m.op ~= 'refuse' then
	local f, status, text = judge(m)
	if not f then
		return {status, 0, text, tonumber(redis.pcall('HGET', P .. 'e:' .. m.i, 'g') or 0) or 0}
	end
	generation = (tonumber(f[2]) or 0) + ((m.ng or m.op == 'add') and 1 or 0)
	write_endpoint(m, f, generation)
	if m.v then
		ask_one('verify', m.i, m.v, true)
	end
	if m.j then
		ask_one('issue', m.i, m.j, true)
	end
	if m.op == 'remove' then
		cancel(m)
	end
	changed(m.i)
end
redis.call('SET', key, m.ans, 'EX', ANSWER_S)
emit_all(m.e, m.i)
acknowledge(m)
flush()
cap_streams()
return {OK, 0, '', generation}
