/* Records of endpoints and job records, as they come from Redis. */
#include "common/endpoint.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct endpoint_config c;
	struct endpoint_verdict v;
	struct endpoint_cert x;
	struct endpoint_issuance i;
	struct job_record j;
	struct why why;

	if (!endpoint_config_decode(data, size, &c, &why))
		endpoint_config_release(&c);
	if (!endpoint_verdict_decode(data, size, &v, &why))
		endpoint_verdict_release(&v);
	if (!endpoint_cert_decode(data, size, &x, &why))
		endpoint_cert_release(&x);
	(void)endpoint_issuance_decode(data, size, &i, &why);
	(void)job_record_decode(data, size, &j, &why);
	return 0;
}
