/* pebble.h - a private Pebble for one test program: on free loopback ports, with a certificate of
 * its own, in a temporary folder. Dies with the test. GOMAXPROCS=1, because 2.10 deadlocks under
 * load otherwise.
 */
#pragma once

struct pebble {
	int pid;
	int port, management_port;
	char folder[64];
	char directory[128]; /* URL */
	char ca_file[128];
};

/** env: "NAME=value", …, NULL. Fails the test if it does not come up. */
void pebble_start(struct pebble *p, const char *const *env);
void pebble_stop(struct pebble *p);
/** For a watchdog: says "Pebble hangs" and has it dump its goroutines to its log. */
void pebble_dump(struct pebble *p);
