-- What an item of finish must look like; raises for what is wrong. Q is the queue.
local OWN = Q == 'verify' and {v = true, av = true} or {x = true, k = true, o = true, i = true, ai = true}

local SETS_MAX, AUTHZ_ITEM_MAX = 16, 200

local function is_sets(s)
	if #s > SETS_MAX then
		return false
	end
	for n = 1, #s, 2 do
		if not OWN[s[n]] or (s[n + 1] ~= false and type(s[n + 1]) ~= 'string') then
			return false
		end
	end
	return true
end

local function is_authz(a)
	return type(a) == 'table' and is_text(a[1], 255) and is_text(a[2], 64) and is_text(a[3], 2048) and
		is_int(a[4], 0, MS_MAX)
end

local function check_lists(i, m)
	if m.s and not is_sets(m.s) then
		fail('EINVAL', 'item ' .. i .. ': a field that ' .. Q .. ' does not own, or no bytes for it')
	elseif m.t and not is_list(m.t, TIMELINE_MAX, is_entry_bytes) then
		fail('EINVAL', 'item ' .. i .. ': "t" must be at most ' .. TIMELINE_MAX .. ' entries of ' .. ENTRY_MAX .. ' bytes')
	elseif m.d and not is_list(m.d, DROPPED_MAX, is_text, 255) then
		fail('EINVAL', 'item ' .. i .. ': "d" must be at most ' .. DROPPED_MAX .. ' names')
	elseif m.a and not is_list(m.a, AUTHZ_ITEM_MAX, is_authz) then
		fail('EINVAL', 'item ' .. i .. ': an authorization must be [name, authority, url, expires]')
	elseif m.c and (not is_text(m.c[1], 64) or type(m.c[2]) ~= 'string') then
		fail('EINVAL', 'item ' .. i .. ': the chain must be [sha, bytes]')
	end
end

local MUST = {'i', 'k', 'g', 'w'}
local KINDS = {
	i = 'word', k = 'word', g = 'int', w = 'int', s = 'table', p = 'text', t = 'table', x = 'number', c = 'table',
	a = 'table', d = 'table', st = 'text', r = 'string', z = 'boolean',
}

local function check(i, m)
	need(i, m, MUST, KINDS)
	if m.x and not is_int(m.x, -1, MS_MAX) then
		fail('EINVAL', 'item ' .. i .. ': "x" must be a time, or -1')
	end
	need_plan(i, m, 'n')
	need_plan(i, m, 'o')
	need_events(i, m, 'e')
	check_lists(i, m)
end
