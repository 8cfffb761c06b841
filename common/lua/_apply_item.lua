-- What a request of apply must look like; raises for what is wrong.
local OPS = {add = true, update = true, remove = true, touch = true, refuse = true}
local NAMES_MAX = 100

local function need_names(m, key)
	if m[key] and not is_list(m[key], NAMES_MAX, is_text, 255) then
		fail('EINVAL', '"' .. key .. '" must be a list of at most ' .. NAMES_MAX .. ' names')
	end
end

local MUST = {'src', 'rid', 'op', 'i', 'ans'}
local KINDS = {
	src = 'text', rid = 'text', sid = 'text', op = 'text', i = 'string', x = 'int', c = 'string', n = 'text',
	ng = 'boolean', na = 'table', nd = 'table', ans = 'string', t = 'string',
}

local function check(i, m)
	need(i, m, MUST, KINDS)
	if not is_text((m.src:gsub('^~', '')), REQUEST_MAX) or #m.rid > REQUEST_MAX then
		fail('EINVAL', 'source and id have 1 to ' .. REQUEST_MAX .. ' bytes each')
	elseif not OPS[m.op] or (m.op ~= 'refuse' and not is_text(m.i, 64)) then
		fail('EINVAL', 'no such operation, or no endpoint: ' .. m.op)
	elseif m.sid and not is_entry(m.sid) then
		fail('EINVAL', 'not an id of a stream entry: ' .. m.sid)
	elseif m.op == 'add' and not (m.c and m.n) then
		fail('EINVAL', 'add needs a config and a tenant')
	elseif m.t and #m.t > ENTRY_MAX then
		fail('EINVAL', 'a timeline entry has at most ' .. ENTRY_MAX .. ' bytes')
	end
	need_names(m, 'na')
	need_names(m, 'nd')
	need_plan(i, m, 'v')
	need_plan(i, m, 'j')
	need_events(i, m, 'e')
end
