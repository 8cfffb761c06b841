/* Files of endpoints: what is read, and what is said of those that are wrong. */
#include "scheduler/cli/import_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int read_text(const char *text, struct import *out, struct why *why)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(f);
	int err = import_read("f.yaml", f, out, why);
	fclose(f);
	return err;
}

static void reads_a_list(void **state)
{
	struct import im = {0};
	struct why why = {0};

	(void)state;
	assert_int_equal(read_text("endpoints:\n"
				   "  - names: [a.example.com, b.example.com]\n"
				   "    type: external\n"
				   "    target: t.example.com\n"
				   "    id: a\n"
				   "    key_type: rsa-2048\n"
				   "  - {names: [c.example.com], type: internal, tenant: x}\n",
				 &im, &why),
		0);
	assert_int_equal(im.n, 2);
	assert_null(im.items[0].error);
	assert_int_equal(im.items[0].names_n, 2);
	assert_string_equal(im.items[0].names[1], "b.example.com");
	assert_string_equal(im.items[0].type, "external");
	assert_string_equal(im.items[0].target, "t.example.com");
	assert_string_equal(im.items[0].id, "a");
	assert_string_equal(im.items[0].key_type, "rsa-2048");
	assert_null(im.items[0].tenant);
	assert_int_equal(im.items[1].line, 7);
	assert_string_equal(im.items[1].tenant, "x");
	import_release(&im);

	assert_int_equal(read_text("- names: [a.example.com]\n", &im, &why), 0);
	assert_int_equal(im.n, 1);
	import_release(&im);
	assert_int_equal(read_text("[]\n", &im, &why), 0);
	assert_int_equal(im.n, 0);
	import_release(&im);
}

/** The first item is wrong as said; the second is read all the same. */
static void wrong_item(const char *item, const char *expected)
{
	struct import im = {0};
	struct why why = {0};
	char text[2000];

	snprintf(text, sizeof text, "- %s\n- names: [ok.example.com]\n", item);
	assert_int_equal(read_text(text, &im, &why), 0);
	assert_int_equal(im.n, 2);
	assert_non_null(im.items[0].error);
	assert_string_equal(im.items[0].error, expected);
	assert_null(im.items[1].error);
	assert_string_equal(im.items[1].names[0], "ok.example.com");
	import_release(&im);
}

static void one_wrong_item_does_not_stop_the_others(void **state)
{
	(void)state;
	wrong_item("name: x", "f.yaml:1:3: unknown key \"name\"; expected names, type, target, id, "
			      "tenant, authority, "
			      "profile, zone, key_type");
	wrong_item(
		"names: a.example.com", "f.yaml:1:10: names: a list of domain names is expected");
	wrong_item("{names: [a.example.com, [b]], type: internal}",
		"f.yaml:1:27: names: a domain name is expected");
	wrong_item("{id: a, id: b}", "f.yaml:1:11: id is given twice");
	wrong_item("{names: [a.example.com], names: [b.example.com]}",
		"f.yaml:1:28: names is given twice");
	wrong_item(
		"{type: {a: b}, names: [x.example.com]}", "f.yaml:1:10: type: a text is expected");
	wrong_item("just text", "f.yaml:1:3: an endpoint is expected: names, type, target …");
	wrong_item("{[a]: b, names: [x.example.com]}", "f.yaml:1:4: a key is expected");
	wrong_item("{id: \"a\\0b\"}", "f.yaml:1:8: id: holds a NUL");
}

static void wrong_file(const char *text, const char *expected)
{
	struct import im = {0};
	struct why why = {0};

	assert_int_not_equal(read_text(text, &im, &why), 0);
	assert_string_equal(why.text, expected);
	assert_int_equal(im.n, 0);
	assert_null(im.items);
}

static void what_is_no_list_is_refused(void **state)
{
	struct import im = {0};
	struct why why = {0};

	(void)state;
	wrong_file("# nothing\n", "f.yaml:2:1: the file is empty; a list of endpoints is expected");
	wrong_file("hello\n", "f.yaml:1:1: a list of endpoints is expected");
	wrong_file("things: []\n",
		"f.yaml:1:1: the key \"endpoints\" is expected, or a list of endpoints");
	wrong_file(
		"endpoints: []\nmore: 1\n", "f.yaml:2:1: only the key \"endpoints\" is expected");
	wrong_file("- a: &x b\n- *x\n", "f.yaml:2:3: aliases (*name) are not allowed here");
	wrong_file("[]\n---\n[]\n", "f.yaml:2:1: one document is expected, this is the second");
	assert_int_not_equal(read_text("- {a: b\n- c", &im, &why), 0);
	assert_non_null(strstr(why.text, ": this is not YAML: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_list),
		cmocka_unit_test(one_wrong_item_does_not_stop_the_others),
		cmocka_unit_test(what_is_no_list_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
