#include "worker/jobs/proof_pack.h"

#include "common/diagnosis.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define HEX     "0123456789abcdef"

static int open_record(struct mp_doc *doc, const void *bytes, size_t n, size_t most,
	struct mp *root, struct why *why)
{
	int64_t version = 0;

	if (n > most)
		return why_set(why, CF_ETOOBIG, "%zu bytes: at most %zu are expected", n, most);
	if (mp_open(doc, bytes, n, root, why) || mp_get_int(root, "V", &version))
		return mp_err(doc);
	if (version != VERSION)
		return mp_fail(root, CF_EPROTO, "version %d is expected", VERSION);
	return 0;
}

/* --- the question */

int proof_ask_encode(const char *id, const struct proof_ask *ask, struct buf *out)
{
	size_t map = mp_map_open(out), names;

	mp_key_int(out, "V", VERSION);
	mp_key_str(out, "id", id);
	mp_key_bin(out, "x", ask->der, ask->der_len);
	mp_key_str(out, "before", ask->before);
	mp_key(out, "names");
	names = mp_array_open(out);
	for (size_t i = 0; i < ask->names_n; i++) {
		mp_str(out, ask->names[i].name);
		mp_bool(out, ask->names[i].resolved);
	}
	mp_array_close(out, names);
	mp_map_close(out, map);
	return buf_err(out);
}

static int read_names(const struct mp *root, struct proof_ask *ask)
{
	struct mp all, name, resolved;
	struct proof_name *names;
	char text[NAME_SIZE];

	if (mp_get_array(root, "names", &all))
		return CF_EPROTO;
	if (mp_count(&all) % 2 || mp_count(&all) > 2 * ENDPOINT_NAMES_MAX)
		return mp_fail(
			&all, CF_EPROTO, "at most %d names are expected", ENDPOINT_NAMES_MAX);
	ask->names = names = mem_array(mp_count(&all) / 2 + 1, sizeof *names);
	for (struct mp_iter it = mp_iter(&all); mp_next(&it, &name) && mp_next(&it, &resolved);) {
		struct proof_name *one = &names[ask->names_n];

		if (mp_as_text(&name, text, sizeof text) || mp_as_bool(&resolved, &one->resolved))
			return CF_EPROTO;
		if (name_parse_host(text, one->name, NULL))
			return mp_fail(&name, CF_EPROTO, "a host name is expected");
		ask->names_n++;
	}
	return 0;
}

static int read_ask(const struct mp *root, struct proof_asked *out)
{
	const unsigned char *der;
	size_t n;

	mp_get_text(root, "id", out->id, sizeof out->id);
	mp_get_text(root, "before", out->ask.before, sizeof out->ask.before);
	if (mp_get_bytes(root, "x", &der, &n) || read_names(root, &out->ask))
		return mp_err(root->doc);
	if (strlen(out->id) != PROOF_ID_SIZE - 1 || out->id[strspn(out->id, HEX)])
		return mp_fail(root, CF_EPROTO, "an id of 32 hex digits is expected");
	if (!n || n > CHAIN_MAX_BYTES)
		return mp_fail(root, CF_EPROTO, "a certificate is expected");
	out->ask.der = mem_dup(der, n);
	out->ask.der_len = n;
	return mp_err(root->doc);
}

int proof_ask_decode(const void *bytes, size_t n, struct proof_asked *out, struct why *why)
{
	struct mp_doc doc;
	struct mp root;
	int err = open_record(&doc, bytes, n, PROOF_ASK_MAX, &root, why);

	*out = (struct proof_asked){.id = ""};
	if (!err)
		err = read_ask(&root, out);
	if (err)
		proof_asked_release(out);
	return err;
}

void proof_asked_release(struct proof_asked *a)
{
	free((void *)a->ask.der);
	free((void *)a->ask.names);
	*a = (struct proof_asked){.id = ""};
}

/* --- the answer */

int proof_seen_encode(const struct served_seen *seen, size_t n, struct buf *out)
{
	size_t map = mp_map_open(out), rows;

	mp_key_int(out, "V", VERSION);
	mp_key(out, "seen");
	rows = mp_array_open(out);
	for (size_t i = 0; i < n; i++) {
		const struct served_seen *s = &seen[i];
		size_t row = mp_map_open(out);

		mp_key_str(out, "name", s->name);
		mp_key_str(out, "at", s->at);
		mp_key_str(out, "code", s->code);
		mp_key_str(out, "what", s->what);
		mp_key_str(out, "serial", s->serial);
		mp_key_int(out, "from", s->from_ms);
		mp_key_int(out, "ends", s->ends_ms);
		mp_map_close(out, row);
	}
	mp_array_close(out, rows);
	mp_map_close(out, map);
	return buf_err(out);
}

static void read_clean(const struct mp *row, const char *key, char *out, size_t size)
{
	char text[512];

	if (!mp_get_text(row, key, text, sizeof text))
		str_clean(text, strlen(text), out, size);
}

static bool is_code(const char *code)
{
	return !code[0] || !strcmp(code, SERVED_UNREACHED) || !strcmp(code, SERVED_NOT_ALLOWED) ||
	       (served_is_wrong(code) && diagnosis_kind(code));
}

static int read_row(const struct mp *row, struct served_seen *s)
{
	read_clean(row, "name", s->name, sizeof s->name);
	read_clean(row, "at", s->at, sizeof s->at);
	read_clean(row, "what", s->what, sizeof s->what);
	read_clean(row, "serial", s->serial, sizeof s->serial);
	mp_get_text(row, "code", s->code, sizeof s->code);
	mp_get_int_in(row, "from", 0, INT64_MAX / 2, &s->from_ms);
	mp_get_int_in(row, "ends", 0, INT64_MAX / 2, &s->ends_ms);
	if (!mp_err(row->doc) && !is_code(s->code))
		mp_fail(row, CF_EPROTO, "no such code");
	return mp_err(row->doc);
}

int proof_seen_decode(
	const void *bytes, size_t n, struct served_seen **out, size_t *out_n, struct why *why)
{
	_mem_free_ struct served_seen *seen = NULL;
	struct mp_doc doc;
	struct mp root, rows, row;
	size_t found = 0;
	int err = open_record(&doc, bytes, n, PROOF_SEEN_MAX, &root, why);

	if (err || (err = mp_get_array(&root, "seen", &rows)))
		return err;
	if (mp_count(&rows) > PROOF_LOOKS_MAX)
		return mp_fail(&rows, CF_ETOOBIG, "at most %d are expected", PROOF_LOOKS_MAX);
	seen = mem_array(PROOF_LOOKS_MAX, sizeof *seen);
	for (struct mp_iter it = mp_iter(&rows); mp_next(&it, &row);)
		if ((err = read_row(&row, &seen[found++])))
			return err;
	*out = mem_steal(seen);
	*out_n = found;
	return 0;
}
