-- What a request of apply must look like; raises for what is wrong.
local OPS = {add = true, update = true, remove = true, touch = true, refuse = true}
local NAMES_MAX = 100

local function need_names(m, key)
	for _, name in ipairs(m[key] or {}) do
		if not is_text(name, 255) then
			fail('EINVAL', '"' .. key .. '" must be a list of names')
		end
	end
	if #(m[key] or {}) > NAMES_MAX then
		fail('EINVAL', '"' .. key .. '" has over ' .. NAMES_MAX .. ' names')
	end
end

local SHAPE = {
	{'src', 'text'}, {'rid', 'text'}, {'sid', 'text', true}, {'op', 'text'}, {'i', 'string'}, {'x', 'int', true},
	{'c', 'string', true}, {'n', 'text', true}, {'ng', 'boolean', true}, {'na', 'table', true},
	{'nd', 'table', true}, {'ans', 'string'}, {'t', 'string', true},
}

local function check(i, m)
	need(i, m, SHAPE)
	if not OPS[m.op] or (m.op ~= 'refuse' and not is_text(m.i, 64)) then
		fail('EINVAL', 'no such operation, or no endpoint: ' .. m.op)
	elseif m.sid and not m.sid:match('^%d+%-%d+$') then
		fail('EINVAL', 'not an id of a stream entry: ' .. m.sid)
	elseif m.op == 'add' and not (m.c and m.n) then
		fail('EINVAL', 'add needs a config and a tenant')
	end
	need_names(m, 'na')
	need_names(m, 'nd')
	need_plan(i, m, 'v')
	need_plan(i, m, 'j')
	need_events(i, m, 'e')
end
