#include "scheduler/leader.h"

/* Redis may give the lease away lease_ms after it heard us; we stop a sixth earlier. */
static int64_t lapse(const struct leader_state *s, int64_t sent_ms)
{
	return sent_ms + s->lease_ms - s->lease_ms / 6;
}

static enum leader_change lose(struct leader_state *s)
{
	if (!s->leading)
		return LEADER_SAME;
	s->leading = false;
	s->term = 0;
	return LEADER_LOST;
}

enum leader_change leader_state_reply(struct leader_state *s, int64_t sent_ms, int64_t now_ms,
	int err, bool leading, uint64_t term)
{
	bool was = s->leading, same = s->term == term;

	if (err)
		return leader_state_tick(s, now_ms);
	if (!leading || now_ms >= lapse(s, sent_ms))
		return lose(s);
	s->leading = true;
	s->term = term;
	s->until_ms = lapse(s, sent_ms);
	if (!was)
		return LEADER_WON;
	return same ? LEADER_SAME : LEADER_AGAIN;
}

enum leader_change leader_state_tick(struct leader_state *s, int64_t now_ms)
{
	return s->leading && now_ms >= s->until_ms ? lose(s) : LEADER_SAME;
}
