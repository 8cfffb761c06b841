/* Lists whose members are read one by one: a list of keys first, then each of them, side by side.
 */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"

#include <stdio.h>
#include <string.h>

struct member {
	struct v1_call *call;
	size_t at;
	v1_read_fn *read;
	char key[V1_KEY_MAX + 1];
};

void v1_end_list(struct v1_call *c)
{
	json_t *list = json_array(), *item;
	size_t i;

	if (c->err) {
		json_decref(list);
		v1_redis_problem(c, c->err);
		return;
	}
	json_array_foreach(c->answer, i, item)
	{
		if (!json_is_null(item))
			json_array_append(list, item);
	}
	v1_json(c, 200, json_pack("{s:o}", strrchr(c->route->pattern, '/') + 1, list));
}

void v1_member_read(void *arg, int err, const struct reply *reply)
{
	struct member *m = arg;
	struct v1_call *c = m->call;
	json_t *j = err ? NULL : m->read(c, m->key, reply);

	if (err && err != CF_EREDIS && !c->err)
		c->err = err;
	if (j)
		json_array_set_new(c->answer, m->at, j);
	free(m);
	if (--c->left == 0)
		v1_end_list(c);
}

struct member *v1_member(struct v1_call *c, const char *key, v1_read_fn *read)
{
	struct member *m = mem_zalloc(sizeof *m);

	m->call = c;
	m->at = json_array_size(c->answer);
	m->read = read;
	snprintf(m->key, sizeof m->key, "%s", key);
	json_array_append_new(c->answer, json_null());
	c->left++;
	return m;
}
