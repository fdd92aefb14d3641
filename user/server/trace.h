/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon itself does with queries, kept for `icpctl trace` until somebody reads it: so
 * many records and no more, whatever comes in. Any thread may put records in.
 */
#ifndef XDP_ICP_TRACE_LOG_H
#define XDP_ICP_TRACE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"

enum trace_decider {
	TRACE_BY_NOBODY, /* not answered, or not as anybody had decided */
	TRACE_BY_DRAIN,
	TRACE_BY_RULE,
	TRACE_BY_POLICY,
	TRACE_BY_DEFAULT,
	TRACE_BY_FORMER, /* something of a chain that counts no more */
};

/* A record, and who it is from. */
struct trace_entry {
	struct trace_record record; /* of it, rank and generation are the kernel's alone */
	bool by_kernel;
	enum trace_decider decider;
	char policy[256]; /* the name of that policy, which may be cut, and a NUL */
};

void trace_entry_name(struct trace_entry *entry, const char *policy);

struct trace_log;

/* NULL: out of memory. It takes nothing before trace_log_switch(). */
struct trace_log *trace_log_new(void);
void trace_log_free(struct trace_log *log);

/* Whether somebody traces. */
void trace_log_switch(struct trace_log *log, bool on);
bool trace_log_is_on(const struct trace_log *log);

/* Takes a copy. False: there is no room. */
bool trace_log_put(struct trace_log *log, const struct trace_entry *entry);

/* Hands out what has come in since it was called last; returns how many were handed out. */
size_t trace_log_take(struct trace_log *log, void (*take)(void *context, struct trace_entry *entry),
		      void *context);

#endif
