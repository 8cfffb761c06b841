#include "common/config_internal.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE          256
#define SECRET_BYTES_MAX   65536
#define FILE_BYTES_MAX     (4 * 1024 * 1024)
#define PASSWORD_BYTES_MAX 1024

/* --- config check */

static void check_stat(struct reading *r, const struct config_row *row, const char *path,
	const char *file, const struct stat *st)
{
	const off_t most = row->secret ? SECRET_BYTES_MAX : FILE_BYTES_MAX;

	if (!S_ISREG(st->st_mode))
		config_error(r, 0, 0, path, "%s is not a plain file", file);
	else if (st->st_size == 0)
		config_error(r, 0, 0, path, "%s is empty", file);
	else if (st->st_size > most)
		config_error(r, 0, 0, path, "%s has %lld bytes: at most %lld are expected", file,
			(long long)st->st_size, (long long)most);
	else if (row->secret && st->st_mode & S_IROTH)
		config_error(
			r, 0, 0, path, "%s is a secret that everyone may read: chmod o-r it", file);
}

static void check_file(
	struct reading *r, const struct config_row *row, const char *path, const char *file)
{
	struct stat st;
	int fd;

	if (!file)
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st))
		config_error(r, 0, 0, path, "%s cannot be opened: %s", file, strerror(errno));
	else
		check_stat(r, row, path, file, &st);
	if (fd >= 0)
		close(fd);
}

static void check_rows(
	struct reading *r, const struct config_row *rows, const void *base, const char *prefix)
{
	char path[PATH_SIZE], inner[PATH_SIZE + 2];
	struct config_list list;

	for (const struct config_row *row = rows; row->key; row++) {
		snprintf(path, sizeof path, "%s%s", prefix, row->key);
		if (row->type == TYPE_FILE) {
			check_file(r, row, path, *(char *const *)row_in(row, base));
		} else if (row->type == TYPE_SECTION && !row->list) {
			snprintf(inner, sizeof inner, "%s.", path);
			check_rows(r, row->rows, base, inner);
		} else if (row->type == TYPE_SECTION) {
			list = row_list(row, base);
			for (size_t i = 0; i < list.n; i++) {
				snprintf(inner, sizeof inner, "%.200s[%zu].", path, i);
				check_rows(r, row->rows, (char *)list.items + i * row->size, inner);
			}
		}
	}
}

int config_check_files(const struct config *c, struct config_errors *errors)
{
	struct reading r = {NULL, errors};

	*errors = (struct config_errors){0};
	check_rows(&r, config_rows, c, "");
	return errors->n ? CF_EINVAL : 0;
}

/* --- Redis */

static int read_password(const char *key, const char *path, char **out, struct why *why)
{
	char text[PASSWORD_BYTES_MAX + 2];
	int fd;
	ssize_t n;

	if (!path || *out)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_set(
			why, CF_EIO, "%s %s cannot be opened: %s", key, path, strerror(errno));
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n < 0)
		return why_set(why, CF_EIO, "%s %s cannot be read: %s", key, path, strerror(errno));
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (!*text || n > PASSWORD_BYTES_MAX) {
		mem_wipe(text, sizeof text);
		return why_set(why, CF_EIO,
			"%s %s: expected a password of 1 to %d bytes on its first line", key, path,
			PASSWORD_BYTES_MAX);
	}
	*out = mem_strdup(text);
	mem_wipe(text, sizeof text);
	return 0;
}

static void add_nodes(const struct config_addresses *from, struct redis_options *out)
{
	for (size_t i = 0; i < from->n && out->nodes_n < REDIS_NODES_MAX; i++)
		out->nodes[out->nodes_n++] = (struct redis_node){
			.host = from->items[i].host, .port = from->items[i].port};
}

int config_redis_options(
	struct config *c, const char *client_name, struct redis_options *out, struct why *why)
{
	int err = read_password(
		"redis.password_file", c->redis.password_file, &c->redis.password, why);

	if (!err)
		err = read_password("redis.sentinel.password_file", c->redis.sentinel.password_file,
			&c->redis.sentinel.password, why);
	if (err)
		return err;
	*out = (struct redis_options){
		.host = c->redis.host,
		.port = c->redis.port,
		.unix_path = c->redis.unix_path,
		.sentinel_master = c->redis.sentinel.master,
		.sentinel_username = c->redis.sentinel.username,
		.sentinel_password = c->redis.sentinel.password,
		.sentinel_tls = c->redis.sentinel.tls,
		.db = c->redis.db,
		.username = c->redis.username,
		.password = c->redis.password,
		.tls = c->redis.tls.enabled,
		.tls_ca_file = c->redis.tls.ca_file,
		.tls_cert_file = c->redis.tls.cert_file,
		.tls_key_file = c->redis.tls.key_file,
		.fleet = c->fleet,
		.client_name = client_name,
		.timeout_ms = c->redis.timeout_ms,
	};
	add_nodes(&c->redis.sentinel.nodes, out);
	add_nodes(&c->redis.cluster.nodes, out);
	return 0;
}

const char *config_redis_where(const struct config *c, char *buf, size_t size)
{
	const struct config_addresses *nodes = &c->redis.cluster.nodes;
	size_t used;

	if (c->redis.url)
		return c->redis.url;
	if (c->redis.sentinel.master) {
		nodes = &c->redis.sentinel.nodes;
		snprintf(buf, size, "sentinel %s at", c->redis.sentinel.master);
	} else {
		snprintf(buf, size, "cluster at");
	}
	for (size_t i = 0; i < nodes->n; i++) {
		used = strlen(buf);
		snprintf(buf + used, size - used, " %s", nodes->items[i].text);
	}
	return buf;
}

/* --- small questions */

const struct config_authority *config_authority(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->authorities.n; i++)
		if (!strcmp(c->authorities.items[i].name, name))
			return &c->authorities.items[i];
	return NULL;
}

const char *config_worker_name(const struct config *c, char *buf, size_t size)
{
	char host[48] = "";

	if (c->worker.name)
		return c->worker.name;
	if (gethostname(host, sizeof host - 1) || !*host)
		snprintf(host, sizeof host, "worker");
	snprintf(buf, size, "%s-%ld", host, (long)getpid());
	return buf;
}
