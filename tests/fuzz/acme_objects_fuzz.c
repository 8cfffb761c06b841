/* Whatever a CA sends as JSON: the first byte says which object it is read as. */
#include "worker/acme/objects.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_problem(const char *text, size_t n)
{
	struct acme_failure f = {0};
	struct problem p;

	if (problem_parse(text, n, &p) < 0)
		return;
	problem_to_failure(&p, n % 2 ? 403 : 0, 0, &f);
	failure_release(&f);
	problem_release(&p);
}

static void read_renewal(const char *text, size_t n)
{
	struct acme_renewal r;
	struct why why;

	if (ca_renewal_parse(text, n, &r, &why) == 0)
		free((char *)r.explanation_url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union {
		struct ca_directory directory;
		struct ca_order order;
		struct ca_authz authz;
		struct ca_challenge challenge;
		struct ca_account account;
	} u;
	const char *text = (const char *)data + 1;
	struct why why;

	if (size < 1)
		return 0;
	switch (data[0]) {
	case 'd':
		if (ca_directory_parse(text, size - 1, false, &u.directory, &why) == 0)
			ca_directory_release(&u.directory);
		break;
	case 'o':
		if (ca_order_parse(text, size - 1, &u.order, &why) == 0)
			ca_order_release(&u.order);
		break;
	case 'a':
		if (ca_authz_parse(text, size - 1, &u.authz, &why) == 0)
			ca_authz_release(&u.authz);
		break;
	case 'c':
		if (ca_challenge_parse(text, size - 1, &u.challenge, &why) == 0)
			ca_challenge_release(&u.challenge);
		break;
	case 'r':
		read_renewal(text, size - 1);
		break;
	case 'p':
		read_problem(text, size - 1);
		break;
	default:
		ca_account_parse(text, size - 1, &u.account, &why);
	}
	return 0;
}
