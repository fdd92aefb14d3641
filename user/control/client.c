// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/client.h"
#include "control/protocol.h"
#include "lib/escape.h"

static bool is_timeout(int number)
{
	return number == EAGAIN || number == EWOULDBLOCK;
}

/* --- a request and its response */

static enum control_result failed(const char *path, struct error *error)
{
	if (is_timeout(errno))
		error_set(error,
			  "%s: no response from the daemon for %d s; is it stopped, or starved of "
			  "CPU?",
			  path, CONTROL_TIMEOUT);
	else if (errno == ECONNRESET)
		error_set(error,
			  "%s: the daemon closed the connection without a response; has it just "
			  "exited?",
			  path);
	else
		error_set(error, "%s: %s", path, strerror(errno));
	return CONTROL_FAILED;
}

static enum control_result connect_failed(const char *path, struct error *error)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		error_set(error, "%s: no such socket; is xdp-icpd running, with this `control`?",
			  path);
		return CONTROL_NO_DAEMON;
	case ECONNREFUSED:
		error_set(error, "%s: no process listens there; is xdp-icpd running?", path);
		return CONTROL_NO_DAEMON;
	case EACCES:
	case EPERM:
		error_set(
			error,
			"%s: no permission to connect; become root, or a member of the group that "
			"the socket belongs to",
			path);
		return CONTROL_FAILED;
	default:
		return failed(path, error);
	}
}

static enum control_result open_connection(const char *path, int *connection, struct error *error)
{
	const struct timeval timeout = { .tv_sec = CONTROL_TIMEOUT };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	enum control_result result;
	int fd;

	if (!*path || strlen(path) >= sizeof(address.sun_path)) {
		error_set(error, "control socket '%s': the path must have 1 to %zu bytes", path,
			  sizeof(address.sun_path) - 1);
		return CONTROL_FAILED;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed(path, error);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout))) {
		result = failed(path, error);
	} else if (connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		result = connect_failed(path, error);
	} else {
		*connection = fd;
		return CONTROL_OK;
	}
	close(fd);
	return result;
}

static int send_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -1;
		text += sent;
		length -= (size_t)sent;
	}
	return 0;
}

static enum control_result send_request(int fd, const char *path, const json_t *request,
					struct error *error)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;
	enum control_result result = CONTROL_OK;

	if (!text) {
		error_set(error, "out of memory, or the request is not JSON");
		return CONTROL_FAILED;
	}
	if (length >= CONTROL_REQUEST_MAX) {
		error_set(error, "the request has %zu bytes, the limit is %u; split it", length,
			  CONTROL_REQUEST_MAX - 1);
		result = CONTROL_FAILED;
	} else {
		text[length] = '\n'; /* in place of the NUL */
		/* A daemon that refuses a request early closes, but its response can be read. */
		if (send_all(fd, text, length + 1) && errno != EPIPE && errno != ECONNRESET)
			result = failed(path, error);
	}
	free(text);
	return result;
}

static bool is_printable(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return !*text;
}

/*
 * Make a response safe to print, whatever process sent it: escape strings that are not printable
 * ASCII, and remove such keys. xdp-icpd sends neither. False: out of memory.
 */
static bool make_printable(json_t *json)
{
	const char *key, *text = json_string_value(json);
	json_t *value;
	void *next;
	size_t i;

	if (text && !is_printable(text)) {
		size_t size = ESCAPE_MAX * strlen(text) + 1;
		char *line = malloc(size);
		bool done = line && (escape_line(text, line, size), !json_string_set(json, line));

		free(line);
		return done;
	}
	json_array_foreach (json, i, value)
		if (!make_printable(value))
			return false;
	json_object_foreach_safe(json, next, key, value) if (!is_printable(key))
		json_object_del(json, key);
	else if (!make_printable(value)) return false;
	return true;
}

struct reading {
	int fd;
	bool begun;  /* other bytes than keepalives have been received */
	int failure; /* errno */
};

/* For json_load_callback(): read the next bytes; 0 at the end, (size_t)-1 on an error. */
static size_t read_some(void *buffer, size_t size, void *context)
{
	struct reading *reading = context;
	ssize_t length;

	do
		length = recv(reading->fd, buffer, size, 0);
	while (length < 0 && errno == EINTR);
	if (length < 0) {
		reading->failure = errno;
		return (size_t)-1;
	}
	if (length == 0 && !reading->begun)
		reading->failure = ECONNRESET;
	for (ssize_t i = 0; i < length && !reading->begun; i++)
		reading->begun = ((const char *)buffer)[i] != ' ';
	return (size_t)length;
}

static enum control_result read_reply(int fd, const char *path, json_t **reply, struct error *error)
{
	struct reading reading = { .fd = fd };
	json_error_t mistake;

	*reply = json_load_callback(read_some, &reading, JSON_DISABLE_EOF_CHECK, &mistake);
	if (json_is_object(*reply) && make_printable(*reply))
		return CONTROL_OK;
	if (!*reply && reading.failure) {
		errno = reading.failure;
		return failed(path, error);
	}
	error_set(error, "%s: malformed response (%s); is that xdp-icpd, of this version?", path,
		  *reply ? "not an object" : mistake.text);
	json_decref(*reply);
	*reply = NULL;
	return CONTROL_FAILED;
}

enum control_result control_ask(const char *path, const json_t *request, json_t **reply,
				struct error *error)
{
	int fd;
	enum control_result result;

	*reply = NULL;
	result = open_connection(path, &fd, error);
	if (result != CONTROL_OK)
		return result;
	result = send_request(fd, path, request, error);
	if (result == CONTROL_OK)
		result = read_reply(fd, path, reply, error);
	close(fd);
	return result;
}

/* --- streamed responses */

#define FOLLOWED_LINE_MAX (1u << 20) /* bytes of one */

struct following {
	int fd;
	sigset_t old_mask;   /* with which ppoll() lets signals in */
	struct timespec end; /* of the monotonic clock; 0: there is none */
	char *bytes;
	size_t length, room;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* Block the signals outside of ppoll(), so that none is missed between a check and the wait. */
static void catch_signals(struct following *following)
{
	const struct sigaction action = { .sa_handler = on_signal };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &following->old_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Wait until the socket is readable: 1. 0: the end time has passed; -1 and errno. */
static int wait_readable(const struct following *following)
{
	struct pollfd poll = { .fd = following->fd, .events = POLLIN };
	struct timespec left;

	if (!following->end.tv_sec)
		return ppoll(&poll, 1, NULL, &following->old_mask);
	clock_gettime(CLOCK_MONOTONIC, &left);
	left.tv_sec = following->end.tv_sec - left.tv_sec;
	left.tv_nsec = following->end.tv_nsec - left.tv_nsec;
	if (left.tv_nsec < 0) {
		left.tv_sec--;
		left.tv_nsec += 1000000000;
	}
	if (left.tv_sec < 0)
		return 0;
	return ppoll(&poll, 1, &left, &following->old_mask);
}

/* Read a line: 1, `*length` without its newline. 0: end time or signal; -1 and errno. */
static int read_line(struct following *following, size_t *length)
{
	for (;;) {
		char *newline = following->length
					? memchr(following->bytes, '\n', following->length)
					: NULL;
		ssize_t more;
		int ready;

		if (newline) {
			*length = newline - following->bytes;
			return 1;
		}
		if (following->length == following->room) {
			char *grown = realloc(following->bytes, following->room + 65536);

			if (!grown || following->room >= FOLLOWED_LINE_MAX) {
				following->bytes = grown ? grown : following->bytes;
				errno = ENOBUFS;
				return -1;
			}
			following->bytes = grown;
			following->room += 65536;
		}
		ready = wait_readable(following);
		if (ready == 0 || (ready < 0 && errno == EINTR && interrupted))
			return 0;
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready < 0)
			continue;
		more = recv(following->fd, following->bytes + following->length,
			    following->room - following->length, 0);
		if (more == 0)
			errno = ECONNRESET;
		if (more <= 0)
			return -1;
		following->length += more;
	}
}

static enum control_result follow(struct following *following, const char *path, json_t **reply,
				  control_line line, void *context, struct error *error)
{
	size_t length;
	int got;

	while ((got = read_line(following, &length)) > 0) {
		json_error_t mistake;
		json_t *json = json_loadb(following->bytes, length, 0, &mistake);
		bool enough = false;

		if (!json_is_object(json) || !make_printable(json)) {
			json_decref(json);
			error_set(error,
				  "%s: malformed response; is that xdp-icpd, of this version?",
				  path);
			return CONTROL_FAILED;
		}
		following->length -= length + 1;
		memmove(following->bytes, following->bytes + length + 1, following->length);
		if (*reply) {
			enough = !line(context, json);
			json_decref(json);
		} else {
			*reply = json;
			enough = !json_is_true(json_object_get(json, "ok"));
		}
		if (enough)
			return CONTROL_OK;
	}
	if (got == 0)
		return CONTROL_OK;
	if (errno == ECONNRESET && *reply) {
		error_set(error, "%s: the daemon closed the stream; has it exited?", path);
		return CONTROL_FAILED;
	}
	return failed(path, error);
}

enum control_result control_follow(const char *path, const json_t *request, json_t **reply,
				   control_line line, void *context, unsigned long seconds,
				   struct error *error)
{
	struct following following = { 0 };
	enum control_result result;

	*reply = NULL;
	result = open_connection(path, &following.fd, error);
	if (result != CONTROL_OK)
		return result;
	if (seconds) {
		clock_gettime(CLOCK_MONOTONIC, &following.end);
		following.end.tv_sec += seconds;
	}
	result = send_request(following.fd, path, request, error);
	if (result == CONTROL_OK) {
		catch_signals(&following);
		result = follow(&following, path, reply, line, context, error);
	}
	close(following.fd);
	free(following.bytes);
	return result;
}
