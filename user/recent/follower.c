// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A log that has been renamed is read for some time beside the new one: a program may write to it until
 * it is told to open its log again, and a while longer.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/event.h"
#include "lib/regular_file.h"
#include "recent/follower.h"
#include "recent/line.h"
#include "recent/turn.h"

#define POLL 50		 /* ms */
#define LOOKS_A_PATH 5	 /* polls for each look at what the path names now */
#define FORMER_POLLS 200 /* for which a renamed log is still read */
#define READ_SIZE 16384	 /* bytes at once */

/* An open file, read up to `offset`; what has been read of an incomplete line is in the buffer. */
struct tail {
	int fd; /* -1: none */
	off_t offset;
	bool skips;    /* up to the next newline */
	size_t length; /* bytes in the buffer */
	char buffer[RECENT_LINE_MAX + READ_SIZE];
};

struct follower {
	char *path;
	bool history; /* begin with the last part of what is in the log */
	bool begun;   /* what was in the log is known */
	follower_line line;
	void (*changed)(void *context);
	void *context;
	struct event *poll;
	struct tail current, former;
	unsigned int polls;	   /* until the path is looked at */
	unsigned int former_polls; /* until the renamed log is closed */
	enum follower_state state;
	struct error why;
};

/* --- opening */

static void set_state(struct follower *follower, enum follower_state state)
{
	if (follower->state == state)
		return;
	follower->state = state;
	follower->changed(follower->context);
}

/* Open the log. Returns -1 if there is none that can be read; the state then tells. */
static int open_log(struct follower *follower)
{
	int fd = regular_file_descriptor(follower->path, SIZE_MAX, &follower->why);

	if (fd >= 0)
		set_state(follower, FOLLOWER_READS);
	else if (errno == ENOENT)
		set_state(follower, FOLLOWER_WAITS);
	else
		set_state(follower, FOLLOWER_CANNOT);
	return fd;
}

static void begin_tail(struct tail *tail, int fd, off_t offset)
{
	tail->fd = fd;
	tail->offset = offset;
	tail->skips = false;
	tail->length = 0;
}

static void end_tail(struct tail *tail)
{
	if (tail->fd >= 0)
		close(tail->fd);
	tail->fd = -1;
}

/* Begin with the last `most` bytes of what is in the file. */
static void begin_last(struct tail *tail, int fd, off_t most)
{
	struct stat status;
	off_t size = fstat(fd, &status) == 0 ? status.st_size : 0;

	begin_tail(tail, fd, size > most ? size - most : 0);
	/* This may be in the middle of a line, whose rest is no line. */
	if (tail->offset > 0) {
		tail->offset--;
		tail->skips = true;
	}
}

static void begin_first(struct follower *follower, int fd)
{
	begin_last(&follower->current, fd, follower->history ? FOLLOWER_HISTORY_MAX : 0);
}

/* Does the path name another file than the one that is read? */
static bool is_replaced(const struct follower *follower)
{
	struct stat named, open;

	return stat(follower->path, &named) == 0 && fstat(follower->current.fd, &open) == 0 &&
	       (named.st_dev != open.st_dev || named.st_ino != open.st_ino);
}

/* Look at what the path names now. */
static void look(struct follower *follower)
{
	bool could = follower->state != FOLLOWER_CANNOT;
	int fd;

	if (follower->current.fd >= 0 && !is_replaced(follower)) {
		set_state(follower, FOLLOWER_READS);
		return;
	}
	fd = open_log(follower);
	if (fd < 0)
		return;
	if (follower->current.fd >= 0) {
		end_tail(&follower->former);
		follower->former = follower->current;
		follower->former_polls = FORMER_POLLS;
	}
	if (could)
		begin_tail(&follower->current, fd, 0);
	else
		begin_first(follower, fd); /* it may have been there for long */
}

/* --- reading */

static void tell_line(const struct follower *follower, struct tail *tail, size_t begin, size_t end)
{
	if (tail->skips)
		tail->skips = false;
	else if (end - begin > RECENT_LINE_MAX)
		follower->line(follower->context, NULL, 0);
	else
		follower->line(follower->context, tail->buffer + begin, end - begin);
}

/* What is in the buffer is no whole line. */
static void check_length(const struct follower *follower, struct tail *tail)
{
	if (!tail->skips && tail->length > RECENT_LINE_MAX) {
		follower->line(follower->context, NULL, 0);
		tail->skips = true;
	}
	if (tail->skips)
		tail->length = 0;
}

/*
 * Process the lines in the buffer as far as the turn allows, but one at least. Returns false if some
 * are left.
 */
static bool process(const struct follower *follower, struct tail *tail, const struct turn *turn)
{
	const char *newline;
	size_t begin = 0;
	bool over = false;

	while ((newline = memchr(tail->buffer + begin, '\n', tail->length - begin)) && !over) {
		tell_line(follower, tail, begin, newline - tail->buffer);
		begin = newline - tail->buffer + 1;
		over = turn_is_over(turn);
	}
	tail->length -= begin;
	memmove(tail->buffer, tail->buffer + begin, tail->length);
	if (!newline)
		check_length(follower, tail);
	return !newline;
}

/* A log that has become shorter was truncated: begin again. */
static void check_size(struct tail *tail)
{
	struct stat status;

	if (fstat(tail->fd, &status) == 0 && status.st_size < tail->offset)
		begin_tail(tail, tail->fd, 0);
}

/* Read on. Returns false if there may be more. */
static bool read_tail(const struct follower *follower, struct tail *tail, const struct turn *turn)
{
	ssize_t got;

	if (tail->fd < 0)
		return true;
	check_size(tail);
	while (process(follower, tail, turn)) {
		got = pread(tail->fd, tail->buffer + tail->length, READ_SIZE, tail->offset);
		if (got <= 0)
			return true;
		tail->length += got;
		tail->offset += got;
		if (turn_is_over(turn))
			break;
	}
	return false;
}

static void on_poll(evutil_socket_t fd, short what, void *context)
{
	struct timeval wait = { .tv_usec = POLL * 1000 };
	struct turn turn = turn_begin();
	struct follower *follower = context;
	bool done;

	if (follower->polls-- == 0) {
		follower->polls = LOOKS_A_PATH - 1;
		look(follower);
	}
	done = read_tail(follower, &follower->current, &turn) &&
	       read_tail(follower, &follower->former, &turn);
	if (!done)
		wait = turn_rest(&turn);
	else if (follower->former.fd >= 0 && follower->former_polls-- == 0)
		end_tail(&follower->former);
	event_add(follower->poll, &wait);
}

/* --- creation */

/* If the log's group may read it, recommend to join that. `reason` is the errno of open(). */
static void add_remedy(const char *path, int reason, struct error *error)
{
	const struct group *group;
	const struct passwd *user;
	struct error why = *error;
	struct stat status;

	if (reason != EACCES)
		return;
	user = getpwuid(geteuid());
	group = stat(path, &status) == 0 && status.st_mode & S_IRGRP ? getgrgid(status.st_gid)
								     : NULL;
	if (group && user)
		error_set(error,
			  "%s; make the daemon's user a member of its group, `usermod -aG %s %s`, "
			  "and restart the daemon",
			  why.text, group->gr_name, user->pw_name);
	else
		error_set(error, "%s; let the daemon's user read it", why.text);
}

struct follower *follower_new(const struct follower_settings *settings, struct error *error)
{
	struct follower *made = calloc(1, sizeof(*made));
	int fd;

	if (made)
		made->path = strdup(settings->path);
	if (!made || !made->path) {
		free(made);
		error_set(error, "out of memory");
		return NULL;
	}
	made->history = settings->history;
	made->line = settings->line;
	made->changed = settings->changed;
	made->context = settings->context;
	made->current.fd = made->former.fd = -1;
	made->state = FOLLOWER_WAITS;
	fd = regular_file_descriptor(settings->path, SIZE_MAX, error);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || errno == ENOENT)
		return made;
	add_remedy(settings->path, errno, error);
	error_prefix(error, "%s: cannot read the log: ", settings->path);
	follower_free(made);
	return NULL;
}

int follower_start(struct follower *follower, struct event_base *base)
{
	int fd;

	follower->poll = evtimer_new(base, on_poll, follower);
	if (!follower->poll)
		return -1;
	if (!follower->begun) {
		fd = open_log(follower);
		if (fd >= 0)
			begin_first(follower, fd);
	}
	follower->begun = true;
	event_active(follower->poll, EV_TIMEOUT, 0);
	return 0;
}

static void copy_tail(struct tail *tail, const struct tail *other)
{
	*tail = *other;
	if (other->fd >= 0)
		tail->fd = fcntl(other->fd, F_DUPFD_CLOEXEC, 0);
}

void follower_inherit(struct follower *follower, const struct follower *other)
{
	copy_tail(&follower->current, &other->current);
	copy_tail(&follower->former, &other->former);
	follower->former_polls = other->former_polls;
	follower->state = other->state;
	follower->why = other->why;
	/* Without a descriptor, which is improbable, only new lines are read. */
	follower->begun = (follower->current.fd >= 0) == (other->current.fd >= 0);
	follower->history = follower->begun && follower->history && other->history;
}

/* Programs may write to a renamed log for some time to come: that goes on to be read. */
void follower_skip(struct follower *follower)
{
	follower->history = false;
	if (!follower->begun)
		return;
	look(follower);
	if (follower->former.fd >= 0)
		begin_last(&follower->former, follower->former.fd, 0);
	if (follower->current.fd >= 0)
		begin_last(&follower->current, follower->current.fd, 0);
}

const char *follower_path(const struct follower *follower)
{
	return follower->path;
}

enum follower_state follower_state(const struct follower *follower, const char **why)
{
	*why = follower->state == FOLLOWER_CANNOT ? follower->why.text : "";
	return follower->state;
}

void follower_free(struct follower *follower)
{
	if (!follower)
		return;
	event_drop(follower->poll);
	end_tail(&follower->current);
	end_tail(&follower->former);
	free(follower->path);
	free(follower);
}
