/* Any text: what name_parse() accepts keeps the rules of names.h and parses to itself. */
#include "common/mem.h"
#include "common/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_name(const char *name)
{
	char again[NAME_SIZE], unicode[64], back[NAME_SIZE];
	const char *base = name_base(name);

	require(strlen(name) <= NAME_MAX_LEN && strchr(base, '.'));
	require(!base[strspn(base, "abcdefghijklmnopqrstuvwxyz0123456789-.")]);
	require(!name_parse(name, again, NULL) && !strcmp(name, again));
	require(name_is_under(base, name_registered_domain(name)));
	require(!name_covers(name, name));
	name_to_unicode(name, unicode, sizeof unicode);
	name_parse(unicode, back, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_mem_free_ char *text = mem_strndup((const char *)data, size);
	struct why why = {""};
	char name[NAME_SIZE];

	if (!name_parse(text, name, &why))
		check_name(name);
	else
		require(why.text[0] != '\0');
	name_parse_host(text, name, &why);
	return 0;
}
