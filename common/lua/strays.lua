#!lua flags=allow-oom
-- strays CURSOR REPAIR : looks at what the slices of audit, which begin at `endpoints`, cannot see: about 64 members of
-- the indexes from CURSOR on ('': from the start). Gives [next CURSOR ('': that was all), [index, member]…]: the members
-- that lead to no endpoint or to another tenant's, holds and claims of names without their endpoint, and endpoints that
-- `endpoints` lacks. With REPAIR 1 each is put right, and tenants leave that wait with nothing due. A cursor is a place
-- by rank, so that what moves meanwhile may be passed over until the next pass.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
if #ARGV ~= 2 or #ARGV[1] > 400 then
	fail('EINVAL', 'strays needs a cursor, and 1 to repair or 0')
end
local REPAIR = arg_int(2, 0, 1) == 1
local at_stage, at_rank, at_sub = ARGV[1]:match('^(%d+) (%d+) (%d+)$')
if ARGV[1] ~= '' and not at_stage then
	fail('EINVAL', 'not a cursor of strays: ' .. ARGV[1])
end
local stage, rank, sub = tonumber(at_stage or 1), tonumber(at_rank or 0), tonumber(at_sub or 0)
need_type('zset', 'endpoints', 'expiry')
need_queue('verify')
need_queue('issue')
need_streams()
local out, looks = {''}, 0

local function found(index, member)
	out[#out + 1] = {index, member}
end

-- The endpoints of ids: tenant, or false if there is none, or nil if that cannot be said. Those that `endpoints` lacks
-- get into it.
local function tenants_of(ids)
	local tenants, listed = {}, redis.call('ZMSCORE', P .. 'endpoints', unpack(ids))
	for i, id in ipairs(ids) do
		local f = redis.pcall('HMGET', P .. 'e:' .. id, 'n', 'c')
		if not f.err then
			tenants[i] = f[1] and f[2] and f[1] or false
		end
		if tenants[i] and not listed[i] then
			found('endpoints', id)
			if REPAIR then
				redis.call('ZADD', P .. 'endpoints', 0, id)
			end
		end
	end
	return tenants
end

-- A page of ids in a sorted set, all of one tenant's if that is given: how many stay, and whether it was the last.
local function look_at_ids(name, from, tenant)
	local ids = redis.call('ZRANGE', P .. name, from, from + BATCH - 1)
	local gone = {}
	looks = looks + #ids
	for i, its in pairs(#ids > 0 and tenants_of(ids) or {}) do
		if its == false or (tenant and its ~= tenant) then
			found(name, ids[i])
			gone[#gone + 1] = ids[i]
		end
	end
	if REPAIR and #gone > 0 then
		redis.call('ZREM', P .. name, unpack(gone))
	end
	return #ids - (REPAIR and #gone or 0), #ids < BATCH
end

local function ids_stage(name)
	return function()
		local stay, last = look_at_ids(name, rank)
		rank = rank + stay
		return last
	end
end

-- A tenant that waits has something due; one that does not leaves at its next turn, or here: that is no fault. Returns
-- whether it goes.
local function look_at_tenant(name, lane, tenant)
	local due = 'due:' .. lane .. ':' .. tenant
	if not is_type(P .. due, 'zset') then
		return false
	elseif redis.call('ZCARD', P .. due) > 0 then
		local stay, last = look_at_ids(due, sub, tenant)
		sub = last and 0 or sub + stay
		if not last or redis.call('ZCARD', P .. due) > 0 then
			return false
		end
	end
	if REPAIR then
		redis.call('ZREM', P .. name, tenant)
	end
	return REPAIR
end

local function tenants_stage(kind, lane)
	local name = kind .. ':' .. lane
	return function()
		while looks < BATCH do
			local tenant = redis.call('ZRANGE', P .. name, rank, rank)[1]
			if not tenant then
				return true
			end
			looks = looks + 1
			if not look_at_tenant(name, lane, tenant) and sub == 0 then
				rank = rank + 1
			end
		end
		return false
	end
end

-- Claims of one name, and who holds it.
local function look_at_name(bucket, base, d)
	local before, stays = #out, {}
	for _, c in ipairs(d[3]) do
		local f = redis.pcall('HMGET', P .. 'e:' .. c[2], 'n', 'c')
		looks = looks + 1
		if not f.err and (f[1] ~= c[1] or not f[2]) then
			found('dom:' .. base, c[2])
		else
			stays[#stays + 1] = c
			if not f.err and not redis.call('ZSCORE', P .. 'endpoints', c[2]) then
				found('endpoints', c[2])
				if REPAIR then
					redis.call('ZADD', P .. 'endpoints', 0, c[2])
				end
			end
		end
	end
	d[3] = stays
	local held = claim_of(d, d[2])
	if d[2] ~= '' and not (held and held[1] == d[1]) then
		found('dom:' .. base, 'held by ' .. d[2])
		if REPAIR then
			hold_pass(d, d[2])
		end
	end
	local expired = d[4][1] and d[4][1][3] <= NOW
	if REPAIR and (#out > before or expired or #d[3] + #d[4] == 0) then
		dom_write(bucket, base, d)
	end
end

local function look_at_bucket(bucket)
	local names = redis.call('HKEYS', bucket)
	for i = sub + 1, #names do
		if looks >= BATCH then
			sub = i - 1 - (#names - redis.call('HLEN', bucket))
			return false
		end
		looks = looks + 1
		look_at_name(bucket, names[i], dom_read(bucket, names[i]))
	end
	sub = 0
	return true
end

local function buckets_stage()
	while looks < BATCH do
		local bucket = P .. 'dom:' .. string.format('%03x', rank)
		if is_type(bucket, 'hash') and not look_at_bucket(bucket) then
			return false
		end
		looks, rank = looks + 1 / 8, rank + 1
		if rank > 0xfff then
			return true
		end
	end
	return false
end

local stages = {ids_stage('run:verify'), ids_stage('run:issue'), ids_stage('parked:verify'), ids_stage('parked:issue'),
	ids_stage('expiry')}
for _, q in ipairs({'verify', 'issue'}) do
	for lane = 0, 3 do
		stages[#stages + 1] = tenants_stage('wake', q .. ':' .. lane)
		stages[#stages + 1] = tenants_stage('ready', q .. ':' .. lane)
	end
end
stages[#stages + 1] = buckets_stage

while stages[stage] and looks < BATCH do
	if stages[stage]() then
		stage, rank, sub = stage + 1, 0, 0
	end
end
flush()
cap_streams()
out[1] = stages[stage] and string.format('%d %d %d', stage, rank, sub) or ''
return out
