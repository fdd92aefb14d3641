/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Child processes that answer lines, with the habits of Squid's helpers: each reads a line from
 * its standard input and writes one to its standard output. A child has one question at a time, so
 * that a slow one delays no other; those for which no child is idle wait for their turn. A child
 * that ends is started again, after a pause that doubles from one death to the next until it
 * answers. Nothing here blocks.
 *
 * Children have a process group of their own, signals as by default, and of the daemon's files
 * standard error alone.
 */
#ifndef XDP_ICP_HELPER_POOL_H
#define XDP_ICP_HELPER_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "lib/error.h"

#define HELPER_CHILDREN_MAX 64
#define HELPER_QUEUE_BYTES_MAX (1u << 20) /* of memory for questions that wait for a child */
#define HELPER_ANSWER_MAX 4096		  /* bytes of a line that is an answer */
#define HELPER_TIMEOUT_MAX 10000	  /* milliseconds */
#define HELPER_STALL 30000		  /* milliseconds, for programs that may take their time */

struct helper_pool;

/*
 * Takes the answer to a question: a line of `length` bytes without its end, a NUL follows, or NULL
 * if there is none. Called once for each question, from the event loop, never from within
 * helper_pool_ask(). May free the pool if that question was the last.
 */
typedef void (*helper_answer)(void *context, void *question, const char *line, size_t length);

struct helper_settings {
	const char *name;	/* of the policy, for messages; all texts are copied */
	char *const *arguments; /* of the program, itself first; ends with NULL */
	unsigned int children;	/* 1 to HELPER_CHILDREN_MAX */
	unsigned int timeout;	/* milliseconds for an answer, 1 to HELPER_TIMEOUT_MAX */
	unsigned int stall;	/* milliseconds that a child may owe a line; then it is killed */

	/*
	 * What each child is told first, or NULL: `greeting_length` bytes, a question whose line is
	 * dropped. It has HELPER_STALL for that.
	 */
	const char *greeting;
	size_t greeting_length;
};

/*
 * Starts the children. NULL with an error if one cannot be started. SIGPIPE is ignored in the
 * process from then on.
 */
struct helper_pool *helper_pool_new(struct event_base *base, const struct helper_settings *settings,
				    helper_answer answer, void *context, struct error *error);

/*
 * Asks a line of `length` bytes that ends with its only newline. Returns false if nobody can be
 * asked: no child runs, or too many questions wait already.
 */
bool helper_pool_ask(struct helper_pool *pool, const char *line, size_t length, void *question);

/* The process ids of the children that run, at most `max`; returns how many. */
size_t helper_pool_children(const struct helper_pool *pool, int *pids, size_t max);

/*
 * Answers the open questions with nothing and sees the children off while the event loop runs:
 * their input is closed, a second later they are sent SIGTERM, and after another SIGKILL (see
 * helper_children_finish() for the end of the process). NULL is nothing to free.
 */
void helper_pool_free(struct helper_pool *pool);

#endif
