/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A child process with pipes to its standard input and output. */
#ifndef XDP_ICP_HELPER_CHILD_H
#define XDP_ICP_HELPER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "lib/error.h"

/* A callback for the end of a process; `how` is such as "ended with exit code 1". */
typedef void (*helper_child_ended)(void *context, pid_t pid, const char *how);

struct helper_child {
	pid_t pid;		    /* leads a session and a process group */
	struct bufferevent *input;  /* to the child's standard input */
	struct bufferevent *output; /* from the child's standard output */
	struct helper_process *process;
};

/*
 * Start the program that `arguments` names; no callbacks are set on its pipes yet. When its process
 * exits, `output` reaches its end. -1 with an error that begins with the program's name.
 */
int helper_child_start(struct helper_child *child, struct event_base *base, char *const *arguments,
		       struct error *error);

struct helper_run {
	char *const *arguments; /* of the program, itself first; ends with NULL */
	const void *input;	/* for its standard input, `input_length` bytes */
	size_t input_length;
	unsigned int timeout; /* milliseconds */
};

/*
 * Run a program, read the first line of its output (or up to its end), at most `size` - 1 bytes, to
 * which a NUL is added, and kill its process group. Blocks for at most `timeout`. -1 with an error
 * that begins with the program's name.
 */
int helper_run(const struct helper_run *run, char *output, size_t size, struct error *error);

enum helper_child_stop {
	CHILD_STOP_GRACEFUL, /* let it finish its request */
	CHILD_STOP_KILL,     /* send SIGKILL at once */
};

/*
 * Close the pipes and stop the process while the event loop runs: if it has not exited a second
 * later, its group gets SIGTERM, and after another second SIGKILL.
 */
void helper_child_stop(struct helper_child *child, enum helper_child_stop how);

/*
 * Likewise for a process that seems to have exited by itself: `ended` is called once it has, now or
 * from the event loop, unless helper_child_forget() is called with `context` first.
 */
void helper_child_await_end(struct helper_child *child, helper_child_ended ended, void *context);
void helper_child_forget(const void *context);

/*
 * Wait for the children that are being stopped, within the time limits of helper_child_stop(); for
 * the end of the daemon. Must be called before `base` is freed.
 */
void helper_children_finish(struct event_base *base);

#endif
