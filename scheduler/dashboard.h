/* dashboard.h - the files of dashboard/, which the build puts into the binary, and their answers.
 *
 * Pages are one file, index.html, whatever their address; assets are known by their name. Nothing
 * but our own files is ever loaded: a strict Content-Security-Policy says so.
 */
#pragma once

#include "common/httpd.h"

#include <stddef.h>

struct dashboard_file {
	const char *name, *type, *etag;
	const unsigned char *bytes;
	size_t len;
};

extern const struct dashboard_file dashboard_files[];
extern const size_t dashboard_files_n;

/** Answers with the page. */
void dashboard_page(struct httpd_request *r);
/** Answers with the asset of this name, or 404. */
void dashboard_asset(struct httpd_request *r, const char *name);
