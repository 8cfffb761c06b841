#!lua flags=allow-oom
-- finish Q ITEM… : a status each. ITEM is a msgpack map: i id, k token, g generation, w want, s [field, bytes | false…],
-- n and o [intent, lane, due, why] (this queue's next job; a question to the other), p why it is parked, e [[type, id,
-- data, edge]…], t [entry…] for the timeline, x expiry (-1: none), c [sha, bytes] of the chain, a [[name, authority, url,
-- expires]…], d [name…] released, st state, r reason, z true: the endpoint goes.
-- An item is checked as a whole before its first write. The data of a run that lost its token is not written; that of
-- one whose config changed, or for which somebody asked again, is, and the job is due at once.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
local Q = arg_queue(1)
local mine, other = JOB_FIELD[Q], OTHER[Q]
local REMOVED = 'certfleet.endpoint.removed'
--#include "_finish_item.lua"

-- What comes next in this queue: a plan or nil, and whether the run's own wish was overruled.
local function decide(m, r, generation)
	if r[WANT] <= m.w and generation == m.g then
		return not m.p and m.n or nil, false
	end
	local asked = r[ASKED] ~= 0 and r[ASKED] or {r[INTENT], LANE_NORMAL, NOW, 'changed'}
	return m.n and plan_merge(m.n, asked) or asked, true
end

-- Takes the released names out of field d's bytes; nil when none is left.
local function still_dropped(bytes, released)
	local gone, left = {}, {}
	for _, name in ipairs(released) do
		gone[name] = true
	end
	for _, name in ipairs(dropped_names(bytes)) do
		if not gone[name] then
			left[#left + 1] = name
		end
	end
	return #left > 0 and cmsgpack.pack(left) or nil
end

local function remove(m, f, tenant, beside)
	local done = {}
	for _, list in ipairs({m.d or {}, dropped_names(f[5])}) do
		for _, name in ipairs(list) do
			if not done[name] then
				done[name] = true
				claim_drop(m.i, name, true)
			end
		end
	end
	job_out(other, tenant, m.i, beside)
	redis.call('DEL', P .. 'e:' .. m.i)
	redis.call('ZREM', P .. 'endpoints', m.i)
	redis.call('ZREM', P .. 'expiry', m.i)
end

local NOTHING = {}

-- The fields that the run sets and removes. Returns whether people may see a difference.
local function write_fields(m, f, r)
	local set, del, differs = {mine, cmsgpack.pack(r)}, NOTHING, false
	local function put(field, bytes)
		if bytes then
			set[#set + 1] = field
			set[#set + 1] = bytes
		else
			del = del == NOTHING and {} or del
			del[#del + 1] = field
		end
	end
	local sets = m.s or NOTHING
	for n = 1, #sets, 2 do
		local field, bytes = sets[n], sets[n + 1]
		put(field, bytes)
		differs = differs or field == 'x' or field == 'i' or (field == 'v' and bytes ~= f[8])
	end
	if m.st and m.st ~= f[4] then
		put('s', m.st)
		differs = true
	end
	if m.t then
		put('t', append_timeline(f[7], m.t))
	end
	if m.d and f[5] then
		put('d', still_dropped(f[5], m.d))
	end
	redis.call('HSET', P .. 'e:' .. m.i, unpack(set))
	if #del > 0 then
		redis.call('HDEL', P .. 'e:' .. m.i, unpack(del))
	end
	return differs
end

local function write_around(m, tenant)
	if m.c then
		redis.call('SET', P .. 'chain:' .. m.c[1], m.c[2], 'NX')
	end
	for _, a in ipairs(m.a or NOTHING) do
		authz_add(tenant, m.i, a[1], a[2], a[3], a[4])
	end
	if m.x and m.x > 0 then
		redis.call('ZADD', P .. 'expiry', m.x, m.i)
	elseif m.x == -1 then
		redis.call('ZREM', P .. 'expiry', m.i)
	end
	for _, name in ipairs(m.d or NOTHING) do
		claim_drop(m.i, name, false)
	end
	if m.o then
		ask_one(other, m.i, m.o, false)
	end
end

-- That the endpoint is gone is said once, by the run that removes it: not by one that is to be done again.
local function say(m, gone)
	for _, e in ipairs(m.e or NOTHING) do
		if gone or not m.z or e[1] ~= REMOVED then
			emit_all({e}, m.i)
		end
	end
end

local function finish(m)
	local key = P .. 'e:' .. m.i
	local plain = not (m.s or m.st or m.t or m.d or m.z or m.o)
	local f = plain and redis.pcall('HMGET', key, 'n', 'g', mine) or redis.pcall('HMGET', key, 'n', 'g', mine, 's', 'd',
		(m.z or m.o) and JOB_FIELD[other] or 'n', m.t and 't' or 'n', m.s and 'v' or 'n')
	if f.err then
		return EINVAL
	elseif not f[1] then
		return m.z and OK or EGONE
	end
	local tenant, r = f[1], job_read(f[3])
	if r[WHERE] ~= RUNNING or r[TOKEN] ~= m.k then
		return r[LAST] == m.k and OK or ELOST
	end
	local plan, anew = decide(m, r, tonumber(f[2]))
	local beside = (m.z or m.o) and job_read(f[6])
	if (plan and not lane_ok(Q, tenant, plan[2])) or
		(beside and not lanes_ok(other, tenant, beside[LANE], m.o and m.o[2])) then
		return EINVAL
	end

	job_out(Q, tenant, m.i, r)
	r[HAVE], r[LAST], r[ATTEMPT], r[LAPSES] = m.w, m.k, 0, 0
	r[WHY], r[ASKED] = '', 0
	local gone = m.z and not anew
	if gone then
		remove(m, f, tenant, beside)
	elseif plan then
		job_due(Q, tenant, m.i, r, plan)
	elseif m.p then
		job_park(Q, m.i, r, m.p)
	end
	local differs = gone
	if plain then
		redis.call('HSET', key, mine, cmsgpack.pack(r))
	elseif not gone then
		differs = write_fields(m, f, r)
	end
	if not gone then
		write_around(m, tenant)
	end
	say(m, gone)
	if m.st and m.st ~= f[4] then
		emit_state(m.i, m.st, m.r, f[4], m.k)
	end
	if differs then
		changed(m.i)
	end
	return OK
end

need_queue(other)
need_streams()
need_type('zset', 'endpoints', 'expiry')
local list, out = items(2, check), {}
for i, m in ipairs(list) do
	out[i] = finish(m)
end
flush()
cap_streams()
return out
