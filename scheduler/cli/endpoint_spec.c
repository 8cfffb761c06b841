/* endpoint_spec.c - see endpoint_spec.h. */
#include "scheduler/cli/endpoint_spec.h"

#include "common/endpoint.h"
#include "common/mem.h"
#include "common/mp.h"
#include "scheduler/cli/fetch.h"

#include <string.h>

static int check_names(const struct endpoint_spec *s, char (*names)[NAME_SIZE], struct why *why)
{
	if (s->names_n == 0)
		return why_set(
			why, CF_EINVAL, "names is empty: at least one domain name is expected");
	if (s->names_n > ENDPOINT_NAMES_MAX)
		return why_set(why, CF_ETOOBIG,
			"%zu names are too many: an endpoint has at most %d", s->names_n,
			ENDPOINT_NAMES_MAX);
	for (size_t i = 0; i < s->names_n; i++) {
		int err = name_parse(s->names[i], names[i], why);
		if (err != 0)
			return err;
		for (size_t j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				return why_set(
					why, CF_EINVAL, "\"%s\" is named twice", s->names[i]);
	}
	return 0;
}

static int check_type(const struct endpoint_spec *s, struct why *why)
{
	if (s->type == NULL)
		return why_set(why, CF_EINVAL, "type is missing: external or internal");
	bool external = strcmp(s->type, "external") == 0;
	if (!external && strcmp(s->type, "internal") != 0)
		return why_set(
			why, CF_EINVAL, "type: expected external or internal, got \"%s\"", s->type);
	if (external && s->target == NULL)
		return why_set(why, CF_EINVAL,
			"target is missing: an external endpoint needs the host name that its "
			"traffic "
			"should reach, e.g. ingress.platform.example");
	return 0;
}

static int check_authority(
	const struct endpoint_spec *s, const struct config *config, struct why *why)
{
	_buf_release_ struct buf known = BUF_INIT(2048);

	if (s->authority == NULL || config_authority(config, s->authority) != NULL)
		return 0;
	for (size_t i = 0; i < config->authorities.n; i++)
		buf_addf(&known, "%s%s", i ? ", " : "", config->authorities.items[i].name);
	return why_set(why, CF_EINVAL,
		"authority \"%s\" is not in the configuration, which has: %s", s->authority,
		known.len ? buf_cstr(&known) : "none");
}

static int check_rest(
	const struct endpoint_spec *s, const struct config *config, char *target, struct why *why)
{
	enum key_type key;

	if (s->id != NULL && !fetch_id_ok(s->id))
		return why_set(why, CF_EINVAL,
			"id \"%s\": expected 1 to %d of a-z 0-9 . _ -, beginning with a letter or "
			"digit",
			s->id, ENDPOINT_ID_MAX);
	if (s->id != NULL && strcmp(s->id, ENDPOINT_ID_FLEET) == 0)
		return why_set(why, CF_EINVAL,
			"id \"%s\": it stands for the whole fleet in alerts; expected another",
			s->id);
	if (s->tenant != NULL && (*s->tenant == '\0' || strlen(s->tenant) > ENDPOINT_TENANT_MAX))
		return why_set(why, CF_EINVAL, "tenant \"%s\": expected 1 to %d bytes", s->tenant,
			ENDPOINT_TENANT_MAX);
	if (s->profile != NULL && strlen(s->profile) > ENDPOINT_PROFILE_MAX)
		return why_set(why, CF_ETOOBIG, "profile: at most %d bytes", ENDPOINT_PROFILE_MAX);
	if (s->zone != NULL && strlen(s->zone) > ENDPOINT_ZONE_MAX)
		return why_set(why, CF_ETOOBIG, "zone: at most %d bytes", ENDPOINT_ZONE_MAX);
	if (s->key_type != NULL && key_type_parse(s->key_type, &key) != 0)
		return why_set(why, CF_EINVAL,
			"key_type \"%s\": expected one of ecdsa-p256, ecdsa-p384, rsa-2048, "
			"rsa-3072, "
			"rsa-4096",
			s->key_type);
	if (s->target != NULL) {
		int err = name_parse_host(s->target, target, why);
		if (err != 0)
			return why_prefix(why, err, "target: ");
	}
	return check_authority(s, config, why);
}

int endpoint_spec_encode(const struct endpoint_spec *spec, const struct config *config,
	struct buf *out, struct why *why)
{
	char(*names)[NAME_SIZE] __attribute__((cleanup(mem_free_ptr))) =
		mem_array(ENDPOINT_NAMES_MAX, sizeof *names);
	char target[NAME_SIZE] = "";
	int err = check_names(spec, names, why);

	if (err == 0)
		err = check_type(spec, why);
	if (err == 0)
		err = check_rest(spec, config, target, why);
	if (err != 0)
		return err;
	size_t map = mp_map_open(out);
	mp_key_str(out, "id", spec->id);
	mp_key_str(out, "tenant", spec->tenant);
	mp_key_str(out, "type", spec->type);
	mp_key_str(out, "target", spec->target ? target : NULL);
	mp_key_str(out, "authority", spec->authority);
	mp_key_str(out, "profile", spec->profile);
	mp_key_str(out, "zone", spec->zone);
	mp_key_str(out, "key_type", spec->key_type);
	mp_key(out, "names");
	size_t array = mp_array_open(out);
	for (size_t i = 0; i < spec->names_n; i++)
		mp_str(out, names[i]);
	mp_array_close(out, array);
	mp_map_close(out, map);
	return buf_err(out) ? why_set(why, CF_ETOOBIG, "the endpoint's names are too long together")
			    : 0;
}
