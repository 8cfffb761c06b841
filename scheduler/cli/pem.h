/* pem.h - an endpoint's certificate, chain and private key, read from Redis and opened, as the edge
 * wants them. */
#pragma once

#include "common/vault.h"
#include "scheduler/cli/fetch.h"

struct pem {
	struct buf key;   /* PKCS#8; secret */
	struct buf cert;  /* the leaf */
	struct buf chain; /* the intermediates */
	int64_t not_before_ms, not_after_ms;
	char serial[41];
};

void pem_release(struct pem *p);
/** Reads and checks that the key is the certificate's. vault NULL: without the key. CF_ENOTFOUND:
 * no certificate yet; CF_EGONE: no such endpoint. */
int pem_fetch(
	struct cli *cli, struct vault *vault, const char *id, struct pem *out, struct why *why);
/** The vault that opens certificates' keys, by the configuration. */
int pem_vault(struct cli *cli, struct vault **out, struct why *why);
/** Writes bytes to DIR/NAME by a temporary file, fsync and rename. CF_EIO. */
int pem_write(const char *dir, const char *name, const struct buf *const *parts, size_t n,
	unsigned mode, struct why *why);
/** Reads the leaf of a PEM file that may hold keys too. CF_ENOTFOUND: no file; CF_EPROTO: no
 * certificate in it. */
struct cert_info;
int pem_read_leaf(const char *path, struct cert_info *out, struct why *why);
