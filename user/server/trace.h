/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of what the daemon does with queries, stored for `icpctl trace` until they are read. The
 * number is bounded. Any thread may insert records.
 */
#ifndef XDP_ICP_TRACE_LOG_H
#define XDP_ICP_TRACE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"

enum trace_decider {
	TRACE_BY_NONE, /* no reply, or one that was not decided, such as ERR */
	TRACE_BY_DRAIN,
	TRACE_BY_RULE,
	TRACE_BY_POLICY,
	TRACE_BY_DEFAULT,
	TRACE_BY_PREVIOUS_CHAIN, /* a policy of a chain that has been replaced */
};

/* A record and its origin. */
struct trace_entry {
	struct trace_record record; /* `rank` and `generation` are set by the kernel only */
	bool by_kernel;
	enum trace_decider decider;
	char policy[256]; /* NUL-terminated, possibly truncated */
};

void trace_entry_name(struct trace_entry *entry, const char *policy);

struct trace_log;

/* Return NULL without memory. Nothing is recorded before trace_log_enable(). */
struct trace_log *trace_log_new(void);
void trace_log_free(struct trace_log *log);

/* Discard all records, and record from now on or no longer. */
void trace_log_enable(struct trace_log *log, bool on);
bool trace_log_enabled(const struct trace_log *log);

/* Insert a copy. Return false if the log is full. */
bool trace_log_put(struct trace_log *log, const struct trace_entry *entry);

/* Call `take` with all records and remove them; return their number. */
size_t trace_log_consume(struct trace_log *log,
			 void (*take)(void *context, struct trace_entry *entry), void *context);

#endif
