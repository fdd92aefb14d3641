// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper/child.h"
#include "lib/clock.h"
#include "lib/event.h"

/* A process from its start until it is reaped. */
struct helper_process {
	LIST_ENTRY(helper_process) link;
	pid_t pid;
	int fd; /* a pidfd, readable when the process has exited */
	struct event *exit_event;
	struct event *kill_timer;
	int next_signal; /* of the timer: SIGTERM, then SIGKILL */
	bool reaped;
	int status;		  /* of waitpid(), once reaped */
	bool stopping;		  /* its struct helper_child is gone: free this once reaped */
	helper_child_ended ended; /* NULL: not called */
	void *context;
};

/* All of them: a process must be reaped even if its child has been stopped. */
static LIST_HEAD(helper_processes, helper_process) processes = LIST_HEAD_INITIALIZER(processes);

static const struct timeval kill_delay = { .tv_sec = 1 };

static void process_free(struct helper_process *process)
{
	LIST_REMOVE(process, link);
	event_drop(process->exit_event);
	event_drop(process->kill_timer);
	if (process->fd >= 0)
		close(process->fd);
	free(process);
}

static void process_signal(const struct helper_process *process, int number)
{
	/* As long as a process is not reaped, its pid cannot be reused. */
	if (!process->reaped)
		kill(-process->pid, number);
}

/* Tell how a reaped process has ended. */
static void tell_end(const struct helper_process *process)
{
	int number = WTERMSIG(process->status);
	char how[64];

	if (!process->ended)
		return;
	if (WIFSIGNALED(process->status))
		snprintf(how, sizeof(how), "ended by signal %d, %s", number, strsignal(number));
	else
		snprintf(how, sizeof(how), "ended with exit code %d", WEXITSTATUS(process->status));
	process->ended(process->context, process->pid, how);
}

static bool process_reap(struct helper_process *process)
{
	siginfo_t info = { 0 };

	if (process->reaped || waitid(P_PID, process->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	    info.si_pid == 0)
		return false;
	/* Not reaped yet, so the pid is safe: end what is left of the group and holds the pipes. */
	process_signal(process, SIGKILL);
	waitpid(process->pid, &process->status, WNOHANG);
	process->reaped = true;
	event_del(process->exit_event);
	tell_end(process);
	return true;
}

static void on_process_exit(evutil_socket_t fd, short what, void *context)
{
	struct helper_process *process = context;

	if (process_reap(process) && process->stopping)
		process_free(process);
}

static void on_kill_timer(evutil_socket_t fd, short what, void *context)
{
	struct helper_process *process = context;

	process_signal(process, process->next_signal);
	if (process->next_signal == SIGKILL)
		return;
	process->next_signal = SIGKILL;
	event_add(process->kill_timer, &kill_delay);
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
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
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

/* Take over the file descriptor; without memory, close it and return NULL. */
static struct bufferevent *open_stream(struct event_base *base, int fd)
{
	struct bufferevent *stream;

	evutil_make_socket_nonblocking(fd);
	stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!stream)
		close(fd);
	return stream;
}

static struct helper_process *process_new(struct event_base *base, pid_t pid)
{
	struct helper_process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->pid = pid;
	process->next_signal = SIGTERM;
	process->fd = syscall(SYS_pidfd_open, pid, 0);
	LIST_INSERT_HEAD(&processes, process, link);
	if (process->fd >= 0) {
		fcntl(process->fd, F_SETFD, FD_CLOEXEC);
		process->exit_event = event_new(base, process->fd, EV_READ | EV_PERSIST,
						on_process_exit, process);
		process->kill_timer = evtimer_new(base, on_kill_timer, process);
	}
	if (process->exit_event && process->kill_timer && event_add(process->exit_event, NULL) == 0)
		return process;
	process_free(process);
	return NULL;
}

/* Close the pipes. Return the process, to be passed to stop_process(). */
static struct helper_process *close_pipes(struct helper_child *child)
{
	struct helper_process *process = child->process;

	if (child->input)
		bufferevent_free(child->input);
	if (child->output)
		bufferevent_free(child->output);
	*child = (struct helper_child){ 0 };
	return process;
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
	child->process = process_new(base, child->pid);
	if (child->input && child->output && child->process)
		return 0;
	error_set(error, "%s: cannot watch its process: %s", arguments[0], strerror(errno));
	if (child->process) {
		helper_child_stop(child, CHILD_STOP_GRACEFUL);
	} else {
		kill(-child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		close_pipes(child);
	}
	return -1;
}

static void stop_process(struct helper_process *process)
{
	process->stopping = true;
	if (process->reaped)
		process_free(process);
	else
		event_add(process->kill_timer, &kill_delay);
}

void helper_child_stop(struct helper_child *child, enum helper_child_stop how)
{
	struct helper_process *process = close_pipes(child);

	if (how == CHILD_STOP_KILL)
		process_signal(process, SIGKILL);
	stop_process(process);
}

void helper_child_await_end(struct helper_child *child, helper_child_ended ended, void *context)
{
	struct helper_process *process = close_pipes(child);

	process->ended = ended;
	process->context = context;
	if (process->reaped)
		tell_end(process);
	stop_process(process);
}

void helper_child_forget(const void *context)
{
	struct helper_process *process;

	LIST_FOREACH (process, &processes, link)
		if (process->context == context)
			process->ended = NULL;
}

/* Return a file descriptor from which the bytes can be read. -1 and errno. */
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

/* Return 0, or an errno value; ETIMEDOUT after `timeout` milliseconds. */
static int read_line(int fd, unsigned int timeout, char *output, size_t size)
{
	const uint64_t end = clock_ns(CLOCK_MONOTONIC) + timeout * 1000000ull;
	size_t length = 0;

	output[0] = '\0';
	while (length < size - 1 && !strchr(output, '\n')) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int64_t left = (int64_t)(end - clock_ns(CLOCK_MONOTONIC)) / 1000000;
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

static void on_time_limit(evutil_socket_t fd, short what, void *context)
{
	*(bool *)context = true;
}

void helper_children_finish(struct event_base *base)
{
	const struct timeval all = { .tv_sec = 3 }; /* SIGTERM, SIGKILL, a second to exit */
	struct helper_process *process;
	struct event *limit;
	bool over = false;

	if (LIST_EMPTY(&processes))
		return;
	limit = evtimer_new(base, on_time_limit, &over);
	if (!limit || event_add(limit, &all))
		over = true;
	while (!LIST_EMPTY(&processes) && !over && event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	event_drop(limit);
	while ((process = LIST_FIRST(&processes))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow LIST_REMOVE */
		struct pollfd end = { .fd = process->fd, .events = POLLIN };

		process_signal(process, SIGKILL);
		if (!process->reaped)
			poll(&end, 1, 1000);
		process_reap(process);
		process_free(process);
	}
}
