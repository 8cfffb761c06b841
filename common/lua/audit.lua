#!lua flags=no-writes
-- audit AFTER N : up to N endpoints after AFTER in the order of ids: [next AFTER or '', [id, c, g, v, x, i, jv, ji, o, d,
-- verify's indexes agree (1 or 0), issue's, each name is claimed (1 or 0), its score in `expiry` or -1]…]. Of o only the
-- presence is given. A slice ends early, at the least after one endpoint, when 2000 claims were read for it.
--#include "_base.lua"
--#include "_job.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
if #ARGV ~= 2 or #ARGV[1] > 64 then
	fail('EINVAL', 'audit needs an id to start after and a count')
end
local N = arg_int(2, 1, BATCH)
need_type('zset', 'endpoints', 'expiry')
need_queue('verify')
need_queue('issue')

local function score(key, id)
	return is_type(key, 'zset') and tonumber(redis.call('ZSCORE', key, id) or nil) or nil
end

local function in_other_lane(q, id, tenant, r)
	for lane = 0, 3 do
		if lane ~= r[LANE] and score(due_key(q, lane, tenant), id) then
			return true
		end
	end
end

-- The record's place is what it says, and it stands nowhere else that it could be taken from.
local function agrees(q, id, tenant, r)
	if in_other_lane(q, id, tenant, r) then
		return false
	end
	local due = score(due_key(q, r[LANE], tenant), id)
	local run, parked = score(P .. 'run:' .. q, id), score(P .. 'parked:' .. q, id)
	if r[WHERE] == DUE then
		local name = q .. ':' .. r[LANE]
		local wake = score(P .. 'wake:' .. name, tenant)
		return due == r[AT] and not run and not parked and
			(score(P .. 'ready:' .. name, tenant) ~= nil or (wake ~= nil and wake <= due))
	end
	return not due and (r[WHERE] == RUNNING and r[AT] or nil) == run and (r[WHERE] == PARKED) == (parked ~= nil)
end

local function readable(bytes)
	return not bytes or job_of(bytes) ~= nil
end

local function all_claimed(id, config)
	for _, name in ipairs(names_of(config)) do
		if not claims(id, name) then
			return false
		end
	end
	return true
end

local WALKED_MAX = 2000
local ids = redis.call('ZRANGEBYLEX', P .. 'endpoints', ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, N)
local rows = {#ids == N and ids[N] or ''}
for i, id in ipairs(ids) do
	local f = redis.pcall('HMGET', P .. 'e:' .. id, 'c', 'g', 'v', 'x', 'i', 'jv', 'ji', 'o', 'd', 'n')
	if f.err then
		f = {false, false, false, false, false, false, false, false, false, false}
	end
	f[8] = f[8] and '1'
	local row = {id, unpack(f, 1, 9)}
	for k, q in ipairs({'verify', 'issue'}) do
		local good = f[10] and readable(f[5 + k]) and agrees(q, id, f[10], job_read(f[5 + k]))
		row[10 + k] = good and 1 or 0
	end
	row[13] = all_claimed(id, f[1]) and 1 or 0
	row[14] = score(P .. 'expiry', id) or -1
	rows[#rows + 1] = row
	if walked > WALKED_MAX and i < #ids then
		rows[1] = id
		break
	end
end
return rows
