// SPDX-License-Identifier: GPL-2.0-or-later
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/trace.h"

#define ENTRIES 1024 /* per interval of the reader */

struct trace_log {
	atomic_bool on;
	pthread_mutex_t lock;
	size_t count;
	struct trace_entry entries[ENTRIES];
};

void trace_entry_name(struct trace_entry *entry, const char *policy)
{
	snprintf(entry->policy, sizeof(entry->policy), "%s", policy);
}

struct trace_log *trace_log_new(void)
{
	struct trace_log *log = calloc(1, sizeof(*log));

	if (log)
		pthread_mutex_init(&log->lock, NULL);
	return log;
}

void trace_log_free(struct trace_log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void trace_log_enable(struct trace_log *log, bool on)
{
	pthread_mutex_lock(&log->lock);
	log->count = 0;
	pthread_mutex_unlock(&log->lock);
	atomic_store_explicit(&log->on, on, memory_order_relaxed);
}

bool trace_log_enabled(const struct trace_log *log)
{
	return log && atomic_load_explicit(&log->on, memory_order_relaxed);
}

bool trace_log_put(struct trace_log *log, const struct trace_entry *entry)
{
	bool room;

	pthread_mutex_lock(&log->lock);
	room = log->count < ENTRIES;
	if (room)
		log->entries[log->count++] = *entry;
	pthread_mutex_unlock(&log->lock);
	return room;
}

size_t trace_log_consume(struct trace_log *log,
			 void (*take)(void *context, struct trace_entry *entry), void *context)
{
	size_t count;

	pthread_mutex_lock(&log->lock);
	count = log->count;
	for (size_t i = 0; i < count; i++)
		take(context, &log->entries[i]);
	log->count = 0;
	pthread_mutex_unlock(&log->lock);
	return count;
}
