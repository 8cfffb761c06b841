/* Any bytes: mp_open() accepts or refuses them, and what it accepts can be walked wholly by every
 * getter. */
#include "common/mem.h"
#include "common/mp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct mp *v)
{
	char small[8], *s = NULL;
	unsigned char fixed[4];
	const unsigned char *bytes;
	struct mp child;
	int64_t i;
	size_t n;
	double d;
	bool b;

	v->doc->err = 0;
	mp_as_bool(v, &b);
	mp_as_int_in(v, 0, 9, &i);
	mp_as_double(v, &d);
	mp_as_text(v, small, sizeof small);
	mp_as_str(v, &s);
	free(s);
	mp_as_bytes(v, &bytes, &n);
	mp_as_fixed(v, fixed, sizeof fixed);
	mp_get_map(v, "a", &child);
	mp_opt_array(v, "names", &child);
	for (struct mp_iter it = mp_iter(v); mp_next(&it, &child);)
		walk(&child);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct why why = {""};
	struct mp_doc doc;
	struct mp root;

	if (!mp_open(&doc, data, size, &root, &why))
		walk(&root);
	return 0;
}
