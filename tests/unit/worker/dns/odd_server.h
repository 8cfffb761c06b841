/* odd_server.h - a name server that misbehaves on purpose, in the test's own loop: UDP and TCP on
 * one port.
 *
 * The question's first label says what it does; it counts what it gets. The second label makes
 * names differ.
 */
#pragma once

#include "common/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct odd_server {
	struct addr address;
	size_t udp, tcp;            /* questions seen */
	size_t drop;                /* so many UDP questions more are not answered */
	bool refuse;                /* answers REFUSED to everything */
	uint16_t asked_from[65536]; /* UDP questions by their port */

	/* Private. */
	uv_poll_t udp_poll, listen_poll, conn_poll;
	int udp_fd, listen_fd, conn_fd;
};

void odd_server_start(struct odd_server *s, uv_loop_t *loop);
void odd_server_stop(struct odd_server *s);
