#include "common/names.h"

#include "common/mem.h"
#include "common/str.h"

#include <idn2.h>
#include <libpsl.h>
#include <stdint.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 1024, LABEL_MAX_BYTES = 63, QUOTE_BYTES = 128 };

/* The newer of the library's own list and the system's file. */
static const psl_ctx_t *suffixes(void)
{
	static const psl_ctx_t *list;

	if (!list)
		list = psl_latest(NULL);
	if (!list)
		list = psl_builtin();
	return list;
}

static bool is_icann_suffix(const char *name)
{
	return psl_is_public_suffix2(suffixes(), name, PSL_TYPE_ICANN) != 0;
}

/* What is being read, for messages. */
struct reading {
	const char *text;
	struct why *why;
};

static int refuse(const struct reading *r, const char *rule)
{
	char quoted[QUOTE_BYTES];

	return why_set(r->why, CF_EINVAL, "\"%s\": %s",
		str_clean(r->text, strlen(r->text), quoted, sizeof quoted), rule);
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* Only names with U-labels or A-labels need libidn2; it maps, normalizes and checks by UTS 46. */
static int to_ascii(const struct reading *r, const char *text, char out[NAME_SIZE])
{
	_mem_free_ char *lower = str_lower(mem_strdup(text));
	uint8_t *mapped = NULL;
	int err = 0;

	if (is_ascii(lower) && !strstr(lower, "xn--")) {
		if (strlen(lower) > NAME_MAX_LEN)
			return refuse(r, "a name has at most 253 characters");
		strcpy(out, lower);
		return 0;
	}
	if (idn2_lookup_u8((const uint8_t *)lower, &mapped,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return refuse(r, "is not a valid internationalized name (UTS 46)");
	if (strlen((const char *)mapped) > NAME_MAX_LEN)
		err = refuse(r, "a name has at most 253 characters");
	else
		strcpy(out, (const char *)mapped);
	idn2_free(mapped);
	return err;
}

static int check_label(const struct reading *r, const char *label, size_t n)
{
	if (!n)
		return refuse(r, "an empty label (two dots in a row, or one in front)");
	if (n > LABEL_MAX_BYTES)
		return refuse(r, "a label has at most 63 characters");
	for (size_t i = 0; i < n; i++) {
		char c = label[i];

		if (c == '_')
			return refuse(r, "underscores are not allowed in host names");
		if (c == '*')
			return refuse(r, "a wildcard may only be the whole first label, \"*.\"");
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return refuse(r, "only letters, digits, hyphens and dots are allowed");
	}
	if (label[0] == '-' || label[n - 1] == '-')
		return refuse(r, "a label must not begin or end with a hyphen");
	if (n >= 4 && label[2] == '-' && label[3] == '-' && strncmp(label, "xn", 2))
		return refuse(r, "hyphens in third and fourth place are reserved (RFC 5890)");
	return 0;
}

static int check_labels(const struct reading *r, const char *name, size_t *count)
{
	const char *last = name;

	for (*count = 1;; (*count)++) {
		size_t n = strcspn(last, ".");
		int err = check_label(r, last, n);

		if (err)
			return err;
		if (!last[n])
			break;
		last += n + 1;
	}
	if (!last[strspn(last, "0123456789")])
		return refuse(
			r, "IP addresses and numeric top-level domains have no certificates here");
	return 0;
}

/* Reads `text`, which is r->text without "*.", into out; counts its labels. */
static int parse(const struct reading *r, const char *text, char out[NAME_SIZE], size_t *labels)
{
	char name[NAME_SIZE] = "";
	size_t n;
	int err;

	if (strlen(r->text) > TEXT_MAX_BYTES)
		return refuse(r, "a name has at most 253 characters");
	if (!*text)
		return refuse(r, "a name is expected");
	if (strchr(text, ':') || *text == '[')
		return refuse(r, "a bare name is expected, no address, port or URL");
	err = to_ascii(r, text, name);
	if (err)
		return err;
	n = strlen(name);
	if (n && name[n - 1] == '.')
		name[n - 1] = '\0';
	err = check_labels(r, name, labels);
	if (err)
		return err;
	strcpy(out, name);
	return 0;
}

int name_parse(const char *text, char out[NAME_SIZE], struct why *why)
{
	struct reading r = {text, why};
	bool wildcard = name_is_wildcard(text);
	char base[NAME_SIZE] = "";
	size_t labels = 0;
	int err = parse(&r, name_base(text), base, &labels);

	if (err)
		return err;
	if (labels < 2)
		return refuse(&r, "a name with at least two labels is expected");
	if (is_icann_suffix(base))
		return refuse(
			&r, wildcard ? "a wildcard directly above a public suffix is not issued"
				     : "a public suffix, not a name below one");
	if (wildcard && strlen(base) + 2 > NAME_MAX_LEN)
		return refuse(&r, "a name has at most 253 characters");
	strcpy(out, wildcard ? "*." : "");
	strcat(out, base);
	return 0;
}

int name_parse_host(const char *text, char out[NAME_SIZE], struct why *why)
{
	struct reading r = {text, why};
	size_t labels;

	return parse(&r, text, out, &labels);
}

void name_to_unicode(const char *name, char *out, size_t size)
{
	_mem_free_ char *whole = NULL;
	char *unicode = NULL;

	if (idn2_to_unicode_8z8z(name_base(name), &unicode, 0) == IDN2_OK) {
		whole = mem_printf("%s%s", name_is_wildcard(name) ? "*." : "", unicode);
		idn2_free(unicode);
	} else {
		whole = mem_strdup(name);
	}
	/* Cut or cleaned it would be another name. */
	str_clean(whole, strlen(whole), out, size);
	if (strcmp(whole, out))
		str_clean(name, strlen(name), out, size);
}

bool name_is_wildcard(const char *name)
{
	return name[0] == '*' && name[1] == '.';
}

const char *name_base(const char *name)
{
	return name_is_wildcard(name) ? name + 2 : name;
}

bool name_covers(const char *wildcard, const char *name)
{
	const char *rest = strchr(name, '.');

	return name_is_wildcard(wildcard) && !name_is_wildcard(name) && rest && rest != name &&
	       !strcmp(rest + 1, wildcard + 2);
}

const char *name_registered_domain(const char *name)
{
	const char *base = name_base(name), *domain = psl_registrable_domain(suffixes(), base);

	return domain ? domain : base;
}

bool name_is_under(const char *name, const char *zone)
{
	size_t n = strlen(name), m = strlen(zone);

	return n >= m && !strcmp(name + n - m, zone) && (n == m || name[n - m - 1] == '.');
}
