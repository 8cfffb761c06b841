#!lua flags=allow-oom
-- Turns conditions into alerts: opened once, escalated when they become worse, resolved when they end, never repeated.
-- ARGV: entries of the edges stream that this answers for (separated by blanks, or ""), then up to 64 items
--   {key, open, severity (0 info, 1 warning, 2 critical), data, form, again}
-- data is the msgpack map of common/event.h. A change says it on `alerts` with the alert's id, KEY#ORDINAL, added to it.
-- `again`: of one that was open when it was looked at, which may be over since: it escalates, and opens nothing.
-- What an endpoint's record says to hold (fields av, ai) is not over, whoever says so: an end may be told late.
-- With data.cause and an open incident of that cause, or with `form` = {least, window, what, data}, which opens one, the
-- condition becomes a member of the incident and is not said itself. A key incident:CAUSE only escalates.
-- Gives [opened, escalated, resolved] counts. The edges are acknowledged and deleted in the same step.
--#include "_base.lua"
--#include "_event.lua"
--#include "_silence.lua"
--#include "_alert.lua"
--#include "_incident.lua"

local LEAST_MAX = 64
local MUST = {'key', 'open', 'severity', 'data'}
local KINDS = {key = 'text', open = 'boolean', severity = 'int', data = 'table', form = 'table', again = 'boolean'}
local FORM_MUST = {'least', 'window', 'what', 'data'}
local FORM_KINDS = {least = 'int', window = 'int', what = 'string', data = 'table'}

if #ARGV == 0 then
	fail('EINVAL', 'alert needs the entries that it answers for, or ""')
end
for id in ARGV[1]:gmatch('%S+') do
	if not is_entry(id) then
		fail('EINVAL', 'not an id of a stream entry: ' .. id)
	end
end

need_type('stream', 'alerts', 'edges')
need_type('zset', 'alerts:open', 'alerts:members')
need_type('hash', 'trimmed')
need_silences()

local function need_form(i, form)
	need(i, form, FORM_MUST, FORM_KINDS)
	if form.least < 1 or form.least > LEAST_MAX then
		fail('EINVAL', 'item ' .. i .. ': "least" must be from 1 to ' .. LEAST_MAX)
	end
end

local function check(i, m)
	need(i, m, MUST, KINDS)
	if not SEVERITY[m.severity] then
		fail('EINVAL', 'item ' .. i .. ': "severity" must be 0, 1 or 2')
	elseif m.data.endpoint ~= nil and type(m.data.endpoint) ~= 'string' then
		fail('EINVAL', 'item ' .. i .. ': "endpoint" must be an id')
	elseif m.data.deadline ~= nil and not is_int(m.data.deadline, 0, MS_MAX) then
		fail('EINVAL', 'item ' .. i .. ': "deadline" must be a time')
	end
	need_type('hash', 'alert:' .. m.key)
	local known = redis.call('HMGET', P .. 'alert:' .. m.key, 'c', 'q')
	local cause = m.data.cause
	if cause ~= nil and not is_text(cause, 128) then
		fail('EINVAL', 'item ' .. i .. ': "cause" must be a text of 1 to 128 bytes')
	end
	if m.data.endpoint then
		need_type('hash', 'e:' .. m.data.endpoint)
	end
	for _, c in ipairs({cause or false, known[1]}) do
		if c then
			need_cause(c)
		end
	end
	if known[2] then
		need_type('zset', 'silenced:' .. known[2])
	end
	if m.form then
		need_form(i, m.form)
	end
end

local counts = {0, 0, 0}
local function count(opened, escalated, resolved)
	counts[1], counts[2], counts[3] = counts[1] + opened, counts[2] + escalated, counts[3] + resolved
end

local function begin(r, m)
	local cause = m.data.cause
	if cause and (m.form or touched[cause] or is_open_incident(cause)) then
		join(cause, r, m)
		touched[cause].form = touched[cause].form or m.form
		return
	end
	say_opened(r, m.data, m.severity)
	count(1, 0, 0)
	if cause then
		redis.call('HSET', r.at, 'c', cause)
		redis.call('ZADD', P .. 'alerts:cause:' .. cause, NOW, m.key)
	end
end

local function finish(r, m)
	say_resolved(r, m.data)
	count(0, 0, 1)
	if r.c then
		redis.call('ZREM', P .. 'alerts:cause:' .. r.c, m.key)
		redis.call('HDEL', r.at, 'c')
	end
end

local function worse_member(r, m)
	if m.severity > r.v then
		redis.call('HSET', r.at, 'v', m.severity)
		touch(r.c, m.severity, m.data.deadline or 0)
	end
end

local function is_stored(m)
	local fields = m.data.endpoint and redis.call('HMGET', P .. 'e:' .. m.data.endpoint, 'av', 'ai') or {}
	for _, bytes in ipairs(fields) do
		if (bytes and unpacked(bytes) or {})[m.data.condition or ''] then
			return true
		end
	end
	return false
end

local function change(m)
	if not m.open and is_stored(m) then
		return
	end
	local r = record(m.key)
	local incident = m.key:match('^incident:(.+)$')
	if incident then
		if r.s == 'open' and m.open and m.severity > r.v then
			touch(incident, m.severity, 0)
		end
	elseif r.s == 'member' and r.c then
		if m.open then
			worse_member(r, m)
		else
			leave(r.c, r)
		end
	elseif r.s ~= 'open' then
		if m.open and not m.again then
			begin(r, m)
		end
	elseif not m.open then
		finish(r, m)
	elseif m.severity > r.v then
		say_escalated(r, m.data, m.severity)
		count(0, 1, 0)
	end
end

local list = #ARGV > 1 and items(2, check) or {}
for _, m in ipairs(list) do
	change(m)
end
for cause, t in pairs(touched) do
	count(unpack(settle(cause, t)))
end
for id in ARGV[1]:gmatch('%S+') do
	redis.call('XACK', P .. 'edges', 'alerts', id)
	redis.call('XDEL', P .. 'edges', id)
end
cap_streams()
return counts
