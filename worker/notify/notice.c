#include "worker/notify/notice.h"

#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX 600

/* A field's text, cleaned: it goes into headers and JSON. */
static char *take(const struct reply *fields, const char *name)
{
	char text[TEXT_MAX] = "";
	size_t n = reply_len(fields), len = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		const char *key = reply_str(reply_at(fields, i), NULL);
		const char *value = reply_str(reply_at(fields, i + 1), &len);

		if (key && value && !strcmp(key, name))
			str_clean(value, len, text, sizeof text);
	}
	return mem_strdup(text);
}

static int take_data(const struct reply *fields, struct notice *out)
{
	size_t n = reply_len(fields), len = 0;

	for (size_t i = 0; i + 1 < n; i += 2) {
		const char *key = reply_str(reply_at(fields, i), NULL);
		const char *value = reply_str(reply_at(fields, i + 1), &len);

		if (!key || !value || strcmp(key, "data") != 0)
			continue;
		if (len > NOTICE_DATA_MAX)
			return CF_ETOOBIG;
		free(out->data);
		out->data = mem_dup(value, len);
		out->len = len;
	}
	return out->data ? 0 : CF_EPROTO;
}

static enum notice_kind kind_of(const char *type)
{
	if (!strcmp(type, EVENT_ALERT_SNAPSHOT))
		return NOTICE_SNAPSHOT;
	if (!strcmp(type, EVENT_HEARTBEAT))
		return NOTICE_HEARTBEAT;
	return str_starts_with(type, "certfleet.alert.") ? NOTICE_ALERT : NOTICE_OTHER;
}

static int look_into(struct notice *out)
{
	char key[300] = "";
	struct mp_doc doc;
	struct mp root;
	int err = mp_open(&doc, out->data, out->len, &root, NULL);

	if (err)
		return err;
	mp_opt_text(&root, "key", key, sizeof key);
	mp_opt_bool(&root, "silenced", &out->silenced);
	if (mp_err(&doc) || (out->kind == NOTICE_ALERT && !key[0]))
		return CF_EPROTO;
	free(out->key);
	out->key = mem_strdup(key);
	return 0;
}

int notice_read(const struct reply *entry, struct notice *out)
{
	const char *id = reply_str(reply_at(entry, 0), NULL);
	const struct reply *fields = reply_at(entry, 1);
	int err;

	*out = (struct notice){.key = mem_strdup("")};
	snprintf(out->entry, sizeof out->entry, "%s", id ? id : "");
	out->at_ms = strtoll(out->entry, NULL, 10);
	out->id = take(fields, "id");
	out->type = take(fields, "type");
	out->source = take(fields, "source");
	out->subject = take(fields, "subject");
	out->time = take(fields, "time");
	out->kind = kind_of(out->type);
	err = take_data(fields, out);
	return err ? err : look_into(out);
}

void notice_release(struct notice *n)
{
	free(n->id);
	free(n->type);
	free(n->source);
	free(n->subject);
	free(n->time);
	free(n->data);
	free(n->key);
	*n = (struct notice){.at_ms = 0};
}
