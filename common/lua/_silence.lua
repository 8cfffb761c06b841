-- Silences: what an operator does not want to hear of for a while.
--   silences     HASH  id → packed {id, field, pattern, reason, by, from, till}, at most SILENCES
--   silenced:ID  ZSET  keys of open alerts that it keeps quiet, by when it began to
local SILENCES = 256

-- Does the text fit a pattern of characters, "?" (any one) and "*" (any number)? At most #text × #pattern steps.
local function fits(text, pattern)
	local t, p, star, mark = 1, 1, nil, 1
	while t <= #text do
		local c = pattern:sub(p, p)
		if c == '*' then
			star, mark, p = p, t, p + 1
		elseif c ~= '' and (c == '?' or c == text:sub(t, t)) then
			t, p = t + 1, p + 1
		elseif star then
			mark = mark + 1
			t, p = mark, star + 1
		else
			return false
		end
	end
	return pattern:find('^%**$', p) ~= nil
end

local function need_silences()
	need_type('hash', 'silences')
end

-- The longest piece of a pattern without "?" and "*": most texts do not have it, and that is seen at once.
local function longest_piece(pattern)
	local longest = ''
	for piece in pattern:gmatch('[^%*%?]+') do
		longest = #piece > #longest and piece or longest
	end
	return longest
end

local read_silences
local function silences()
	if not read_silences then
		read_silences = {}
		local all = redis.call('HGETALL', P .. 'silences')
		for i = 2, math.min(#all, 2 * SILENCES), 2 do
			local s = unpacked(all[i])
			if s and is_text(s.id, 64) and is_text(s.pattern, 200) and type(s.field) == 'string' and
				is_int(s.till, 0, MS_MAX) then
				s.piece = longest_piece(s.pattern)
				read_silences[#read_silences + 1] = s
			end
		end
	end
	return read_silences
end

local function silences_text(s, text)
	return text:find(s.piece or longest_piece(s.pattern), 1, true) and fits(text, s.pattern)
end

local function silences_alert(s, key, data)
	if s.field ~= '' then
		local value = s.field == 'key' and key or data[s.field]
		return type(value) == 'string' and silences_text(s, value)
	end
	for _, value in ipairs({key, data.endpoint or '', data.condition or '', data.tenant or ''}) do
		if type(value) == 'string' and value ~= '' and silences_text(s, value) then
			return true
		end
	end
	return false
end

-- The silence in force that keeps an alert quiet, or nil.
local function silence_of(key, data)
	for _, s in ipairs(silences()) do
		if s.till > NOW and silences_alert(s, key, data) and is_type(P .. 'silenced:' .. s.id, 'zset') then
			return s
		end
	end
end
