/* loop.h - tests wait for a condition with a deadline, and never sleep for luck. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/** Turns the loop until cond(arg) holds; false if it does not within ms. */
bool loop_until(uv_loop_t *loop, bool (*cond)(void *arg), void *arg, int64_t ms);
/** Until *counter reaches n. */
bool loop_until_count(uv_loop_t *loop, const int *counter, int n, int64_t ms);
/** Turns it for so long, to see that something does not happen. */
void loop_for(uv_loop_t *loop, int64_t ms);
/** Turns it until no handle is left, then closes it; fails the test if that takes 5 s. */
void loop_finish(uv_loop_t *loop);
