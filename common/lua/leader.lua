#!lua flags=allow-oom
-- leader hold|resign NONCE TERM LEASE_MS : the one lease of the leading scheduler. A holder is who comes with its own
-- nonce and term; a new term is above every one seen and never below Redis time in ms. hold: [leads (1 or 0), term,
-- now, holder's nonce, ms left]. resign: 1, or 0 if it was not ours.
--#include "_base.lua"
if #ARGV ~= 4 or (ARGV[1] ~= 'hold' and ARGV[1] ~= 'resign') then
	fail('EINVAL', 'leader needs hold or resign, nonce, term and lease')
end
local NONCE, TERM, LEASE_MS = arg_text(2, 128), arg_int(3, 0, MS_MAX), arg_int(4, 1, 3600000)
local KEY = P .. 'leader'
need_type('hash', 'leader')
local f = redis.call('HMGET', KEY, 'nonce', 'term', 'until', 'lease')
local nonce, term, ends, lease = f[1] or '', number(f[2]), number(f[3]), math.min(number(f[4] or LEASE_MS), 3600000)
local ours = TERM > 0 and nonce == NONCE and term == TERM

if ARGV[1] == 'resign' then
	if ours then
		redis.call('HSET', KEY, 'nonce', '', 'until', 0)
	end
	return ours and 1 or 0
end
if ends > NOW + 2 * lease then -- the clock was set back
	ends = NOW + lease
	redis.call('HSET', KEY, 'until', ends)
end
if not ours then
	if nonce ~= '' and nonce ~= NONCE and NOW < ends then
		return {0, 0, NOW, nonce, ends - NOW}
	end
	term = math.max(term + 1, TERM + 1, NOW)
end
redis.call('HSET', KEY, 'nonce', NONCE, 'term', string.format('%.0f', term), 'until', NOW + LEASE_MS, 'lease', LEASE_MS)
return {1, term, NOW, NONCE, LEASE_MS}
