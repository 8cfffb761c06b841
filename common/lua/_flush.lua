-- Writes what _job.lua gathered, in a few commands whatever the number of jobs and tenants. Keys were checked before.
local FORGIVEN = 60000

local function flush_index()
	for key, ids in pairs(moved) do
		local add, gone
		for id, score in pairs(ids) do
			if not score then
				gone = gone or {}
				gone[#gone + 1] = id
			elseif add then
				local n = #add
				add[n + 1], add[n + 2] = digits(score), id
			else
				add = {digits(score), id}
			end
		end
		if gone then
			redis.call('ZREM', key, unpack(gone))
		end
		if add then
			redis.call('ZADD', key, unpack(add))
		end
	end
end

-- {key = value} into the hash; false takes a field away.
local function write_hash(hash, values)
	local set, gone = {}, {}
	for field, value in pairs(values) do
		if value then
			set[#set + 1] = field
			set[#set + 1] = value
		else
			gone[#gone + 1] = field
		end
	end
	if #set > 0 then
		redis.call('HSET', hash, unpack(set))
	end
	if #gone > 0 then
		redis.call('HDEL', hash, unpack(gone))
	end
end

-- Tenants that are ready stand in their lanes by their virtual time.
local function revalue(q, scores)
	for lane = 0, 3 do
		local ready = P .. 'ready:' .. q .. ':' .. lane
		if #scores > 0 and redis.call('EXISTS', ready) == 1 then
			redis.call('ZADD', ready, 'XX', unpack(scores))
		end
	end
end

-- Corrects the virtual time of tenants whose jobs ended. One that runs nothing and is at most a minute ahead is
-- forgotten: with a tenant an endpoint the hash would hold them all for ever.
local function flush_ran(q, of)
	local tenants, counts, values, scores = {}, {}, {}, {}
	hash_spread(P .. 'rt:' .. q)
	hash_spread(P .. 'vt:' .. q)
	for tenant in pairs(of) do
		tenants[#tenants + 1] = tenant
	end
	local rt = redis.call('HMGET', P .. 'rt:' .. q, unpack(tenants))
	local vt = redis.call('HMGET', P .. 'vt:' .. q, '', unpack(tenants))
	local floor = number(vt[1])
	for i, tenant in ipairs(tenants) do
		local left = number(rt[i]) - of[tenant][1]
		counts[tenant] = left > 0 and digits(left)
		if vt[i + 1] then
			local value = number(vt[i + 1]) + of[tenant][2]
			local text = digits(value)
			values[tenant] = (left > 0 or value > floor + FORGIVEN) and text
			scores[#scores + 1] = text
			scores[#scores + 1] = tenant
		end
	end
	write_hash(P .. 'rt:' .. q, counts)
	write_hash(P .. 'vt:' .. q, values)
	revalue(q, scores)
end

-- A tenant that is not ready is to wake when its earliest job is due.
local function flush_wakes(name, of)
	local tenants, add = {}, {}
	for tenant in pairs(of) do
		tenants[#tenants + 1] = tenant
	end
	local ready = redis.call('ZMSCORE', P .. 'ready:' .. name, unpack(tenants))
	for i, tenant in ipairs(tenants) do
		if not ready[i] then
			add[#add + 1] = digits(of[tenant])
			add[#add + 1] = tenant
		end
	end
	if #add > 0 then
		redis.call('ZADD', P .. 'wake:' .. name, 'LT', unpack(add))
	end
end

local function flush()
	flush_index()
	for q, of in pairs(ran) do
		flush_ran(q, of)
	end
	for name, of in pairs(wakes) do
		flush_wakes(name, of)
	end
	for q in pairs(due_now) do
		redis.call('PUBLISH', P .. 'wake:' .. q, 'due')
	end
end
