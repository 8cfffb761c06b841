/* What the edge was seen to serve, as part of the verdict's record. */
#include "common/endpoint_internal.h"

const char *served_status_name(enum served_status s)
{
	static const char *const names[] = {"unknown", "unreachable", "stale", "ok"};

	return names[s];
}

/* Flat: three texts an address. */
static void encode_behind(struct buf *out, const struct served *s)
{
	size_t array;

	if (!s->behind_n)
		return;
	mp_key(out, "b");
	array = mp_array_open(out);
	for (size_t i = 0; i < s->behind_n; i++) {
		mp_str(out, s->behind[i].at);
		mp_str(out, s->behind[i].code);
		mp_str(out, s->behind[i].what);
	}
	mp_array_close(out, array);
}

static void decode_behind(const struct mp *map, struct served *s)
{
	struct mp all, at, code, what;

	if (!mp_opt_array(map, "b", &all))
		return;
	for (struct mp_iter it = mp_iter(&all); s->behind_n < SERVED_BEHIND_MAX;) {
		struct served_behind *b = &s->behind[s->behind_n];

		if (!mp_next(&it, &at) || !mp_next(&it, &code) || !mp_next(&it, &what) ||
			mp_as_text(&at, b->at, sizeof b->at) ||
			mp_as_text(&code, b->code, sizeof b->code) ||
			mp_as_text(&what, b->what, sizeof b->what))
			return;
		s->behind_n++;
	}
}

void served_encode(struct buf *out, const struct served *s)
{
	size_t map;

	if (!s->looked_ms)
		return;
	mp_key(out, "sv");
	map = mp_map_open(out);
	put_int(out, "s", s->status);
	put_int(out, "r", s->right);
	put_int(out, "n", s->addresses);
	put_int(out, "t", s->tries);
	put_int(out, "l", s->looked_ms);
	put_text(out, "x", s->serial);
	put_text(out, "p", s->proven);
	put_text(out, "w", s->why);
	encode_behind(out, s);
	mp_map_close(out, map);
}

void served_decode(const struct mp *root, struct served *s)
{
	struct mp map;

	if (!mp_opt_map(root, "sv", &map))
		return;
	s->status = (enum served_status)get_enum(&map, "s", SERVED_UNKNOWN, SERVED_OK);
	s->right = get_u32(&map, "r");
	s->addresses = get_u32(&map, "n");
	s->tries = get_u32(&map, "t");
	mp_opt_int(&map, "l", &s->looked_ms);
	mp_opt_text(&map, "x", s->serial, sizeof s->serial);
	mp_opt_text(&map, "p", s->proven, sizeof s->proven);
	mp_opt_text(&map, "w", s->why, sizeof s->why);
	decode_behind(&map, s);
}
