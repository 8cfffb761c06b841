-- Writes what _job.lua gathered. Keys were checked before.
local function revalue(q, tenant, value, lanes)
	for lane in pairs(lanes) do
		redis.call('ZADD', P .. 'ready:' .. q .. ':' .. lane, 'XX', value, tenant)
	end
end

local function ready_lanes(q)
	local lanes = {}
	for lane = 0, 3 do
		if redis.call('EXISTS', P .. 'ready:' .. q .. ':' .. lane) == 1 then
			lanes[lane] = true
		end
	end
	return lanes
end

local function flush_index()
	for key, ids in pairs(moved) do
		local add, gone = {}, {}
		for id, score in pairs(ids) do
			if score then
				add[#add + 1] = score
				add[#add + 1] = id
			else
				gone[#gone + 1] = id
			end
		end
		if #gone > 0 then
			redis.call('ZREM', key, unpack(gone))
		end
		if #add > 0 then
			redis.call('ZADD', key, unpack(add))
		end
	end
end

-- Corrects the virtual time of tenants whose jobs ended. One that runs nothing and is at most a minute ahead is
-- forgotten: with a tenant an endpoint the hash would hold them all for ever.
local FORGIVEN = 60

local function flush_ran()
	local lanes, floor = {}, {}
	for _, of in pairs(ran) do
		local q, tenant, n, seconds = of[1], of[2], of[3], of[4]
		local vt = P .. 'vt:' .. q
		lanes[q] = lanes[q] or ready_lanes(q)
		floor[q] = floor[q] or tonumber(redis.call('HGET', vt, '') or 0) or 0
		local left = redis.call('HINCRBY', P .. 'rt:' .. q, tenant, -n)
		if left <= 0 then
			redis.call('HDEL', P .. 'rt:' .. q, tenant)
		end
		local value = tonumber(redis.call('HGET', vt, tenant) or nil)
		if value then
			value = value + seconds
			if left <= 0 and value <= floor[q] + FORGIVEN then
				redis.call('HDEL', vt, tenant)
			else
				redis.call('HSET', vt, tenant, value)
			end
			revalue(q, tenant, value, lanes[q])
		end
	end
end

local function flush()
	flush_index()
	flush_ran()
	for _, w in pairs(wakes) do
		local name = w[1] .. ':' .. w[2]
		if not redis.call('ZSCORE', P .. 'ready:' .. name, w[3]) then
			redis.call('ZADD', P .. 'wake:' .. name, 'LT', w[4], w[3])
		end
	end
	for q in pairs(due_now) do
		redis.call('PUBLISH', P .. 'wake:' .. q, 'due')
	end
end
