-- What an item of finish must look like; raises for what is wrong. Q is the queue.
local OWN = Q == 'verify' and {v = true, av = true} or {x = true, k = true, o = true, i = true, ai = true}

local function check_lists(i, m)
	for n = 1, #(m.s or {}), 2 do
		if not OWN[m.s[n]] or (m.s[n + 1] ~= false and type(m.s[n + 1]) ~= 'string') then
			fail('EINVAL', 'item ' .. i .. ': a field that ' .. Q .. ' does not own, or no bytes for it')
		end
	end
	for _, entry in ipairs(m.t or {}) do
		if type(entry) ~= 'string' or #entry > 4096 then
			fail('EINVAL', 'item ' .. i .. ': a timeline entry must be bytes, at most 4096')
		end
	end
	for _, name in ipairs(m.d or {}) do
		if not is_text(name, 255) then
			fail('EINVAL', 'item ' .. i .. ': a dropped name must be a name')
		end
	end
	for _, a in ipairs(m.a or {}) do
		if type(a) ~= 'table' or not is_text(a[1], 255) or not is_text(a[2], 64) or not is_text(a[3], 2048) or
			not is_int(a[4], 0, MS_MAX) then
			fail('EINVAL', 'item ' .. i .. ': an authorization must be [name, authority, url, expires]')
		end
	end
	if m.c and (not is_text(m.c[1], 64) or type(m.c[2]) ~= 'string') then
		fail('EINVAL', 'item ' .. i .. ': the chain must be [sha, bytes]')
	end
end

local SHAPE = {
	{'i', 'text'}, {'k', 'text'}, {'g', 'int'}, {'w', 'int'}, {'s', 'table', true}, {'p', 'text', true},
	{'t', 'table', true}, {'x', 'int', true}, {'c', 'table', true}, {'a', 'table', true}, {'d', 'table', true},
	{'st', 'text', true}, {'r', 'string', true}, {'z', 'boolean', true},
}

local function check(i, m)
	need(i, m, SHAPE)
	need_plan(i, m, 'n')
	need_plan(i, m, 'o')
	need_events(i, m, 'e')
	check_lists(i, m)
end
