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

#include "control/quota.h"
#include "control/server.h"
#include "lib/log.h"

struct connection {
	TAILQ_ENTRY(connection) link;
	struct control *control;
	struct bufferevent *stream;
	struct control_peer peer;
	struct event *deadline; /* for the whole request, then for the whole response */
	size_t held;		/* bytes acquired from the quota */
	char *line;		/* the request as far as received, without a newline */
	size_t length;		/* bytes of `line` */
	size_t room;		/* bytes allocated */
	bool handled;		/* the request is complete: responded to or deferred */
	bool streaming;		/* more lines follow until either side closes */
	struct control_deferred *deferred;
};

struct control_deferred {
	struct connection *connection; /* NULL: closed since */
	struct event *keepalive;       /* sends blanks until the response */
	void (*closed)(void *context); /* NULL: not set */
	void *context;
};

struct control {
	struct event *accept;
	struct event *resume; /* accepts again after a failure */
	control_handler handler;
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
static const struct timeval keepalive_interval = { .tv_sec = CONTROL_KEEPALIVE };

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
	if (deferred->closed)
		deferred->closed(deferred->context);
}

/* Adjust the bytes held for the peer by `bytes`; false: its quota would be exceeded. */
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

static json_t *over_quota(void)
{
	return control_refusal(
		"too much is buffered for your user or in all; try again, or ask for "
		"less at once");
}

/* Queue the response (takes the reference); connection_written() closes once it is sent. */
static void connection_respond(struct connection *connection, json_t *response)
{
	static const char no_memory[] = "{\"ok\":false,\"error\":\"out of memory\"}";
	struct evbuffer *output = bufferevent_get_output(connection->stream);
	char *text = response ? json_dumps(response, JSON_COMPACT) : NULL;

	json_decref(response);
	free(connection->line);
	connection->line = NULL;
	hold(connection, -(ssize_t)connection->held);
	if (text && !hold(connection, strlen(text))) {
		free(text);
		response = over_quota();
		text = response ? json_dumps(response, JSON_COMPACT) : NULL;
		json_decref(response);
	}
	connection->handled = true;
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
	if (deferred->keepalive)
		event_free(deferred->keepalive);
	free(deferred);
}

/* Blanks before JSON are ignored; they tell the peer that the daemon is alive. */
static void send_keepalive(evutil_socket_t fd, short what, void *context)
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
	deferred->keepalive = event_new(bufferevent_get_base(connection->stream), -1, EV_PERSIST,
					send_keepalive, deferred);
	if (!deferred->keepalive || event_add(deferred->keepalive, &keepalive_interval)) {
		deferred_free(deferred);
		return NULL;
	}
	deferred->connection = connection;
	connection->deferred = deferred;
	/* Keep reading, to notice when the peer closes; what it sends is dropped. */
	connection->handled = true;
	event_del(connection->deadline);
	return deferred;
}

void control_on_close(struct control_deferred *deferred, void (*closed)(void *context),
		      void *context)
{
	deferred->closed = closed;
	deferred->context = context;
}

bool control_reserve(struct control_deferred *deferred, size_t bytes)
{
	return !deferred->connection || hold(deferred->connection, (ssize_t)bytes);
}

void control_complete(struct control_deferred *deferred, json_t *response)
{
	if (deferred->connection) {
		deferred->connection->deferred = NULL;
		connection_respond(deferred->connection, response);
	} else {
		json_decref(response);
	}
	deferred_free(deferred);
}

/* From now on the peer may be silent, and read slowly: it may be a pager. */
static void start_stream(struct connection *connection)
{
	connection->streaming = true;
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
	if (connection && !connection->streaming) {
		event_del(deferred->keepalive);
		start_stream(connection);
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
	json_t *response;

	free(connection->line);
	connection->line = NULL;
	if (json_is_object(request))
		response = control->handler(control->context, request, &connection->peer);
	else if (request)
		response = control_refusal("the request is not a JSON object");
	else
		response = control_refusal("the request is not JSON: %s", mistake.text);
	json_decref(request);
	if (!connection->handled) /* nor deferred, and possibly completed already */
		connection_respond(connection, response);
}

/* Make room for `more` bytes of a request. False: it has been refused. */
static bool make_room(struct connection *connection, size_t more)
{
	size_t room = connection->room ? connection->room : 4096;
	char *line;

	while (room < connection->length + more)
		room *= 2;
	if (room == connection->room)
		return true;
	if (!hold(connection, (ssize_t)(room - connection->room))) {
		connection_respond(connection, over_quota());
		return false;
	}
	line = realloc(connection->line, room);
	if (!line) {
		connection_respond(connection, NULL);
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

	if (connection->handled) {
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
		connection_respond(connection,
				   control_refusal("the request is longer than %zu bytes", limit));
	else if (newline)
		connection_request(connection);
}

static void connection_written(struct bufferevent *stream, void *context)
{
	struct connection *connection = context;

	if (connection->handled && !connection->deferred &&
	    evbuffer_get_length(bufferevent_get_output(stream)) == 0)
		connection_close(connection);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;

	(void)fd;
	(void)what;
	if (connection->handled)
		connection_close(connection);
	else
		connection_respond(connection,
				   control_refusal("the request is not complete after %d s",
						   CONTROL_DEADLINE));
}

/* Has the peer closed both directions, not only its sending one? */
static bool is_closed(struct bufferevent *stream)
{
	struct pollfd poll_fd = { .fd = bufferevent_getfd(stream) };

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLERR);
}

/* The peer has closed or failed, or does not read a stream. */
static void connection_event(struct bufferevent *stream, short what, void *context)
{
	struct connection *connection = context;

	if (what & BEV_EVENT_EOF && connection->handled && !connection->streaming &&
	    !is_closed(stream))
		return; /* half closed: the response may still be read */
	if (what & BEV_EVENT_EOF && !connection->handled && connection->length)
		connection_request(connection); /* the last line may lack a newline */
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

/* Refuse a connection above the limits, without waiting for a request. */
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

/* Takes ownership of `fd`. NULL: out of memory, it is closed. */
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

/* Such as EMFILE: the peer stays in the backlog, so that retrying at once would spin. */
static void accept_failed(struct control *control)
{
	log_write(LOG_WARNING, "%s: cannot accept a connection: %s", path_of(control),
		  strerror(errno));
	event_del(control->accept);
	event_add(control->resume, &accept_pause);
}

/* One per call, so that a flood of connections leaves time for other events. */
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
			     control_handler handler, void *context, struct error *error)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		error_set(error, "%s: out of memory", socket->address.sun_path);
		control_socket_unlink(socket);
		close(socket->fd);
		return NULL;
	}
	control->handler = handler;
	control->context = context;
	control->socket = *socket;
	TAILQ_INIT(&control->connections);
	/* Writing to a peer that has closed must not end the daemon. */
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
