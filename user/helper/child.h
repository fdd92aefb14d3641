/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A child process with pipes to its standard input and output. */
#ifndef XDP_ICP_HELPER_CHILD_H
#define XDP_ICP_HELPER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "lib/error.h"

struct helper_child {
	pid_t pid;		    /* leads a process group */
	struct bufferevent *input;  /* what is written there the child reads */
	struct bufferevent *output; /* what the child writes */
	struct helper_body *body;   /* the process itself */
};

/*
 * Starts the program that `arguments` names, without callbacks on its pipes yet. If its process
 * ends, so does its output. -1 with an error that begins with the program's name.
 */
int helper_child_start(struct helper_child *child, struct event_base *base, char *const *arguments,
		       struct error *error);

struct helper_run {
	char *const *arguments; /* of the program, itself first; ends with NULL */
	const void *input;	/* what it reads from its standard input, `input_length` bytes */
	size_t input_length;
	unsigned int timeout; /* milliseconds */
};

/*
 * Runs a program and waits for the first line of its output, or the end of it, at most
 * `size` - 1 bytes with a NUL behind them; then kills its process group. Blocks for `timeout` at
 * most. -1 with an error that begins with the program's name.
 */
int helper_run(const struct helper_run *run, char *output, size_t size, struct error *error);

enum helper_parting {
	HELPER_PART_KINDLY, /* it may finish what it does */
	HELPER_PART_ENDED,  /* it has ended by itself, and how it did is logged */
	HELPER_PART_KILL,   /* it is ended by SIGKILL, which is logged */
};

/*
 * Closes the pipes and sees the process off while the event loop runs: if that is not enough for
 * it to end, by SIGTERM to its whole group after a second, and SIGKILL after another.
 */
void helper_child_part(struct helper_child *child, enum helper_parting how);

/*
 * For the end of the process: waits for those that are being seen off, no longer than they are
 * given. Has to be called before `base` is freed.
 */
void helper_children_finish(struct event_base *base);

#endif
