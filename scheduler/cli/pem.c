/* pem.c - see pem.h. */
#include "scheduler/cli/pem.h"

#include "common/certificate.h"
#include "common/keypair.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PEM_LIMIT (256u << 10)

void pem_release(struct pem *p)
{
	buf_release_secret(&p->key);
	buf_release(&p->cert);
	buf_release(&p->chain);
}

int pem_vault(struct cli *cli, struct vault **out, struct why *why)
{
	const char *path = cli->config->vault.certificates_key_file;

	if (path == NULL)
		return why_set(why, CF_EINVAL,
			"%s does not say vault.certificates_key_file, which opens private keys",
			cli->config_path);
	return vault_open(NULL, path, out, why);
}

static int fetch_chain(struct cli *cli, const char *sha, struct buf *out, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	size_t n;

	if (sha[0] == '\0')
		return 0;
	fetch_key(cli, &key, "chain:", sha);
	int err = redis_sync_commandv(cli->redis, &reply, why, "GET", buf_cstr(&key), NULL);
	if (err != 0)
		return err;
	const char *bytes = reply_str(reply, &n);
	if (bytes == NULL)
		return why_set(
			why, CF_EPROTO, "its intermediates (%s) are not in Redis", buf_cstr(&key));
	buf_add(out, bytes, n);
	return 0;
}

/** Opens the sealed key and compares it with the certificate: an edge must never get a pair that
 * does not fit. */
static int open_key(struct vault *vault, const char *id, const void *sealed, size_t n,
	const unsigned char spki[32], struct buf *pem, struct why *why)
{
	_buf_release_secret_ struct buf packed = BUF_INIT(VAULT_PLAIN_MAX);
	EVP_PKEY *key _keypair_release_ = NULL;
	char place[ENDPOINT_PLACE_SIZE];
	unsigned char sha[32];

	if (sealed == NULL)
		return why_set(why, CF_EPROTO, "its private key is not in Redis");
	int err = vault_unseal(vault, VAULT_CERTIFICATES, endpoint_key_place(id, false, place),
		sealed, n, &packed);
	if (err != 0)
		return why_set(why, err,
			"its private key cannot be opened with vault.certificates_key_file: %s",
			err == CF_EAUTH ? "it was sealed with another key" : cf_strerror(err));
	err = keypair_unpack(packed.data, packed.len, &key);
	if (err == 0)
		err = keypair_spki_sha256(key, sha);
	if (err != 0)
		return why_set(why, err, "its private key is broken");
	if (memcmp(sha, spki, sizeof sha) != 0)
		return why_set(why, CF_EPROTO, "its private key is not the certificate's");
	return keypair_pem(key, pem);
}

static int to_pem(struct cli *cli, const struct endpoint_cert *x, struct pem *p, struct why *why)
{
	_buf_release_ struct buf rest = BUF_INIT(CHAIN_MAX_BYTES);
	struct chain chain = {0};
	int err = fetch_chain(cli, x->chain_sha, &rest, why);

	if (err == 0)
		err = chain_unpack(x->der, x->der_len, rest.data, rest.len, &chain);
	if (err != 0)
		return why_prefix(why, err, "%s", why->text[0] ? "" : "the chain is broken");
	/* The leaf is the first of the chain: print all, and part it where the second begins. */
	_buf_release_ struct buf whole = BUF_INIT(PEM_LIMIT);
	err = chain_to_pem(&chain, 1, &p->chain);
	if (err == 0)
		err = chain_to_pem(&chain, 0, &whole);
	if (err == 0)
		buf_add(&p->cert, whole.data, whole.len - p->chain.len);
	chain_release(&chain);
	return err;
}

static int fetch_fields(
	struct cli *cli, const char *id, struct buf *x, struct buf *k, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	size_t n;

	fetch_key(cli, &key, "e:", id);
	int err = redis_sync_commandv(
		cli->redis, &reply, why, "HMGET", buf_cstr(&key), "c", "x", "k", NULL);
	if (err != 0)
		return err;
	if (reply_str(reply_at(reply, 0), &n) == NULL)
		return why_set(why, CF_EGONE, "there is no endpoint \"%s\"", id);
	const char *bytes = reply_str(reply_at(reply, 1), &n);
	if (bytes == NULL)
		return why_set(why, CF_ENOTFOUND, "it has no certificate yet");
	buf_add(x, bytes, n);
	bytes = reply_str(reply_at(reply, 2), &n);
	if (bytes != NULL)
		buf_add(k, bytes, n);
	return 0;
}

int pem_fetch(
	struct cli *cli, struct vault *vault, const char *id, struct pem *out, struct why *why)
{
	_buf_release_ struct buf field = BUF_INIT(PEM_LIMIT);
	_buf_release_ struct buf sealed = BUF_INIT(PEM_LIMIT);
	struct endpoint_cert x = {0};
	struct cert_info info;
	struct pem p = {.key = BUF_INIT(PEM_LIMIT),
		.cert = BUF_INIT(PEM_LIMIT),
		.chain = BUF_INIT(PEM_LIMIT)};
	int err = fetch_fields(cli, id, &field, &sealed, why);

	if (err == 0)
		err = endpoint_cert_decode(field.data, field.len, &x, why);
	if (err != 0)
		return err;
	err = cert_info_read(x.der, x.der_len, &info, why);
	if (err == 0)
		err = to_pem(cli, &x, &p, why);
	if (err == 0 && vault != NULL)
		err = open_key(vault, id, sealed.data, sealed.len, info.spki_sha256, &p.key, why);
	p.not_before_ms = info.not_before_ms;
	p.not_after_ms = info.not_after_ms;
	memcpy(p.serial, info.serial, sizeof p.serial);
	endpoint_cert_release(&x);
	if (err != 0)
		pem_release(&p);
	else
		*out = p;
	return err;
}

/* Files */

static int write_all(int fd, const struct buf *const *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t at = 0; at < parts[i]->len;) {
			ssize_t wrote = write(fd, parts[i]->data + at, parts[i]->len - at);
			if (wrote < 0 && errno != EINTR)
				return -1;
			at += wrote > 0 ? (size_t)wrote : 0;
		}
	return fsync(fd);
}

static void sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

int pem_write(const char *dir, const char *name, const struct buf *const *parts, size_t n,
	unsigned mode, struct why *why)
{
	_mem_free_ char *path = mem_printf("%s/%s", dir, name);
	_mem_free_ char *tmp =
		mem_printf("%s/.%s.new", dir, name); /* the edge ignores files with a dot */

	(void)unlink(tmp); /* what a killed run may have left */
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return why_set(why, CF_EIO, "cannot create %s: %s", tmp, strerror(errno));
	int bad = write_all(fd, parts, n) != 0 || fchmod(fd, (mode_t)mode) != 0 ? errno : 0;
	close(fd);
	if (bad == 0 && rename(tmp, path) != 0)
		bad = errno;
	if (bad != 0) {
		(void)unlink(tmp);
		return why_set(why, CF_EIO, "cannot write %s: %s", path, strerror(bad));
	}
	sync_dir(dir);
	return 0;
}

static int read_file(const char *path, struct buf *out, struct why *why)
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return why_set(why, errno == ENOENT ? CF_ENOTFOUND : CF_EIO, "cannot read %s: %s",
			path, strerror(errno));
	char *room = buf_room(out, PEM_LIMIT - 1);
	size_t n = fread(room, 1, PEM_LIMIT - 1, f);
	bool bad = ferror(f) != 0;
	fclose(f);
	if (bad)
		return why_set(why, CF_EIO, "cannot read %s", path);
	buf_took(out, n);
	return 0;
}

int pem_read_leaf(const char *path, struct cert_info *out, struct why *why)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char end[] = "-----END CERTIFICATE-----";
	_buf_release_secret_ struct buf text = BUF_INIT(PEM_LIMIT);
	struct chain chain = {0};
	int err = read_file(path, &text, why);

	if (err != 0)
		return err;
	const char *from = strstr(buf_cstr(&text), begin);
	const char *to = from ? strstr(from, end) : NULL;
	if (to == NULL)
		return why_set(why, CF_EPROTO, "%s holds no certificate", path);
	_buf_release_ struct buf leaf = BUF_INIT(PEM_LIMIT);
	buf_add(&leaf, from, (size_t)(to - from) + sizeof end - 1);
	buf_addc(&leaf, '\n');
	err = chain_from_pem(leaf.data, leaf.len, &chain, why);
	if (err != 0)
		return why_prefix(why, err, "%s: ", path);
	err = cert_info_read(chain.certs[0].der, chain.certs[0].len, out, why);
	chain_release(&chain);
	return err;
}
