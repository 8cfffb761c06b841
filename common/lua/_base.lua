-- What every script shares: its prefix, Redis time, checks of arguments, and errors that queue.c understands.
-- An argument that is wrong raises `CFERR EINVAL …` before anything was written.
local P = KEYS[1]

local function fail(code, text)
	error({err = 'CFERR ' .. code .. ' ' .. text:gsub('%c', '?')})
end

if #KEYS ~= 1 or not P:match('^cf:{[^{}]+}:$') then
	fail('EINVAL', 'KEYS[1] must be the one key prefix cf:{FLEET}:')
end
local FLEET = P:match('{(.-)}')
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Status of one item in a batch: the values of CF_E* in common/err.h.
local OK, EINVAL, ETOOBIG, ENOTFOUND, EEXIST, ELOST, EGONE, ESTALE = 0, -1, -2, -3, -4, -12, -13, -14
local BATCH = 64

-- May the key be used as this kind? One that does not exist is of the kind that it is first asked for.
local types = {}
local function is_type(key, kind)
	local seen = types[key]
	if not seen then
		seen = redis.call('TYPE', key).ok
		seen = seen == 'none' and kind or seen
		types[key] = seen
	end
	return seen == kind
end

local function need_type(kind, ...)
	for _, name in ipairs({...}) do
		if not is_type(P .. name, kind) then
			fail('EINVAL', 'not a ' .. kind .. ': ' .. P .. name)
		end
	end
end

local function is_int(v, least, most)
	return type(v) == 'number' and v % 1 == 0 and v >= least and v <= most
end

local function arg_int(i, least, most)
	local v = tonumber(ARGV[i])
	if not is_int(v, least, most) then
		fail('EINVAL', 'argument ' .. i .. ' must be an integer from ' .. least .. ' to ' .. most)
	end
	return v
end

local REQUEST_MAX = 128 -- bytes of a request's source, and of its id
local MS_MAX = 9e15 -- below 2^53: exact

-- A number that Redis has, 0 if it is none: what is not finite would be refused by the write that it comes to.
local function number(v)
	v = tonumber(v)
	return v and v > -MS_MAX and v < MS_MAX and v or 0
end

-- A whole number as Redis shall write it: given a number it would print a double, which costs ten times as much.
local function digits(n)
	return string.format('%d', n)
end

-- A hash of some size as a table from now on: as a list, which it is up to 512 fields, each look-up walks it. One long field
-- is enough, and it need not stay.
local LONG = ('-'):rep(65)
local function hash_spread(key)
	if redis.call('HLEN', key) > 24 and redis.call('OBJECT', 'ENCODING', key) == 'listpack' then
		redis.call('HSET', key, LONG, '')
		redis.call('HDEL', key, LONG)
	end
end

local function is_text(v, longest)
	return type(v) == 'string' and #v > 0 and #v <= longest and not v:find('%c')
end

local function arg_text(i, longest)
	if not is_text(ARGV[i], longest) then
		fail('EINVAL', 'argument ' .. i .. ' must be a text of 1 to ' .. longest .. ' bytes')
	end
	return ARGV[i]
end

-- The id of a stream's entry, as Redis takes it.
local function is_entry(v)
	local ms, seq = v:match('^(%d+)%-(%d+)$')
	return ms and #ms < 20 and #seq < 20
end

-- What is packed in bytes, or nil.
local function unpacked(bytes)
	if type(bytes) ~= 'string' then
		return nil
	end
	local ok, v = pcall(cmsgpack.unpack, bytes)
	return ok and type(v) == 'table' and v or nil
end

local IS = {
	int = function(v) return type(v) == 'number' and v % 1 == 0 and v >= 0 and v <= MS_MAX end,
	text = function(v) return is_text(v, 256) end,
	word = function(v) return type(v) == 'string' and #v > 0 and #v <= 256 end, -- only compared and looked up
	string = function(v) return type(v) == 'string' end,
	number = function(v) return type(v) == 'number' end,
	boolean = function(v) return type(v) == 'boolean' end,
	table = function(v) return type(v) == 'table' end,
}

-- Checks the members of item number i: those that must be there, and the kind of each, by key.
local function need(i, m, must, kinds)
	for n = 1, #must do
		local key = must[n]
		if m[key] == nil then
			fail('EINVAL', 'item ' .. i .. ': "' .. key .. '" must be of type ' .. kinds[key])
		end
	end
	for key, v in pairs(m) do
		local kind = kinds[key]
		if kind and not IS[kind](v) then
			fail('EINVAL', 'item ' .. i .. ': "' .. key .. '" must be of type ' .. kind)
		end
	end
end

-- A list of at most `most`, each of which is(v); no more is read of it.
local function is_list(list, most, is, ...)
	if type(list) ~= 'table' or #list > most then
		return false
	end
	for n = 1, #list do
		if not is(list[n], ...) then
			return false
		end
	end
	return true
end

-- ARGV[first …] as msgpack maps, at most BATCH; check(i, m) raises for what is wrong.
local function items(first, check)
	local list, n = {}, #ARGV - first + 1
	if n < 1 or n > BATCH then
		fail('EINVAL', 'from 1 to ' .. BATCH .. ' items are expected, not ' .. n)
	end
	for i = 1, n do
		local m = unpacked(ARGV[first + i - 1])
		if not m then
			fail('EINVAL', 'item ' .. i .. ' is not a msgpack map')
		end
		check(i, m)
		list[i] = m
	end
	return list
end
