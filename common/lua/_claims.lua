-- Who claims a name, who holds it, and which authorizations are left for it at the CAs.
--   dom:BUCKET  name without "*." → [holder tenant, holder endpoint, [[tenant, endpoint, kinds]…],
--                                     [[authority, url, expires, endpoint, tenant]…]]
-- kinds: 1 the name, 2 its wildcard, 4 and 8 the same when dropped from the config but not yet released.
local CLAIMS_MAX, AUTHZ_MAX = 256, 64
local free_asks = 256 -- how many may still be asked to look at names that became free, in this call

local function is_left(a)
	return type(a) == 'table' and type(a[1]) == 'string' and type(a[2]) == 'string' and is_int(a[3], 0, MS_MAX) and
		type(a[4]) == 'string' and type(a[5]) == 'string'
end

local function dom_of(name)
	local base, wild = name:gsub('^%*%.', '')
	return P .. 'dom:' .. redis.sha1hex(base):sub(1, 3), base, wild == 1 and 2 or 1
end

-- What has another type raises when it is compared: a name may have very many claims.
local function dom_unpack(bytes)
	local d = cmsgpack.unpack(bytes)
	local list = d[3]
	if d[1] < '' or d[2] < '' or type(list) ~= 'table' or #list > CLAIMS_MAX or not is_list(d[4], AUTHZ_MAX, is_left) then
		return nil
	end
	for n = 1, #list do
		local c = list[n]
		local kinds = c[3]
		if c[1] < '' or c[2] < '' or kinds < 0 or kinds > 15 or kinds % 1 ~= 0 then
			return nil
		end
	end
	return d
end

local walked = 0 -- claims that were read in this call
local function dom_read(key, base)
	local bytes = redis.call('HGET', key, base)
	local ok, d
	if bytes then
		ok, d = pcall(dom_unpack, bytes)
	end
	d = ok and d or {'', '', {}, {}}
	walked = walked + #d[3]
	return d
end

local function dom_write(key, base, d)
	local kept = {}
	for _, a in ipairs(d[4]) do
		if a[3] > NOW then
			kept[#kept + 1] = a
		end
	end
	while #kept > AUTHZ_MAX do
		table.remove(kept, 1)
	end
	d[4] = kept
	if #d[3] == 0 and #kept == 0 then
		redis.call('HDEL', key, base)
	else
		redis.call('HSET', key, base, cmsgpack.pack(d))
	end
end

local function claim_of(d, id)
	for i, c in ipairs(d[3]) do
		if c[2] == id then
			return c, i
		end
	end
end

local function has(bits, flag)
	return bit.band(bits, flag) ~= 0
end

-- The names of a config's bytes (common/endpoint_codec.c); none of one that cannot be read.
local function names_of(bytes)
	local c = unpacked(bytes)
	return c and type(c.n) == 'table' and c.n or {}
end

-- Does the endpoint claim this name of its config?
local function claims(id, name)
	local key, base, kind = dom_of(name)
	local c = is_type(key, 'hash') and claim_of(dom_read(key, base), id)
	return c and has(c[3], kind)
end

-- Why this tenant's endpoint cannot claim the name: a status and words, or nil. Writes nothing.
local function claim_refused(tenant, id, name)
	local key, base, kind = dom_of(name)
	if not is_type(key, 'hash') then
		return EINVAL, 'not a hash: ' .. key
	end
	local d = dom_read(key, base)
	for _, c in ipairs(d[3]) do
		if c[1] == tenant and c[2] ~= id and has(c[3], kind) then
			return EEXIST, name .. ' is in endpoint ' .. c[2]
		end
	end
	if #d[3] >= CLAIMS_MAX and not claim_of(d, id) then
		return ETOOBIG, name .. ' is claimed by ' .. #d[3] .. ' endpoints already'
	end
end

local function claim_add(tenant, id, name)
	local key, base, kind = dom_of(name)
	local d = dom_read(key, base)
	local c = claim_of(d, id)
	if not c then
		c = {tenant, id, 0}
		d[3][#d[3] + 1] = c
	end
	c[3] = bit.bor(bit.band(c[3], bit.bnot(kind * 4)), kind)
	dom_write(key, base, d)
end

-- The names in field d, which wait for their release.
local DROPPED_MAX = 300

local function dropped_names(bytes)
	local names = {}
	for _, name in ipairs(unpacked(bytes) or {}) do
		if is_text(name, 255) and #names < DROPPED_MAX then
			names[#names + 1] = name
		end
	end
	return names
end

-- The name left the config; the claim stays until its release.
local function claim_leave(id, name)
	local key, base, kind = dom_of(name)
	local d = dom_read(key, base)
	local c = claim_of(d, id)
	if c and has(c[3], kind) then
		c[3] = bit.bor(bit.band(c[3], bit.bnot(kind)), kind * 4)
		dom_write(key, base, d)
	end
end

-- Hands the hold to another endpoint of its tenant, or frees it and has up to 8 other claimants look again.
local function hold_pass(d, id)
	if d[2] ~= id then
		return
	end
	for _, c in ipairs(d[3]) do
		if c[1] == d[1] then
			d[2] = c[2]
			return
		end
	end
	d[1], d[2] = '', ''
	for i = 1, math.min(8, #d[3], free_asks) do
		free_asks = free_asks - 1
		ask_one('verify', d[3][i][2], {0, LANE_NORMAL, NOW, 'claim_free'}, false)
	end
end

-- Released: what was dropped goes, or, with all, everything that the endpoint claims of this name.
local function claim_drop(id, name, all)
	local key, base, kind = dom_of(name)
	if not is_type(key, 'hash') then
		return
	end
	local d = dom_read(key, base)
	local c, at = claim_of(d, id)
	if not c then
		return
	end
	c[3] = all and 0 or bit.band(c[3], bit.bnot(kind * 4))
	if c[3] == 0 then
		table.remove(d[3], at)
		hold_pass(d, id)
	end
	dom_write(key, base, d)
end

local function authz_add(tenant, id, name, authority, url, expires)
	local key, base = dom_of(name)
	if not is_type(key, 'hash') then
		return
	end
	local d = dom_read(key, base)
	for i = #d[4], 1, -1 do
		if d[4][i][2] == url then
			table.remove(d[4], i)
		end
	end
	d[4][#d[4] + 1] = {authority, url, expires, id, tenant}
	dom_write(key, base, d)
end
