#include "common/clock.h"
#include "common/config_internal.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX     1024
#define RATE_MOST    1000000000
#define DURATION_BUF 32

/* --- texts */

static int set_text(const char *text, void *out)
{
	*(char **)out = mem_strdup(text);
	return 0;
}

static size_t text_most(const struct config_row *row)
{
	return row->most ? (size_t)row->most : TEXT_MAX;
}

static bool printable(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return true;
}

static int parse_text(const struct config_row *row, const char *text, void *out, struct why *why)
{
	size_t n = strlen(text);

	if (n > text_most(row))
		return why_set(why, CF_EINVAL, "%zu bytes long: at most %zu are allowed", n,
			text_most(row));
	if (!n || !printable(text))
		return CF_EINVAL;
	return set_text(text, out);
}

static int parse_word(const struct config_row *row, const char *text, void *out, struct why *why)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (text[strspn(text, allowed)])
		return CF_EINVAL;
	return parse_text(row, text, out, why);
}

static int parse_host(const struct config_row *row, const char *text, void *out, struct why *why)
{
	char name[NAME_SIZE];
	int err = name_parse_host(text, name, why);

	(void)row;
	return err ? err : set_text(name, out);
}

static int parse_url(const struct config_row *row, const char *scheme, const char *text, void *out,
	struct why *why)
{
	const char *host = text + strlen(scheme);

	if (strncasecmp(text, scheme, strlen(scheme)) != 0 || !*host || *host == '/' ||
		*host == ':' || strchr(text, ' '))
		return CF_EINVAL;
	return parse_text(row, text, out, why);
}

static int parse_https(const struct config_row *row, const char *text, void *out, struct why *why)
{
	return parse_url(row, "https://", text, out, why);
}

static int parse_http(const struct config_row *row, const char *text, void *out, struct why *why)
{
	return parse_url(
		row, strncasecmp(text, "https", 5) ? "http://" : "https://", text, out, why);
}

static int parse_contact(const struct config_row *row, const char *text, void *out, struct why *why)
{
	if (!str_starts_with(text, "mailto:") || !strchr(text, '@') || strpbrk(text, " ,?"))
		return CF_EINVAL;
	return parse_text(row, text, out, why);
}

static bool print_text(const struct config_row *row, const void *value, struct buf *out)
{
	const char *text = *(char *const *)value;

	(void)row;
	if (!text)
		return false;
	str_json(out, text);
	return true;
}

static void release_text(void *value)
{
	free(*(char **)value);
}

/* --- numbers and choices */

static int parse_bool(const struct config_row *row, const char *text, void *out, struct why *why)
{
	(void)row;
	(void)why;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return CF_EINVAL;
	*(bool *)out = !strcmp(text, "true");
	return 0;
}

static bool print_bool(const struct config_row *row, const void *value, struct buf *out)
{
	(void)row;
	buf_adds(out, *(const bool *)value ? "true" : "false");
	return true;
}

static int parse_count(const struct config_row *row, const char *text, void *out, struct why *why)
{
	uint64_t n;

	(void)why;
	if (str_parse_u64(text, (uint64_t)row->most, &n) || n < (uint64_t)row->least)
		return CF_EINVAL;
	*(uint32_t *)out = (uint32_t)n;
	return 0;
}

static bool print_count(const struct config_row *row, const void *value, struct buf *out)
{
	(void)row;
	buf_addf(out, "%" PRIu32, *(const uint32_t *)value);
	return true;
}

static int parse_duration(
	const struct config_row *row, const char *text, void *out, struct why *why)
{
	int64_t ms;

	(void)why;
	if (clock_parse_duration(text, &ms) || ms < row->least || ms > row->most)
		return CF_EINVAL;
	*(int64_t *)out = ms;
	return 0;
}

/* In the largest unit that is exact. */
static const char *duration_text(int64_t ms, char out[DURATION_BUF])
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = {
		{CLOCK_DAY_MS, "d"},
		{CLOCK_HOUR_MS, "h"},
		{CLOCK_MINUTE_MS, "m"},
		{CLOCK_SECOND_MS, "s"},
		{1, "ms"},
	};
	size_t i = 0;

	while (ms % units[i].ms)
		i++;
	if (ms)
		snprintf(out, DURATION_BUF, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
	else
		snprintf(out, DURATION_BUF, "0");
	return out;
}

static bool print_duration(const struct config_row *row, const void *value, struct buf *out)
{
	char text[DURATION_BUF];

	(void)row;
	buf_adds(out, duration_text(*(const int64_t *)value, text));
	return true;
}

static int parse_rate(const struct config_row *row, const char *text, void *out, struct why *why)
{
	const char *slash = strchr(text, '/');
	struct config_rate rate;
	char count[16];
	uint64_t n;

	(void)row;
	(void)why;
	if (!slash || slash == text || (size_t)(slash - text) >= sizeof count)
		return CF_EINVAL;
	memcpy(count, text, (size_t)(slash - text));
	count[slash - text] = '\0';
	if (str_parse_u64(count, RATE_MOST, &n) || n == 0 ||
		clock_parse_duration(slash + 1, &rate.window_ms) || rate.window_ms <= 0)
		return CF_EINVAL;
	rate.count = (uint32_t)n;
	*(struct config_rate *)out = rate;
	return 0;
}

static bool print_rate(const struct config_row *row, const void *value, struct buf *out)
{
	const struct config_rate *rate = value;
	char text[DURATION_BUF];

	(void)row;
	if (!rate->count)
		return false;
	buf_addf(out, "%" PRIu32 "/%s", rate->count, duration_text(rate->window_ms, text));
	return true;
}

static int choice_index(const struct config_row *row, const char *text)
{
	for (int i = 0; row->choices[i]; i++)
		if (!strcmp(row->choices[i], text))
			return i;
	return -1;
}

static int parse_choice(const struct config_row *row, const char *text, void *out, struct why *why)
{
	int i = choice_index(row, text);

	(void)why;
	if (i < 0)
		return CF_EINVAL;
	*(uint32_t *)out = (uint32_t)i;
	return 0;
}

static bool print_choice(const struct config_row *row, const void *value, struct buf *out)
{
	buf_adds(out, row->choices[*(const uint32_t *)value]);
	return true;
}

/* One of the list; the reader gives them one by one. */
static int parse_flag(const struct config_row *row, const char *text, void *out, struct why *why)
{
	int i = choice_index(row, text);

	if (i < 0)
		return CF_EINVAL;
	if (*(uint32_t *)out & 1u << i)
		return why_set(why, CF_EINVAL, "\"%s\" stands here twice", text);
	*(uint32_t *)out |= 1u << i;
	return 0;
}

static bool print_flags(const struct config_row *row, const void *value, struct buf *out)
{
	const char *comma = "";

	buf_addc(out, '[');
	for (int i = 0; row->choices[i]; i++)
		if (*(const uint32_t *)value & 1u << i) {
			buf_addf(out, "%s%s", comma, row->choices[i]);
			comma = ", ";
		}
	buf_addc(out, ']');
	return true;
}

/* --- addresses */

static int parse_address(const struct config_row *row, const char *text, void *out, struct why *why)
{
	struct config_address *a = out;
	char host[ADDR_TEXT_SIZE];
	struct addr addr;
	int err = addr_parse(text, row->port, &addr, why);

	if (err)
		return err;
	a->text = mem_strdup(text);
	a->host = mem_strdup(addr_format_host(&addr, host));
	a->port = addr_port(&addr);
	a->is_ip = true;
	a->addr = addr;
	return 0;
}

static int parse_place(const struct config_row *row, const char *text, void *out, struct why *why)
{
	struct config_address *a = out;
	char host[ADDR_HOST_SIZE], name[NAME_SIZE];
	uint16_t port;
	int err;

	if (!parse_address(row, text, out, NULL))
		return 0;
	err = addr_split(text, row->port, host, &port, why);
	if (!err)
		err = name_parse_host(host, name, why);
	if (err)
		return err;
	*a = (struct config_address){
		.text = mem_strdup(text), .host = mem_strdup(name), .port = port};
	return 0;
}

static void release_address(void *value)
{
	struct config_address *a = value;

	free(a->text);
	free(a->host);
}

static int parse_range(const struct config_row *row, const char *text, void *out, struct why *why)
{
	(void)row;
	return addr_range_parse(text, out, why);
}

static bool print_range(const struct config_row *row, const void *value, struct buf *out)
{
	const struct addr_range *range = value;
	char host[ADDR_TEXT_SIZE];

	(void)row;
	buf_addf(out, "\"%s/%u\"", addr_format_host(&range->base, host), range->bits);
	return true;
}

/* --- the table */

static void release_nothing(void *value)
{
	(void)value;
}

static const struct value_ops {
	const char *expected;
	size_t size;
	int (*parse)(const struct config_row *row, const char *text, void *out, struct why *why);
	bool (*print)(const struct config_row *row, const void *value, struct buf *out);
	void (*release)(void *value);
} ops[] = {
	[TYPE_TEXT] = {"a text", sizeof(char *), parse_text, print_text, release_text},
	[TYPE_WORD] = {"letters, digits, \"_\", \".\" and \"-\"", sizeof(char *), parse_word,
		print_text, release_text},
	[TYPE_HOST] = {"a host name", sizeof(char *), parse_host, print_text, release_text},
	[TYPE_FILE] = {"a file's path", sizeof(char *), parse_text, print_text, release_text},
	[TYPE_HTTPS] = {"an https:// URL", sizeof(char *), parse_https, print_text, release_text},
	[TYPE_HTTP] = {"an https:// or http:// URL", sizeof(char *), parse_http, print_text,
		release_text},
	[TYPE_CONTACT] = {"mailto:SOMEBODY@DOMAIN", sizeof(char *), parse_contact, print_text,
		release_text},
	[TYPE_BOOL] = {"true or false", sizeof(bool), parse_bool, print_bool, release_nothing},
	[TYPE_COUNT] = {NULL, sizeof(uint32_t), parse_count, print_count, release_nothing},
	[TYPE_DURATION] = {NULL, sizeof(int64_t), parse_duration, print_duration, release_nothing},
	[TYPE_RATE] = {"a rate such as 300/3h", sizeof(struct config_rate), parse_rate, print_rate,
		release_nothing},
	[TYPE_CHOICE] = {NULL, sizeof(uint32_t), parse_choice, print_choice, release_nothing},
	[TYPE_FLAGS] = {NULL, sizeof(uint32_t), parse_flag, print_flags, release_nothing},
	[TYPE_ADDRESS] = {"an IP address, with :PORT if need be", sizeof(struct config_address),
		parse_address, print_text, release_address},
	[TYPE_PLACE] = {"HOST:PORT", sizeof(struct config_address), parse_place, print_text,
		release_address},
	[TYPE_RANGE] = {"a network such as 10.0.0.0/8", sizeof(struct addr_range), parse_range,
		print_range, release_nothing},
	[TYPE_SECTION] = {"a section of keys", 0, NULL, NULL, NULL},
};

/* print_text() takes an address by its first member. */
_Static_assert(offsetof(struct config_address, text) == 0, "text comes first");

int value_parse(
	const struct config_row *row, const char *text, bool plain, void *out, struct why *why)
{
	why->text[0] = '\0';
	if (plain && (!*text || !strcmp(text, "~") || !strcmp(text, "null")))
		return CF_EINVAL;
	return ops[row->type].parse(row, text, out, why);
}

bool value_print(const struct config_row *row, const void *value, struct buf *out)
{
	return ops[row->type].print && ops[row->type].print(row, value, out);
}

void value_release(const struct config_row *row, void *value)
{
	ops[row->type].release(value);
}

size_t row_size(const struct config_row *row)
{
	return row->type == TYPE_SECTION ? row->size : ops[row->type].size;
}

static void choices_text(const struct config_row *row, char *out, size_t size)
{
	struct buf b = BUF_INIT(size - 1);

	buf_adds(&b, row->type == TYPE_FLAGS ? "some of " : "one of ");
	for (size_t i = 0; row->choices[i]; i++)
		buf_addf(&b, "%s%s", i ? ", " : "", row->choices[i]);
	snprintf(out, size, "%s", buf_cstr(&b));
	buf_release(&b);
}

const char *value_expected(const struct config_row *row, char *out, size_t size)
{
	char least[DURATION_BUF], most[DURATION_BUF];

	if (row->expected || ops[row->type].expected)
		snprintf(out, size, "%s", row->expected ? row->expected : ops[row->type].expected);
	else if (row->type == TYPE_COUNT)
		snprintf(out, size, "a number from %" PRId64 " to %" PRId64, row->least, row->most);
	else if (row->type == TYPE_DURATION)
		snprintf(out, size, "a duration from %s to %s, such as 250ms, 30s, 12h",
			duration_text(row->least, least), duration_text(row->most, most));
	else
		choices_text(row, out, size);
	return out;
}
