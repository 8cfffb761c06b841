/* net_aid.h - sockets for tests, driven by the test's own loop: no threads, and no sleeping for
 * luck. */
#pragma once

#include "common/addr.h"
#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define NET_AID_DEADLINE_MS 10000

/** Turns the loop until done(arg) says so; fails the test after NET_AID_DEADLINE_MS. */
void aid_until(uv_loop_t *loop, bool (*done)(void *arg), void *arg);
/** The same for a flag. */
void aid_until_flag(uv_loop_t *loop, const bool *flag);
/** Turns the loop a few times without waiting. */
void aid_turn(uv_loop_t *loop);
/** Closes whatever was left and the loop; fails the test if a handle stays open. */
void aid_loop_end(uv_loop_t *loop);

/** A connected, non-blocking stream socket. */
int aid_connect(const struct addr *to);
/** A UDP socket on a free port of the same family, connected. */
int aid_udp(const struct addr *to);
void aid_send(int fd, const void *bytes, size_t n);
void aid_sends(int fd, const char *text);
/** Turns the loop until at least n bytes came, the text `until` is in them, or the peer closed.
 * Appends to in. */
void aid_read(uv_loop_t *loop, int fd, struct buf *in, size_t n, const char *until);
/** Turns the loop until the peer has closed; true if nothing but the end came. */
bool aid_read_end(uv_loop_t *loop, int fd);
