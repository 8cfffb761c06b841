#!lua flags=allow-oom
-- breaker look : how each way of issuing does: [now, [authority, way, state, since, from, next, tries, failures, tested,
-- why]…]. A way is http-01, dns-01, or orders (the authority itself).
-- breaker note AUTHORITY WAY fail LIMIT WINDOW_MS DOMAIN NAME ID : an order failed for a reason that may be ours or the
-- authority's. With failures of LIMIT registered domains, or of four times as many names, and no success between, tries
-- pause until the canary has passed. [state, from, next]
-- breaker note AUTHORITY WAY ok : an order succeeded. [state, from, next]
-- breaker try AUTHORITY WAY WORKER LEASE_MS : may this worker try the canary? 1, or 0: not yet, not needed, or another does.
-- breaker end AUTHORITY WAY WORKER ok|fail|left PAUSE_MS LONGEST_MS WHY : what came of it. [state, from, next]. The first
-- failure after a pause began shows whose trouble it is: those who failed before are asked again, to have it taken back.
-- `breakers` is a hash, "AUTHORITY WAY" → a packed row. A canary is tried each day, also while all is well: one that did
-- not pass for two says nothing, and no pause begins by it.
--
--                    LIMIT failures                      the canary failed
--          closed ────────────────────► half-open ◄──────────────────────────► open
--            ▲                              │   its turn has come, each PAUSE, 2 PAUSE … LONGEST
--            └────────── it passed ─────────┘
--#include "_base.lua"
--#include "_job.lua"
--#include "_flush.lua"
--#include "_event.lua"
--#include "_ask.lua"
local CLOSED, HALF, OPEN = 0, 1, 2
local FAILS_MAX, ROWS_MAX, TIMES_MAX = BATCH, 64, 8
local TEST_MS = 86400000
local WAYS = {['http-01'] = true, ['dns-01'] = true, orders = true}
local COUNTS = {look = 1, try = 5, ['end'] = 8}
local KEY = P .. 'breakers'
need_type('hash', 'breakers')

local verb, ok = ARGV[1], ARGV[4] == 'ok'
local count = verb == 'note' and (ok and 4 or 9) or COUNTS[verb]
if not count or #ARGV ~= count then
	fail('EINVAL', 'breaker needs look, note, try or end, each with its arguments')
end

local function int_of(row, name)
	return is_int(row[name], 0, MS_MAX) and row[name] or 0
end

local function failures_of(row)
	local list = {}
	for _, f in ipairs(type(row.fails) == 'table' and row.fails or {}) do
		if #list < FAILS_MAX and type(f) == 'table' and is_text(f[1], 256) and is_text(f[2], 256) and is_text(f[3], 256)
			and is_int(f[4], 0, MS_MAX) then
			list[#list + 1] = {f[1], f[2], f[3], f[4]}
		end
	end
	return list
end

-- What cannot be read is a way that nothing is known of.
local function read_row(bytes)
	local raw = unpacked(bytes) or {}
	local row = {fails = failures_of(raw), why = is_text(raw.why, 512) and raw.why or '',
		by = is_text(raw.by, 128) and raw.by or ''}
	for _, name in ipairs({'state', 'since', 'from', 'next', 'tries', 'lease', 'good', 'times'}) do
		row[name] = int_of(raw, name)
	end
	row.state = row.state <= OPEN and row.state or CLOSED
	row.tries = math.min(row.tries, 1000)
	row.times = math.max(1, math.min(row.times, TIMES_MAX))
	return row
end

local function is_armed(r)
	return r.good > NOW - 2 * TEST_MS
end

if verb == 'look' then
	local out, all = {NOW}, redis.call('HGETALL', KEY)
	for i = 1, math.min(#all, 2 * ROWS_MAX), 2 do
		local authority, way = all[i]:match('^(%S+) (%S+)$')
		if authority and WAYS[way] then
			local r = read_row(all[i + 1])
			out[#out + 1] = {authority, way, r.state, r.since, r.from, math.max(r.next, r.lease), r.tries, #r.fails,
				is_armed(r) and 1 or 0, r.why}
		end
	end
	return out
end

local authority, way = arg_text(2, 64), ARGV[3]
if not WAYS[way] or authority:find('%s') then
	fail('EINVAL', 'breaker needs an authority, and http-01, dns-01 or orders')
end
local FIELD = authority .. ' ' .. way
local bytes = redis.call('HGET', KEY, FIELD)
if not bytes and redis.call('HLEN', KEY) >= ROWS_MAX then
	fail('ETOOBIG', 'there are ' .. ROWS_MAX .. ' breakers already')
end
local row = read_row(bytes)

local function save(field, r)
	redis.call('HSET', KEY, field, cmsgpack.pack(r))
end

local function enter(state)
	if row.state ~= state then
		row.state, row.since = state, NOW
	end
end

local function answer()
	return {row.state, row.from, math.max(row.next, row.lease)}
end

-- Distinct registered domains and names of late.
local function spread()
	local seen, domains = {}, 0
	for _, f in ipairs(row.fails) do
		domains = domains + (seen[f[1]] and 0 or 1)
		seen[f[1]] = true
	end
	return domains, #row.fails
end

local function add_failure(window, domain, name, id)
	local kept = {}
	for _, f in ipairs(row.fails) do
		if f[2] ~= name and f[4] > NOW - window then
			kept[#kept + 1] = f
		end
	end
	if #kept == FAILS_MAX then
		table.remove(kept, 1)
	end
	kept[#kept + 1] = {domain, name, id, NOW}
	row.fails = kept
end

local function note_failure(limit, window, domain, name, id)
	if not is_armed(row) then
		return answer()
	end
	add_failure(window, domain, name, id)
	local domains, names = spread()
	if row.state == CLOSED then
		row.from = row.fails[1][4]
		if domains >= math.min(limit * row.times, FAILS_MAX) or names >= math.min(4 * limit * row.times, FAILS_MAX) then
			enter(HALF)
			row.next, row.tries, row.why = NOW, 0, ''
		end
	end
	save(FIELD, row)
	return answer()
end

-- While tries pause only the canary counts.
local function note_success()
	if row.state == CLOSED and (#row.fails > 0 or row.times > 1) then
		row.fails, row.times = {}, 1
		save(FIELD, row)
	end
	return answer()
end

-- Two orders for one name share its authorization: what validates the one would let the other pass.
local function is_tried()
	for name in pairs(WAYS) do
		if read_row(redis.call('HGET', KEY, authority .. ' ' .. name)).lease > NOW then
			return true
		end
	end
	return false
end

local function try(worker, lease)
	local needed = row.state ~= CLOSED or row.good <= NOW - TEST_MS
	if not needed or row.next > NOW or is_tried() then
		return 0
	end
	if row.state == OPEN then
		enter(HALF)
	end
	row.lease, row.by = NOW + lease, worker
	save(FIELD, row)
	return 1
end

-- A pause that was not needed: it takes more failures the next time, until somebody succeeds.
local function passed()
	row.times = row.state ~= CLOSED and row.tries == 0 and math.min(2 * row.times, TIMES_MAX) or 1
	enter(CLOSED)
	row.fails, row.good, row.tries, row.next, row.why = {}, NOW, 0, 0, ''
	if way ~= 'orders' then
		local field = authority .. ' orders'
		local orders = read_row(redis.call('HGET', KEY, field))
		orders.good = NOW
		save(field, orders)
	end
end

local function failed(pause, longest, why)
	row.tries, row.why = row.tries + 1, why
	row.next = NOW + math.min(pause * 2 ^ math.min(row.tries - 1, 30), longest)
	if row.state == CLOSED then
		return
	end
	if row.tries == 1 then
		for _, f in ipairs(row.fails) do
			ask_one('issue', f[3], {1, 0, NOW, 'outage'}, false)
		end
	end
	enter(OPEN)
end

local function over(worker, how, pause, longest, why)
	if row.by ~= worker or row.lease == 0 then
		return answer() -- another's turn since
	end
	row.lease, row.by = 0, ''
	if how == 'ok' then
		passed()
	elseif how == 'fail' then
		failed(pause, longest, why)
	end
	save(FIELD, row)
	return answer()
end

if verb == 'note' and ok then
	return note_success()
elseif verb == 'note' then
	if ARGV[4] ~= 'fail' then
		fail('EINVAL', 'breaker note needs ok or fail')
	end
	local limit, window = arg_int(5, 1, 16), arg_int(6, 1, MS_MAX)
	return note_failure(limit, window, arg_text(7, 256), arg_text(8, 256), arg_text(9, 256))
elseif verb == 'try' then
	return try(arg_text(4, 128), arg_int(5, 1, MS_MAX))
end
local how = ARGV[5]
if how ~= 'ok' and how ~= 'fail' and how ~= 'left' then
	fail('EINVAL', 'breaker end needs ok, fail or left')
end
local worker, pause, longest = arg_text(4, 128), arg_int(6, 1, MS_MAX), arg_int(7, 1, MS_MAX)
if #ARGV[8] > 512 or ARGV[8]:find('%c') then
	fail('EINVAL', 'argument 8 must be a text of at most 512 bytes')
end
need_streams()
need_queue('issue')
local said = over(worker, how, pause, longest, ARGV[8])
flush()
cap_streams()
return said
