#!lua
-- ask Q (ID INTENT LANE DUE_MS WHY FORCE)… : raises `want`; the job becomes due then, unless it is due earlier. A
-- status each. A job that runs is planned again at its finish; a parked one is revived only with FORCE = 1.
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
local Q = arg_queue(1)
if #ARGV < 7 or #ARGV % 6 ~= 1 or #ARGV > 1 + 6 * BATCH then
	fail('EINVAL', 'ask needs a queue and 1 to 64 of id, intent, lane, due, why and force')
end
need_streams()
local asks = {}
for i = 2, #ARGV, 6 do
	local plan = {arg_int(i + 1, 0, 9), arg_int(i + 2, 0, 3), arg_int(i + 3, 0, MS_MAX), ARGV[i + 4]}
	if #ARGV[i + 4] > 64 then
		fail('EINVAL', 'argument ' .. i + 4 .. ' is over 64 bytes')
	end
	asks[#asks + 1] = {ARGV[i], plan, arg_int(i + 5, 0, 1) == 1}
end
local out = {}
for n, ask in ipairs(asks) do
	out[n] = ask_one(Q, ask[1], ask[2], ask[3])
end
flush()
cap_streams()
return out
