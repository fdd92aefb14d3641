// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file at `path` exists, whatever it is and has in it.
 *
 * Inotify tells what happens in the directory that it lies in; where there is none, in the nearest
 * one above that exists. After each message everything is looked at anew, so that it does not
 * matter what exactly happened, nor whether messages were lost. Inotify does not tell everything:
 * a directory further up that is renamed, a change made on another host of a network file
 * system. So there is a timer as well.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/gate.h"
#include "lib/log.h"
#include "policy/kinds.h"

#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |     \
	 IN_ATTRIB | IN_ONLYDIR)
#define POLL 1000    /* ms */
#define POLL_DEAF 50 /* ms, where inotify cannot be had */

struct flag {
	struct gate gate;
	char *path;
	int inotify; /* -1: none */
	int watch;   /* the one that there is, or -1 */
	bool deaf;   /* inotify does not tell what must be known: the timer has to be quick */
	struct event *readable, *timer;
};

static bool exists(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

/* Sets the timer to what inotify leaves to it. */
static int set_timer(struct flag *flag, bool deaf)
{
	struct timeval interval = gate_timeval(deaf ? POLL_DEAF : POLL);

	flag->deaf = deaf;
	return event_add(flag->timer, &interval);
}

/*
 * Watches the nearest directory that exists. Returns the watch, or -1; `*length` is that of its
 * name, and `*problem` the reason if a directory exists but cannot be watched.
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

/* Moves the watch to where it belongs now. */
static void move_watch(struct flag *flag)
{
	size_t length = 0, next_length = 0;
	int problem, next, watch = watch_nearest(flag, &length, &problem);

	/* The next directory may have come into being before the watch was set. */
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
	if (problem && !flag->deaf)
		log_write(LOG_WARNING,
			  "policy '%s': no inotify for '%s': %s; looking every %d ms instead",
			  flag->gate.policy->name, flag->path, strerror(problem), POLL_DEAF);
	if (flag->deaf != (problem != 0))
		set_timer(flag, problem != 0);
}

/* Watches what is to be watched now, then sees whether the file is there. */
static void look(struct flag *flag)
{
	if (flag->inotify >= 0)
		move_watch(flag);
	gate_set(&flag->gate, exists(flag->path));
}

static void timer_fired(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look(context);
}

static void inotify_readable(evutil_socket_t fd, short what, void *context)
{
	char events[4096] __attribute__((aligned(8)));

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		;
	look(context);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	const struct spec_value *path;
	struct flag *flag;

	if (policy_spec_text(spec, "path", &path, error) < 0)
		return -1;
	if (path->text[0] != '/' || path->text[strlen(path->text) - 1] == '/')
		return error_set(error,
				 "%s: policy '%s': path: '%s' is no absolute path of a file; write "
				 "it from the root on, such as /run/xdp-icp/drain",
				 path->where, spec->name, path->text);
	flag = calloc(1, sizeof(*flag));
	if (!flag)
		return error_set(error, "out of memory");
	flag->inotify = -1;
	flag->watch = -1;
	if (gate_create(&flag->gate, policy, spec, error)) {
		free(flag);
		return -1;
	}
	flag->path = strdup(path->text);
	if (!flag->path) {
		free(flag);
		return error_set(error, "out of memory");
	}
	flag->gate.matches = exists(flag->path);
	policy->state = flag;
	return 0;
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct flag *flag = policy->state;

	gate_start(&flag->gate, changed, context);
	flag->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	/* Users have few of them, 128 by default; without one the timer does it all. */
	if (flag->inotify < 0)
		log_write(LOG_WARNING,
			  "policy '%s': no inotify for '%s': %s; looking every %d ms instead",
			  policy->name, flag->path, strerror(errno), POLL_DEAF);
	flag->timer = gate_event_prioritize(event_new(base, -1, EV_PERSIST, timer_fired, flag));
	if (flag->inotify >= 0)
		flag->readable = gate_event_prioritize(event_new(
			base, flag->inotify, EV_READ | EV_PERSIST, inotify_readable, flag));
	if (!flag->timer || set_timer(flag, flag->inotify < 0) ||
	    (flag->inotify >= 0 && (!flag->readable || event_add(flag->readable, NULL))))
		return error_set(error, "policy '%s': cannot watch '%s': out of memory",
				 policy->name, flag->path);
	look(flag);
	return 0;
}

static void destroy(struct policy *policy)
{
	struct flag *flag = policy->state;

	if (flag->timer)
		event_free(flag->timer);
	if (flag->readable)
		event_free(flag->readable);
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
};
