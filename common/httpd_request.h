/* httpd_request.h - a request as httpd.c and httpd_request.c know it. Everyone else uses httpd.h.
 */
#pragma once

#include "common/httpd.h"

#include <microhttpd.h>

struct listener;

struct httpd_request {
	struct httpd_request *next, *prev; /* in httpd.requests while a handler has it */
	struct listener *listener;
	struct MHD_Connection *conn;   /* NULL: detached */
	struct MHD_Response *response; /* waits to be queued */
	const struct httpd_route *route;
	unsigned status;
	enum httpd_method method;
	bool head, suspended, handed, too_big;
	size_t rest; /* offset of the path's rest */
	struct buf body;
	size_t received; /* of the body, also what was thrown away */
	struct addr remote;
	char *path;
};

/** The answer is ready: queued by the caller if the handler still runs, else by the loop. Takes
 * over response. */
void httpd_settle(struct httpd_request *r, unsigned status, struct MHD_Response *response);
/** Goes on with a suspended connection when the loop next runs. */
void httpd_resume(struct listener *l, struct MHD_Connection *conn);
/** Where the listener's server keeps its streams. */
struct httpd_stream **httpd_streams(struct listener *l);
/** Tells all of a server's streams that it is over. */
void httpd_streams_close(struct httpd_stream *first);
