// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Matches while a file at `path` exists, regardless of its type and contents.
 *
 * Inotify watches the file's directory or, if that does not exist, the nearest existing ancestor.
 * Each event causes the whole path to be checked again, so neither the event's type nor lost events
 * matter. Inotify misses some changes: the renaming of a directory further up, or a change made by
 * another host of a network file system. Therefore a timer checks the path as well.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/gate.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"
#include "policy/kinds.h"

#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |     \
	 IN_ATTRIB | IN_ONLYDIR)
#define POLL 1000    /* ms */
#define POLL_FAST 50 /* ms, without inotify */

struct flag {
	struct gate gate;
	char *path;
	int inotify; /* -1: none */
	int watch;   /* the current watch, or -1 */
	bool polls;  /* no inotify: the timer is the only source of changes */
	int unseen;  /* errno of stat(), if it did not tell whether the file exists; else 0 */
	struct event *readable, *timer;
};

/* A file below a directory that the daemon's user may not search counts as missing. */
static bool exists(struct flag *flag)
{
	struct stat status;
	bool found = stat(flag->path, &status) == 0;

	flag->unseen = found || errno == ENOENT || errno == ENOTDIR ? 0 : errno;
	return found;
}

/* Set the interval of the timer. */
static int set_timer(struct flag *flag, bool polls)
{
	struct timeval interval = clock_timeval(polls ? POLL_FAST : POLL);

	flag->polls = polls;
	return event_add(flag->timer, &interval);
}

/*
 * Watch the nearest existing directory. Returns the watch, or -1; sets `*length` to that of the
 * directory's name, and `*problem` to the errno if a directory exists but cannot be watched.
 */
static int watch_nearest(const struct flag *flag, size_t *length, int *problem)
{
	char *path = strdup(flag->path), *slash;
	int watch = -1;

	*problem = path ? 0 : ENOMEM;
	while (path && watch < 0 && (slash = strrchr(path, '/'))) {
		*slash = '\0';
		*length = slash - path;
		watch = inotify_add_watch(flag->inotify, *path ? path : "/", EVENTS);
		if (watch < 0 && errno != ENOENT && errno != ENOTDIR && !*problem)
			*problem = errno;
	}
	free(path);
	return watch;
}

/* Move the watch to the directory that is now the nearest. */
static void move_watch(struct flag *flag)
{
	size_t length = 0, next_length = 0;
	int problem, next, watch = watch_nearest(flag, &length, &problem);

	/* A nearer directory may have been created before the watch was set. */
	while (watch >= 0) {
		next = watch_nearest(flag, &next_length, &problem);
		if (next == watch && next_length == length)
			break;
		if (next != watch)
			inotify_rm_watch(flag->inotify, watch);
		watch = next;
		length = next_length;
	}
	if (flag->watch >= 0 && flag->watch != watch)
		inotify_rm_watch(flag->inotify, flag->watch);
	flag->watch = watch;
	if (problem && !flag->polls)
		log_write(LOG_WARNING,
			  "policy '%s': no inotify for '%s': %s; polling every %d ms instead",
			  flag->gate.policy->name, flag->path, strerror(problem), POLL_FAST);
	if (flag->polls != (problem != 0))
		set_timer(flag, problem != 0);
}

/* Update the watch before the gate: no change may fall between the two. */
static void update(struct flag *flag)
{
	if (flag->inotify >= 0)
		move_watch(flag);
	gate_set(&flag->gate, exists(flag));
}

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
	update(context);
}

static void inotify_readable(evutil_socket_t fd, short what, void *context)
{
	char events[4096] __attribute__((aligned(8)));

	while (read(fd, events, sizeof(events)) > 0)
		;
	update(context);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	const struct spec_value *path;
	struct flag *flag;

	if (policy_spec_text(spec, "path", &path, error) < 0)
		return -1;
	if (path->text[0] != '/' || path->text[strlen(path->text) - 1] == '/')
		return error_set(
			error,
			"%s: policy '%s': path: '%s' is not the absolute path of a file; write "
			"it from the root on, such as /run/xdp-icp/drain",
			path->where, spec->name, path->text);
	flag = gate_create(policy, spec, sizeof(*flag), error);
	if (!flag)
		return -1;
	flag->inotify = -1;
	flag->watch = -1;
	flag->path = strdup(path->text);
	if (!flag->path)
		return error_set(error, "out of memory");
	flag->gate.matches = exists(flag);
	return 0;
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct flag *flag = policy->state;

	gate_start(&flag->gate, changed, context);
	flag->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	/* The number of inotify instances per user is limited, 128 by default. */
	if (flag->inotify < 0)
		log_write(LOG_WARNING,
			  "policy '%s': no inotify for '%s': %s; polling every %d ms instead",
			  policy->name, flag->path, strerror(errno), POLL_FAST);
	flag->timer = gate_event_prioritize(event_new(base, -1, EV_PERSIST, timer_fired, flag));
	if (flag->inotify >= 0)
		flag->readable = gate_event_prioritize(event_new(
			base, flag->inotify, EV_READ | EV_PERSIST, inotify_readable, flag));
	if (!flag->timer || set_timer(flag, flag->inotify < 0) ||
	    (flag->inotify >= 0 && (!flag->readable || event_add(flag->readable, NULL))))
		return error_set(error, "policy '%s': cannot watch '%s': out of memory",
				 policy->name, flag->path);
	update(flag);
	return 0;
}

static void inherit(struct policy *policy, const struct policy *old)
{
	struct flag *flag = policy->state;
	const struct flag *before = old->state;

	if (strcmp(flag->path, before->path) == 0)
		gate_inherit(&flag->gate, &before->gate);
}

static void tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct flag *flag = policy->state;

	gate_tell(&flag->gate, "set", "not set", state);
	state->trouble = flag->unseen;
	if (flag->unseen)
		snprintf(state->why, sizeof(state->why), "%s: %s", flag->path,
			 strerror(flag->unseen));
	else
		snprintf(state->why, sizeof(state->why), "%s%s", flag->path,
			 flag->gate.matches ? " exists" : " does not exist");
}

static void destroy(struct policy *policy)
{
	struct flag *flag = policy->state;

	event_drop(flag->timer);
	event_drop(flag->readable);
	if (flag->inotify >= 0)
		close(flag->inotify);
	free(flag->path);
	free(flag);
}

static const struct policy_setting settings[] = {
	{ "path", "absolute path of the file; its directories need not exist yet",
	  .required = true },
	{ NULL },
};

const struct policy_kind policy_flag = {
	.name = "flag",
	.help = "the file at 'path' exists",
	.basis = POLICY_BASIS_HOST,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = gate_match,
	.start = start,
	.inherit = inherit,
	.tell_state = tell_state,
};
