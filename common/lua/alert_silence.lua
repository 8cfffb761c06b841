#!lua flags=allow-oom
-- alert_silence add SILENCE | mark ID FIRST | end ID | lapse : silences of alerts (see _silence.lua).
--   add    stores {id, field, pattern, reason, by, till}: a status (-4 EEXIST, -2 ETOOBIG: there are too many)
--   mark   looks at the 64 open alerts from rank FIRST: [looked, those that it keeps quiet from now on], or a status
--   end    it is over now: a status (-3 ENOTFOUND)
--   lapse  of up to 64 alerts whose silence is over: those that nothing else keeps quiet are said again as
--          certfleet.alert.unsilenced. Silences that keep nothing any more are forgotten. Gives how many are left to do.
--#include "_base.lua"
--#include "_event.lua"
--#include "_silence.lua"
--#include "_alert.lua"
local OP = ARGV[1]
local FIELDS = {[''] = true, key = true, endpoint = true, condition = true, tenant = true, cause = true}
local MUST = {'id', 'field', 'pattern', 'reason', 'by', 'till'}
local KINDS = {id = 'text', field = 'string', pattern = 'text', reason = 'text', by = 'text', till = 'int'}
local WANTS = {add = 2, mark = 3, ['end'] = 2, lapse = 1}
if not WANTS[OP] or #ARGV ~= WANTS[OP] then
	fail('EINVAL', 'alert_silence needs add SILENCE, mark ID FIRST, end ID or lapse')
end
need_silences()
need_type('stream', 'alerts')
need_type('zset', 'alerts:open')
need_type('hash', 'trimmed')

local function find(id)
	return unpacked(redis.call('HGET', P .. 'silences', id))
end

local function store(s)
	redis.call('HSET', P .. 'silences', s.id, cmsgpack.pack(s))
end

local function add()
	local s = items(2, function(i, m)
		need(i, m, MUST, KINDS)
		if not FIELDS[m.field] or #m.id > 64 or #m.pattern > 200 then
			fail('EINVAL', 'item ' .. i .. ': no such field, or id or pattern too long')
		end
	end)[1]
	if find(s.id) then
		return EEXIST
	elseif redis.call('HLEN', P .. 'silences') >= SILENCES then
		return ETOOBIG
	end
	s.from = NOW
	store(s)
	return OK
end

local function mark_page()
	local s, first = find(arg_text(2, 64)), arg_int(3, 0, MS_MAX)
	if not s or s.till <= NOW then
		return ENOTFOUND
	end
	need_type('zset', 'silenced:' .. s.id)
	local keys, marked = redis.call('ZRANGE', P .. 'alerts:open', first, first + BATCH - 1), 0
	for _, key in ipairs(keys) do
		local r = is_type(P .. 'alert:' .. key, 'hash') and record(key)
		if r and r.s == 'open' and not r.q and silences_alert(s, key, unpacked(r.d) or {}) then
			redis.call('ZADD', P .. 'silenced:' .. s.id, NOW, key)
			redis.call('HSET', r.at, 'q', s.id)
			marked = marked + 1
		end
	end
	return {#keys, marked}
end

local function finish()
	local s = find(arg_text(2, 64))
	if not s then
		return ENOTFOUND
	end
	s.till = math.min(s.till, NOW)
	store(s)
	return OK
end

local function say_again(s, key)
	local r = is_type(P .. 'alert:' .. key, 'hash') and record(key)
	redis.call('ZREM', P .. 'silenced:' .. s.id, key)
	if not r or r.s ~= 'open' or r.q ~= s.id then
		return
	end
	redis.call('HDEL', r.at, 'q')
	r.q = false
	local data = unpacked(r.d) or {}
	local other = silence_of(key, data)
	if other then
		redis.call('ZADD', P .. 'silenced:' .. other.id, NOW, key)
		redis.call('HSET', r.at, 'q', other.id)
		return
	end
	redis.call('HSET', r.at, 'd', say(r, data, 'unsilenced', r.v, ':' .. s.id))
end

local function lapse()
	local left = BATCH
	for _, s in ipairs(silences()) do
		local held = P .. 'silenced:' .. s.id
		if s.till <= NOW and left > 0 and is_type(held, 'zset') then
			local keys = redis.call('ZRANGE', held, 0, left - 1)
			for _, key in ipairs(keys) do
				say_again(s, key)
			end
			left = left - #keys
			if redis.call('EXISTS', held) == 0 then
				redis.call('HDEL', P .. 'silences', s.id)
			end
		end
	end
	cap_streams()
	return left > 0 and 0 or 1
end

return ({add = add, mark = mark_page, ['end'] = finish, lapse = lapse})[OP]()
