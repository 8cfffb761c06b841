-- Job records and the sorted sets that index them. A record is the truth:
--   [where, due, lane, intent, attempt, lapses, want, have, token, worker, since, why, last, lease, cancel, asked]
-- last: the token of the last finish or release, which answers a repeat; asked: [intent, lane, due, why] of who
-- asked while it ran, or 0. Index changes are gathered and written by flush(), one command a key.
local NONE, DUE, RUNNING, PARKED = 0, 1, 2, 3
local WHERE, AT, LANE, INTENT, ATTEMPT, LAPSES, WANT, HAVE = 1, 2, 3, 4, 5, 6, 7, 8
local TOKEN, WORKER, SINCE, WHY, LAST, LEASE, CANCEL, ASKED = 9, 10, 11, 12, 13, 14, 15, 16
local LANE_NORMAL, LANE_SUSPECT = 2, 3
local JOB_FIELD = {verify = 'jv', issue = 'ji'}
local SLOT = 1000 -- what a job costs when it is taken, in slot-milliseconds: integers, which sorted sets compare fastest
local OTHER = {verify = 'issue', issue = 'verify'}

local function need_queue(q)
	need_type('zset', 'run:' .. q, 'parked:' .. q)
	need_type('hash', 'vt:' .. q, 'rt:' .. q)
	for lane = 0, 3 do
		need_type('zset', 'wake:' .. q .. ':' .. lane, 'ready:' .. q .. ':' .. lane)
	end
end

local function arg_queue(i)
	if not JOB_FIELD[ARGV[i]] then
		fail('EINVAL', 'argument ' .. i .. ' must be verify or issue')
	end
	need_queue(ARGV[i])
	return ARGV[i]
end

local function is_plan(p)
	return type(p) == 'table' and is_int(p[1], 0, 9) and is_int(p[2], 0, 3) and is_int(p[3], 0, MS_MAX) and
		type(p[4]) == 'string' and #p[4] <= 64
end

-- Everything that a script may do with a record is right after this: none fails over one between two writes. What has
-- another type raises when it is compared (which is cheaper than to ask for sixteen types).
local function job_checked(rest, where, at, lane, intent, attempt, lapses, want, have, token, worker, since, why, last, lease,
		cancel, asked)
	if rest == -1 and where >= NONE and where <= PARKED and at >= 0 and at <= MS_MAX and lane >= 0 and lane <= LANE_SUSPECT and
		intent >= 0 and intent <= MS_MAX and attempt >= 0 and attempt <= MS_MAX and lapses >= 0 and lapses <= MS_MAX and
		want >= 0 and want <= MS_MAX and have >= 0 and have <= MS_MAX and since >= 0 and since <= MS_MAX and
		lease >= 0 and lease <= MS_MAX and cancel >= 0 and cancel <= 1 and
		where % 1 + at % 1 + lane % 1 + intent % 1 + attempt % 1 + lapses % 1 + want % 1 + have % 1 + since % 1 + lease % 1 == 0 and
		token >= '' and worker >= '' and why >= '' and last >= '' and (asked == 0 or is_plan(asked)) then
		return {where, at, lane, intent, attempt, lapses, want, have, token, worker, since, why, last, lease, cancel, asked}
	end
end

-- The sixteen values behind the head of their array: a table of the right size at once costs a third of unpacking it.
local HEAD = '\220\0\16'
local function job_unpack(bytes)
	return bytes:sub(1, 3) == HEAD and job_checked(cmsgpack.unpack_limit(bytes, 16, 3)) or nil
end

-- The record in bytes; nil if there is none or it cannot be read.
local function job_of(bytes)
	if bytes then
		local ok, r = pcall(job_unpack, bytes)
		return ok and r or nil
	end
end

-- The same, but an empty one for nil.
local function job_read(bytes)
	return job_of(bytes) or {NONE, 0, LANE_NORMAL, 0, 0, 0, 0, 0, '', '', NOW, '', '', 0, 0, 0}
end

-- Names of keys are put together once a call, but for the tenant.
local run_names, lane_names = {}, {verify = {}, issue = {}}
local due_names = {verify = {}, issue = {}}
for q in pairs(JOB_FIELD) do
	run_names[q] = P .. 'run:' .. q
	for lane = 0, 3 do
		lane_names[q][lane] = q .. ':' .. lane
		due_names[q][lane] = P .. 'due:' .. q .. ':' .. lane .. ':'
	end
end

local function due_key(q, lane, tenant)
	return due_names[q][lane] .. tenant
end

-- key → id → score or false; Q:LANE → tenant → earliest; Q → tenant → {jobs, slot-ms}; Q → true
local moved, wakes, ran, due_now = {}, {}, {}, {}

local function index(key, id, score)
	local m = moved[key]
	if not m then
		m = {}
		moved[key] = m
	end
	m[id] = score
end

-- Takes the record out of the index where it stands; what ran is charged in slot-milliseconds.
local function job_out(q, tenant, id, r)
	if r[WHERE] == DUE then
		index(due_key(q, r[LANE], tenant), id, false)
	elseif r[WHERE] == PARKED then
		index(P .. 'parked:' .. q, id, false)
	elseif r[WHERE] == RUNNING then
		index(run_names[q], id, false)
		ran[q] = ran[q] or {}
		local of = ran[q][tenant] or {0, 0}
		of[1] = of[1] + 1
		of[2] = of[2] + math.max(0, NOW - r[SINCE]) - SLOT
		ran[q][tenant] = of
	end
	r[WHERE] = NONE
	r[TOKEN], r[WORKER], r[CANCEL] = '', '', 0
	r[SINCE] = NOW
end

-- Has a due job stand in its set, and its tenant wake in time.
local function index_due(q, tenant, id, r)
	index(due_key(q, r[LANE], tenant), id, r[AT])
	local name, at = lane_names[q][r[LANE]], r[AT]
	local of = wakes[name]
	if not of then
		of = {}
		wakes[name] = of
	end
	if not of[tenant] or at < of[tenant] then
		of[tenant] = at
	end
	if at <= NOW then
		due_now[q] = true
	end
end

-- Puts a record that stands nowhere into the due set.
local function job_due(q, tenant, id, r, plan)
	r[WHERE] = DUE
	r[INTENT], r[LANE], r[WHY] = plan[1], plan[2], plan[4]
	r[AT] = math.max(plan[3], NOW)
	r[ASKED] = 0
	index_due(q, tenant, id, r)
end

-- Has a record stand where it says.
local function job_index(q, tenant, id, r)
	if r[WHERE] == DUE then
		index_due(q, tenant, id, r)
	elseif r[WHERE] ~= NONE then
		index(P .. (r[WHERE] == RUNNING and 'run:' or 'parked:') .. q, id, r[AT])
	end
end

local function job_park(q, id, r, why)
	r[WHERE], r[AT], r[WHY], r[ASKED] = PARKED, NOW, why, 0
	index(P .. 'parked:' .. q, id, NOW)
end

local function lane_ok(q, tenant, lane)
	return is_type(due_key(q, lane, tenant), 'zset')
end

-- May the index take this job in these lanes?
local function lanes_ok(q, tenant, ...)
	for _, lane in ipairs({...}) do
		if not lane_ok(q, tenant, lane) then
			return false
		end
	end
	return true
end

local function need_plan(i, m, key)
	if m[key] ~= nil and not is_plan(m[key]) then
		fail('EINVAL', 'item ' .. i .. ': "' .. key .. '" must be [intent, lane, due, why]')
	end
end

-- The earlier and more urgent of two plans; with equal right the newer one, b, says what is to be done.
local function plan_merge(a, b)
	local due_a, due_b = math.max(a[3], NOW), math.max(b[3], NOW)
	local newer = b[2] < a[2] or due_b < due_a or (b[2] == a[2] and due_b == due_a)
	return {(newer and b or a)[1], math.min(a[2], b[2]), math.min(due_a, due_b), (newer and b or a)[4]}
end
