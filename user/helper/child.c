// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "helper/child.h"
#include "lib/log.h"

/* A process from its start until it is reaped. */
struct helper_body {
	LIST_ENTRY(helper_body) link;
	pid_t pid;
	int fd; /* of the process; readable when it has ended */
	struct event *ended;
	struct event *impatience;
	int next_signal;
	bool reaped;
	bool parted;
	bool mourned; /* how it ended is to be logged */
};

/* All there are: a process must be reaped whoever has let go of it. */
static LIST_HEAD(helper_bodies, helper_body) bodies = LIST_HEAD_INITIALIZER(bodies);

static const struct timeval patience = { .tv_sec = 1 };

static void body_free(struct helper_body *body)
{
	LIST_REMOVE(body, link);
	if (body->ended)
		event_free(body->ended);
	if (body->impatience)
		event_free(body->impatience);
	if (body->fd >= 0)
		close(body->fd);
	free(body);
}

static void body_signal(const struct helper_body *body, int number)
{
	/* The number of a process that is not reaped is nobody else's. */
	if (!body->reaped)
		kill(-body->pid, number);
}

static void tell(const struct helper_body *body, int status)
{
	if (WIFSIGNALED(status))
		log_write(LOG_WARNING, "helper, process %d: ended by signal %d, %s", body->pid,
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_write(LOG_WARNING, "helper, process %d: ended with exit code %d", body->pid,
			  WEXITSTATUS(status));
}

static bool body_reap(struct helper_body *body)
{
	siginfo_t info = { 0 };
	int status;

	if (body->reaped || waitid(P_PID, body->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	    info.si_pid == 0)
		return false;
	/* What it started and left goes with it, and lets go of the pipes. */
	body_signal(body, SIGTERM);
	waitpid(body->pid, &status, WNOHANG);
	body->reaped = true;
	event_del(body->ended);
	if (!body->parted || body->mourned)
		tell(body, status);
	return true;
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct helper_body *body = context;

	(void)fd;
	(void)what;
	if (body_reap(body) && body->parted)
		body_free(body);
}

static void on_impatience(evutil_socket_t fd, short what, void *context)
{
	struct helper_body *body = context;

	(void)fd;
	(void)what;
	body_signal(body, body->next_signal);
	if (body->next_signal == SIGKILL)
		return;
	body->next_signal = SIGKILL;
	event_add(body->impatience, &patience);
}

static int spawn(pid_t *pid, char *const *arguments, int input, int output)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	int result;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	result = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (!result)
		result = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!result)
		result = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	if (!result)
		result = posix_spawn(pid, arguments[0], &actions, &attributes, arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return result;
}

static void close_both(int pipe[2])
{
	if (pipe[0] >= 0)
		close(pipe[0]);
	if (pipe[1] >= 0)
		close(pipe[1]);
}

/* Takes over the file, which is closed if there is no memory. */
static struct bufferevent *open_stream(struct event_base *base, int fd)
{
	struct bufferevent *stream;

	evutil_make_socket_nonblocking(fd);
	stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!stream)
		close(fd);
	return stream;
}

static struct helper_body *body_new(struct event_base *base, pid_t pid)
{
	struct helper_body *body = calloc(1, sizeof(*body));

	if (!body)
		return NULL;
	body->pid = pid;
	body->next_signal = SIGTERM;
	body->fd = syscall(SYS_pidfd_open, pid, 0);
	LIST_INSERT_HEAD(&bodies, body, link);
	if (body->fd >= 0) {
		fcntl(body->fd, F_SETFD, FD_CLOEXEC);
		body->ended = event_new(base, body->fd, EV_READ | EV_PERSIST, on_ended, body);
		body->impatience = evtimer_new(base, on_impatience, body);
	}
	if (body->ended && body->impatience && event_add(body->ended, NULL) == 0)
		return body;
	body_free(body);
	return NULL;
}

int helper_child_start(struct helper_child *child, struct event_base *base, char *const *arguments,
		       struct error *error)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	int result;

	*child = (struct helper_child){ 0 };
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		result = errno;
	else
		result = spawn(&child->pid, arguments, in[0], out[1]);
	if (result) {
		close_both(in);
		close_both(out);
		return error_set(error, "%s: %s", arguments[0], strerror(result));
	}
	close(in[0]);
	close(out[1]);
	child->input = open_stream(base, in[1]);
	child->output = open_stream(base, out[0]);
	child->body = body_new(base, child->pid);
	if (child->input && child->output && child->body)
		return 0;
	if (child->body) {
		helper_child_part(child, HELPER_PART_KINDLY);
	} else {
		kill(-child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		if (child->input)
			bufferevent_free(child->input);
		if (child->output)
			bufferevent_free(child->output);
	}
	return error_set(error, "%s: cannot be watched: %s", arguments[0], strerror(errno));
}

void helper_child_part(struct helper_child *child, enum helper_parting how)
{
	struct helper_body *body = child->body;

	if (child->input)
		bufferevent_free(child->input);
	if (child->output)
		bufferevent_free(child->output);
	*child = (struct helper_child){ 0 };
	body->parted = true;
	body->mourned = how != HELPER_PART_KINDLY;
	if (body->reaped) {
		body_free(body);
		return;
	}
	if (how == HELPER_PART_KILL)
		body_signal(body, SIGKILL);
	event_add(body->impatience, &patience);
}

/* A file descriptor to read the bytes from. -1 with errno. */
static int open_input(const void *bytes, size_t length)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	close(fd);
	return -1;
}

static int64_t milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

/* Returns 0, or what went wrong as a value of errno. */
static int read_line(int fd, unsigned int timeout, char *output, size_t size)
{
	const int64_t end = milliseconds() + timeout;
	size_t length = 0;

	output[0] = '\0';
	while (length < size - 1 && !strchr(output, '\n')) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int64_t left = end - milliseconds();
		ssize_t count;

		if (left <= 0)
			return ETIMEDOUT;
		if (poll(&poll_fd, 1, (int)left) <= 0)
			continue;
		count = read(fd, output + length, size - 1 - length);
		if (count <= 0)
			return count ? errno : 0;
		length += count;
		output[length] = '\0';
	}
	return 0;
}

int helper_run(const struct helper_run *run, char *output, size_t size, struct error *error)
{
	int out[2] = { -1, -1 }, in = open_input(run->input, run->input_length);
	int result = 0;
	pid_t pid = 0;

	if (in < 0 || pipe2(out, O_CLOEXEC))
		result = errno;
	if (!result)
		result = spawn(&pid, run->arguments, in, out[1]);
	if (in >= 0)
		close(in);
	if (out[1] >= 0)
		close(out[1]);
	if (!result) {
		result = read_line(out[0], run->timeout, output, size);
		kill(-pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (out[0] >= 0)
		close(out[0]);
	if (result == ETIMEDOUT)
		return error_set(error, "%s: no line in %u ms", run->arguments[0], run->timeout);
	return result ? error_set(error, "%s: %s", run->arguments[0], strerror(result)) : 0;
}

static void on_over(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	*(bool *)context = true;
}

void helper_children_finish(struct event_base *base)
{
	const struct timeval all = { .tv_sec = 3 }; /* SIGTERM, SIGKILL, and a second for that */
	struct helper_body *body;
	struct event *limit;
	bool over = false;

	if (LIST_EMPTY(&bodies))
		return;
	limit = evtimer_new(base, on_over, &over);
	if (!limit || event_add(limit, &all))
		over = true;
	while (!LIST_EMPTY(&bodies) && !over && event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	if (limit)
		event_free(limit);
	while ((body = LIST_FIRST(&bodies))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow LIST_REMOVE */
		struct pollfd end = { .fd = body->fd, .events = POLLIN };

		body_signal(body, SIGKILL);
		if (!body->reaped)
			poll(&end, 1, 1000);
		body_reap(body);
		body_free(body);
	}
}
