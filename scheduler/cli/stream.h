/* stream.h - reads events of a stream, from where one is on, without a consumer group. */
#pragma once

#include "scheduler/cli/cli.h"

/** One event. Borrowed: everything dies when the callback returns. Texts are cleaned. */
struct stream_entry {
	char stream_id[48];
	char id[300], type[80], source[128], subject[160], time[40];
	const void *data; /* msgpack */
	size_t len;
};

/** From a pair of XRANGE or XREAD: [stream id, [field, value, …]]. Borrows from it. */
void stream_entry_of(const struct reply *pair, struct stream_entry *e);
/** By time and sequence; what is no id counts as the first. */
bool stream_id_before(const char *a, const char *b);

/** Anything but 0 ends the reading and is returned. */
typedef int stream_fn(void *arg, const struct stream_entry *e);

/** The position after the last entry: "0-0" for an empty stream. */
int stream_end(struct cli *cli, const char *stream, char position[64], struct why *why);
/** The stream was trimmed past where one was: entries after `after` and before `first` are gone, if
 * there were any. */
struct stream_gap {
	const char *after, *first; /* borrowed */
};

/** Reads what came after position, waiting up to block_ms for the first (0: does not wait), and
 * moves the position. A gap is told to on_gap, before what came after it. Anything but 0
 * from either ends the reading and is returned. */
typedef int stream_gap_fn(void *arg, const struct stream_gap *gap);
int stream_read(struct cli *cli, const char *stream, char position[64], int64_t block_ms,
	stream_fn *fn, stream_gap_fn *on_gap, void *arg, struct why *why);
/** After a reconnect: a stream that ends before the position was lost and begun anew (a failover, a
 * restart without its data), so the position goes to its beginning, and *rewound says so. */
int stream_resume(
	struct cli *cli, const char *stream, char position[64], bool *rewound, struct why *why);

typedef bool stream_want_fn(void *arg, const struct stream_entry *e);

/** The last n entries that are wanted, oldest first, looking back at most STREAM_BACK_MAX. */
#define STREAM_BACK_MAX 100000
int stream_last(struct cli *cli, const char *stream, size_t n, stream_want_fn *want, stream_fn *fn,
	void *arg, struct why *why);

/** msgpack as JSON; bytes that are no text become base64url. NULL if it cannot be read. */
json_t *stream_data_json(const void *data, size_t len);
/** An event as JSON with CloudEvents attributes. */
json_t *stream_entry_json(const struct stream_entry *e);
/** One line about an event. Pure. */
void stream_entry_line(const struct stream_entry *e, const struct view *view, struct buf *out);
