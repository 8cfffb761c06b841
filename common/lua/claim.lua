#!lua
-- claim Q ID TOKEN (NAME PROVEN EXCLUSIVE)… : for each name [claim, [[authority, url, expires]…]]; claim is enum claim
-- (0 unproven, 1 held, 2 elsewhere), the list names authorizations that another tenant left at the CAs. A proven
-- tenant holds what nobody holds; an exclusive proof takes the hold from another. EXCLUSIVE 2 says that the endpoint
-- gives the name up: nothing is taken, and its own authorizations are listed too. A first value is the status.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
--#include "_claims.lua"
local Q = arg_queue(1)
if #ARGV < 6 or #ARGV % 3 ~= 0 or #ARGV > 3 + 3 * 100 then
	fail('EINVAL', 'claim needs a queue, id, token and 1 to 100 triples of name, proven and exclusive')
end
need_queue('verify')
need_streams()
local ID, TOKEN_NOW = arg_text(2, 64), arg_text(3, 64)
for i = 4, #ARGV, 3 do
	arg_text(i, 255)
	arg_int(i + 1, 0, 1)
	arg_int(i + 2, 0, 2)
	local key = dom_of(ARGV[i])
	if not is_type(key, 'hash') then
		fail('EINVAL', 'not a hash: ' .. key)
	end
end
local f = redis.pcall('HMGET', P .. 'e:' .. ID, 'n', JOB_FIELD[Q])
if f.err then
	return {EINVAL}
elseif not f[1] then
	return {EGONE}
end
local tenant, r = f[1], job_read(f[2])
if r[WHERE] ~= RUNNING or r[TOKEN] ~= TOKEN_NOW then
	return {ELOST}
end

local UNPROVEN, HELD, ELSEWHERE = 0, 1, 2

-- Who loses a name looks again, to say so.
local function take_over(d)
	local loser = d[2]
	d[1], d[2] = tenant, ID
	if loser ~= '' then
		ask_one('verify', loser, {0, LANE_NORMAL, NOW, 'claim_lost'}, false)
	end
end

local function decide(d, proven, exclusive)
	if d[1] == tenant then
		return HELD, false
	elseif proven and (d[1] == '' or exclusive) then
		take_over(d)
		return HELD, true
	end
	return d[1] == '' and UNPROVEN or ELSEWHERE, false
end

local out = {OK}
for i = 4, #ARGV, 3 do
	local key, base = dom_of(ARGV[i])
	local d = dom_read(key, base)
	local known = claim_of(d, ID)
	local leaving = ARGV[i + 2] == '2'
	-- Not claimed (any more): a run on an older config. It may look, and takes nothing.
	local claim, changed_hands = decide(d, known and ARGV[i + 1] == '1', ARGV[i + 2] == '1')
	local stale = {}
	for _, a in ipairs(d[4]) do
		local listed = leaving and a[4] == ID or not leaving and claim == HELD and a[5] ~= tenant
		if listed and a[3] > NOW then
			stale[#stale + 1] = {a[1], a[2], a[3]}
		end
	end
	if changed_hands then
		dom_write(key, base, d)
	end
	out[#out + 1] = {claim, stale}
end
flush()
cap_streams()
return out
