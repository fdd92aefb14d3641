// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "control/server.h"
#include "control/quota.h"
#include "lib/log.h"

struct connection {
	TAILQ_ENTRY(connection) link;
	struct control *control;
	struct bufferevent *stream;
	struct control_peer peer;
	struct event *deadline; /* of the whole request, then of the whole reply */
	size_t held;		/* bytes taken from the quota */
	char *line;		/* what has come of the request, without a newline in it */
	size_t length;		/* bytes of `line` */
	size_t room;		/* bytes allocated */
	bool answered;		/* or about to be, when what is deferred is complete */
	bool goes_on;		/* with more lines, until one of the two sides has enough */
	struct control_deferred *deferred;
};

struct control_deferred {
	struct connection *connection; /* NULL: closed meanwhile */
	struct event *sign;	       /* of life, until there is something to say */
	void (*gone)(void *context);   /* NULL: nobody asked for it */
	void *context;
};

struct control {
	struct event *accept;
	struct event *resume; /* listens again after accept() has failed */
	control_handler answer;
	void *context;
	TAILQ_HEAD(connection_list, connection) connections;
	struct quota quota;
	struct control_socket socket;
};

static const char *path_of(const struct control *control)
{
	return control->socket.address.sun_path;
}

static const struct timeval whole_timeout = { .tv_sec = CONTROL_DEADLINE };
static const struct timeval pause_timeout = { .tv_sec = CONTROL_STREAM_TIMEOUT };
static const struct timeval accept_pause = { .tv_sec = 1 };
static const struct timeval sign_interval = { .tv_sec = CONTROL_KEEPALIVE };

/* --- a connection */

static void connection_close(struct connection *connection)
{
	struct control_deferred *deferred = connection->deferred;
	struct control *control = connection->control;

	TAILQ_REMOVE(&control->connections, connection, link);
	quota_release(&control->quota, connection->peer.uid,
		      (struct quota_usage){ 1, connection->held });
	event_free(connection->deadline);
	bufferevent_free(connection->stream);
	free(connection->line);
	free(connection);
	if (!deferred)
		return;
	deferred->connection = NULL;
	if (deferred->gone)
		deferred->gone(deferred->context);
}

/* Has `bytes` more or less held for the peer; false: more than it may. */
static bool hold(struct connection *connection, ssize_t bytes)
{
	struct quota *quota = &connection->control->quota;
	uid_t uid = connection->peer.uid;

	if (bytes > 0 && !quota_acquire(quota, uid, (struct quota_usage){ 0, bytes }))
		return false;
	if (bytes < 0)
		quota_release(quota, uid, (struct quota_usage){ 0, -bytes });
	connection->held += bytes;
	return true;
}

static void free_text(const void *data, size_t length, void *text)
{
	(void)data;
	(void)length;
	free(text);
}

static json_t *too_much(void)
{
	return control_refusal("more is held for you and others than may be; try again, or ask for "
			       "less at once");
}

/* Queues the answer (takes the reference); connection_written() closes when it has gone out. */
static void connection_answer(struct connection *connection, json_t *answer)
{
	static const char no_memory[] = "{\"ok\":false,\"error\":\"out of memory\"}";
	struct evbuffer *output = bufferevent_get_output(connection->stream);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	free(connection->line);
	connection->line = NULL;
	hold(connection, -(ssize_t)connection->held);
	if (text && !hold(connection, strlen(text))) {
		free(text);
		answer = too_much();
		text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
		json_decref(answer);
	}
	connection->answered = true;
	bufferevent_disable(connection->stream, EV_READ);
	event_add(connection->deadline, &whole_timeout);
	if (!text)
		evbuffer_add(output, no_memory, sizeof(no_memory) - 1);
	else if (evbuffer_add_reference(output, text, strlen(text), free_text, text))
		free(text);
	evbuffer_add(output, "\n", 1);
}

static void deferred_free(struct control_deferred *deferred)
{
	if (deferred->sign)
		event_free(deferred->sign);
	free(deferred);
}

/* Before JSON a blank means nothing; it tells the peer that somebody is at work. */
static void give_sign(evutil_socket_t fd, short what, void *context)
{
	const struct control_deferred *deferred = context;

	(void)fd;
	(void)what;
	if (deferred->connection)
		bufferevent_write(deferred->connection->stream, " ", 1);
}

struct control_deferred *control_defer(const struct control_peer *peer)
{
	struct connection *connection =
		(struct connection *)((char *)peer - offsetof(struct connection, peer));
	struct control_deferred *deferred = calloc(1, sizeof(*deferred));

	if (!deferred)
		return NULL;
	deferred->sign = event_new(bufferevent_get_base(connection->stream), -1, EV_PERSIST,
				   give_sign, deferred);
	if (!deferred->sign || event_add(deferred->sign, &sign_interval)) {
		deferred_free(deferred);
		return NULL;
	}
	deferred->connection = connection;
	connection->deferred = deferred;
	/* It is still read, to see the peer go away; what it sends is dropped. */
	connection->answered = true;
	event_del(connection->deadline);
	return deferred;
}

void control_on_close(struct control_deferred *deferred, void (*gone)(void *context), void *context)
{
	deferred->gone = gone;
	deferred->context = context;
}

bool control_reserve(struct control_deferred *deferred, size_t bytes)
{
	return !deferred->connection || hold(deferred->connection, (ssize_t)bytes);
}

void control_complete(struct control_deferred *deferred, json_t *answer)
{
	if (deferred->connection) {
		deferred->connection->deferred = NULL;
		connection_answer(deferred->connection, answer);
	} else {
		json_decref(answer);
	}
	deferred_free(deferred);
}

/* From now on the peer may say nothing, and be slow to read: it may be a pager. */
static void go_on(struct connection *connection)
{
	connection->goes_on = true;
	bufferevent_set_timeouts(connection->stream, NULL, &pause_timeout);
	bufferevent_enable(connection->stream, EV_READ);
}

bool control_stream(struct control_deferred *deferred, json_t *line)
{
	struct connection *connection = deferred->connection;
	struct evbuffer *output = connection ? bufferevent_get_output(connection->stream) : NULL;
	char *text = NULL;
	bool queued;

	if (output && evbuffer_get_length(output) < CONTROL_BACKLOG_MAX)
		text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(16));
	json_decref(line);
	if (connection && !connection->goes_on) {
		event_del(deferred->sign);
		go_on(connection);
	}
	queued = text && evbuffer_add_printf(output, "%s\n", text) > 0;
	free(text);
	return queued;
}

bool control_is_closed(const struct control_deferred *deferred)
{
	return !deferred->connection;
}

void control_end(struct control_deferred *deferred)
{
	struct connection *connection = deferred->connection;

	deferred_free(deferred);
	if (!connection)
		return;
	connection->deferred = NULL;
	if (evbuffer_get_length(bufferevent_get_output(connection->stream)) == 0)
		connection_close(connection);
}

static void connection_request(struct connection *connection)
{
	struct control *control = connection->control;
	json_error_t mistake;
	json_t *request = json_loadb(connection->line ? connection->line : "", connection->length,
				     JSON_REJECT_DUPLICATES, &mistake);
	json_t *answer;

	free(connection->line);
	connection->line = NULL;
	if (json_is_object(request))
		answer = control->answer(control->context, request, &connection->peer);
	else if (request)
		answer = control_refusal("the request is no JSON object");
	else
		answer = control_refusal("the request is no JSON: %s", mistake.text);
	json_decref(request);
	if (!connection->answered) /* nor deferred, which may be complete already */
		connection_answer(connection, answer);
}

/* Room for `more` bytes of a request. False after a refusal. */
static bool make_room(struct connection *connection, size_t more)
{
	size_t room = connection->room ? connection->room : 4096;
	char *line;

	while (room < connection->length + more)
		room *= 2;
	if (room == connection->room)
		return true;
	if (!hold(connection, (ssize_t)(room - connection->room))) {
		connection_answer(connection, too_much());
		return false;
	}
	line = realloc(connection->line, room);
	if (!line) {
		connection_answer(connection, NULL);
		return false;
	}
	connection->line = line;
	connection->room = room;
	return true;
}

static void connection_readable(struct bufferevent *stream, void *context)
{
	struct connection *connection = context;
	struct evbuffer *input = bufferevent_get_input(stream);
	size_t limit =
		connection->peer.may_change ? CONTROL_REQUEST_MAX : CONTROL_REQUEST_MAX_READER;
	size_t more = evbuffer_get_length(input);
	char *newline;
	char *end;

	if (connection->answered) {
		evbuffer_drain(input, more);
		return;
	}
	if (!make_room(connection, more))
		return;
	end = connection->line + connection->length;
	evbuffer_remove(input, end, more);
	newline = memchr(end, '\n', more);
	connection->length =
		newline ? (size_t)(newline - connection->line) : connection->length + more;
	if (connection->length >= limit)
		connection_answer(connection,
				  control_refusal("the request is longer than %zu bytes", limit));
	else if (newline)
		connection_request(connection);
}

static void connection_written(struct bufferevent *stream, void *context)
{
	struct connection *connection = context;

	if (connection->answered && !connection->deferred &&
	    evbuffer_get_length(bufferevent_get_output(stream)) == 0)
		connection_close(connection);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;

	(void)fd;
	(void)what;
	if (connection->answered)
		connection_close(connection);
	else
		connection_answer(connection,
				  control_refusal("the request is not complete after %d s",
						  CONTROL_DEADLINE));
}

/* Has the peer closed, and not only said that it has no more to send? */
static bool is_gone(struct bufferevent *stream)
{
	struct pollfd poll_fd = { .fd = bufferevent_getfd(stream) };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLERR);
}

/* The peer has closed or failed, or does not read what goes on. */
static void connection_event(struct bufferevent *stream, short what, void *context)
{
	struct connection *connection = context;

	if (what & BEV_EVENT_EOF && connection->answered && !connection->goes_on &&
	    !is_gone(stream))
		return; /* half closed: the reply may still be read */
	if (what & BEV_EVENT_EOF && !connection->answered && connection->length)
		connection_request(connection); /* the end of file ends a line as well */
	else
		connection_close(connection);
}

/* --- the listener */

static struct control_peer peer_of(evutil_socket_t fd)
{
	struct ucred who;
	socklen_t length = sizeof(who);
	struct control_peer peer = { .uid = (uid_t)-1 };

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0) {
		peer.uid = who.uid;
		peer.may_change = who.uid == 0 || who.uid == geteuid();
	}
	return peer;
}

/* Tells a peer at once that it is one too many, before it has asked for anything. */
static void refuse(int fd, uid_t uid)
{
	json_t *refusal =
		control_refusal("too many connections of user %u or in all; try again when "
				"some have ended",
				uid);
	char *text = json_dumps(refusal, JSON_COMPACT);

	if (text)
		dprintf(fd, "%s\n", text); /* fits into the empty buffer of a new socket */
	free(text);
	json_decref(refusal);
	close(fd);
}

/* Takes the socket. NULL: out of memory, it is closed. */
static struct connection *connection_new(struct control *control, int fd)
{
	struct event_base *base = event_get_base(control->accept);
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		close(fd);
		return NULL;
	}
	connection->control = control;
	connection->deadline = evtimer_new(base, on_deadline, connection);
	connection->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (connection->deadline && connection->stream &&
	    event_add(connection->deadline, &whole_timeout) == 0)
		return connection;
	if (connection->deadline)
		event_free(connection->deadline);
	if (connection->stream)
		bufferevent_free(connection->stream);
	else
		close(fd);
	free(connection);
	return NULL;
}

/* Out of file descriptors, say: the peer stays in the queue, and trying at once would spin. */
static void accept_failed(struct control *control)
{
	log_write(LOG_WARNING, "%s: cannot accept a connection: %s", path_of(control),
		  strerror(errno));
	event_del(control->accept);
	event_add(control->resume, &accept_pause);
}

/* One at a time, so that a flood of them leaves time for everything else. */
static void on_connect(evutil_socket_t listener, short what, void *context)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct control *control = context;
	struct connection *connection;
	struct control_peer peer;

	(void)what;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			accept_failed(control);
		return;
	}
	peer = peer_of(fd);
	if (!quota_acquire(&control->quota, peer.uid, (struct quota_usage){ .connections = 1 })) {
		refuse(fd, peer.uid);
		return;
	}
	connection = connection_new(control, fd);
	if (!connection) {
		quota_release(&control->quota, peer.uid, (struct quota_usage){ .connections = 1 });
		return;
	}
	connection->peer = peer;
	TAILQ_INSERT_TAIL(&control->connections, connection, link);
	bufferevent_setcb(connection->stream, connection_readable, connection_written,
			  connection_event, connection);
	bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static void accept_again(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	(void)fd;
	(void)what;
	event_add(control->accept, NULL);
}

/* --- open and close */

static int listen_on(struct control *control, struct event_base *base, struct error *error)
{
	control->resume = evtimer_new(base, accept_again, control);
	control->accept =
		event_new(base, control->socket.fd, EV_READ | EV_PERSIST, on_connect, control);
	if (!control->resume || !control->accept || event_add(control->accept, NULL) ||
	    listen(control->socket.fd, SOMAXCONN))
		return error_set(error, "%s: cannot listen: %s", path_of(control), strerror(errno));
	return 0;
}

struct control *control_open(struct event_base *base, const struct control_socket *socket,
			     control_handler answer, void *context, struct error *error)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		error_set(error, "%s: out of memory", socket->address.sun_path);
		control_socket_unlink(socket);
		close(socket->fd);
		return NULL;
	}
	control->answer = answer;
	control->context = context;
	control->socket = *socket;
	TAILQ_INIT(&control->connections);
	/* A peer that goes away before its answer must not end the daemon. */
	signal(SIGPIPE, SIG_IGN);
	if (listen_on(control, base, error)) {
		control_close(control);
		return NULL;
	}
	return control;
}

void control_close(struct control *control)
{
	struct connection *connection;
	struct connection *next;

	if (!control)
		return;
	for (connection = TAILQ_FIRST(&control->connections); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		connection_close(connection);
	}
	control_socket_unlink(&control->socket);
	if (control->accept)
		event_free(control->accept);
	if (control->resume)
		event_free(control->resume);
	close(control->socket.fd);
	free(control);
}
