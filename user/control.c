// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "control.h"
#include "control_socket.h"
#include "escape.h"
#include "log.h"

struct connection {
	TAILQ_ENTRY(connection) link;
	struct control *control;
	struct bufferevent *stream;
	struct control_peer peer;
	char *line;    /* what has come of the request, without a newline in it */
	size_t length; /* bytes of `line` */
	size_t room;   /* bytes allocated */
	bool answered; /* or about to be, when what is deferred is complete */
	bool goes_on;  /* with more lines, until one of the two sides has enough */
	struct control_deferred *deferred;
};

struct control_deferred {
	struct connection *connection; /* NULL: closed meanwhile */
	struct event *sign;	       /* of life, until there is something to say */
};

struct control {
	struct evconnlistener *listener;
	struct event *resume; /* listens again after accept() has failed */
	control_answer answer;
	void *context;
	TAILQ_HEAD(connection_list, connection) connections;
	unsigned int connection_count;
	struct control_socket socket;
};

static const char *path_of(const struct control *control)
{
	return control->socket.address.sun_path;
}

static const struct timeval idle_timeout = { .tv_sec = CONTROL_TIMEOUT };
static const struct timeval pause_timeout = { .tv_sec = CONTROL_PAUSE };
static const struct timeval accept_pause = { .tv_sec = 1 };
static const struct timeval sign_interval = { .tv_sec = CONTROL_SIGN };

json_t *control_bytes(const void *bytes, size_t length)
{
	char *text = escape(bytes, length);
	json_t *json = text ? json_string(text) : NULL;

	free(text);
	return json;
}

json_t *control_text(const char *text)
{
	return control_bytes(text, strlen(text));
}

json_t *control_refusal(const char *format, ...)
{
	struct error error;
	char line[ESCAPE_MAX * sizeof(error.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(error.text, sizeof(error.text), format, args);
	va_end(args);
	escape_line(error.text, line, sizeof(line));
	return json_pack("{s:b, s:s}", "ok", 0, "error", line);
}

/* --- a connection */

static void connection_close(struct connection *connection)
{
	struct control *control = connection->control;

	TAILQ_REMOVE(&control->connections, connection, link);
	control->connection_count--;
	bufferevent_free(connection->stream);
	if (connection->deferred)
		connection->deferred->connection = NULL;
	free(connection->line);
	free(connection);
	evconnlistener_enable(control->listener);
}

static void free_text(const void *data, size_t length, void *text)
{
	(void)data;
	(void)length;
	free(text);
}

/* Queues the answer (takes the reference); connection_written() closes when it has gone out. */
static void connection_answer(struct connection *connection, json_t *answer)
{
	static const char no_memory[] = "{\"ok\":false,\"error\":\"out of memory\"}";
	struct evbuffer *output = bufferevent_get_output(connection->stream);
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	free(connection->line); /* the peer may take its time to read */
	connection->line = NULL;
	connection->answered = true;
	bufferevent_disable(connection->stream, EV_READ);
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
	/* Nothing more is read, so that no time for reading runs out. */
	connection->answered = true;
	bufferevent_disable(connection->stream, EV_READ);
	return deferred;
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

bool control_part(struct control_deferred *deferred, json_t *line)
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

bool control_is_gone(const struct control_deferred *deferred)
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

	if (json_is_object(request))
		answer = control->answer(control->context, request, &connection->peer);
	else if (request)
		answer = control_refusal("the request is no JSON object");
	else
		answer = control_refusal("the request is no JSON: %s", mistake.text);
	json_decref(request);
	if (!connection->deferred)
		connection_answer(connection, answer);
}

static bool make_room(struct connection *connection, size_t more)
{
	size_t room = connection->room ? connection->room : 4096;
	char *line;

	while (room < connection->length + more)
		room *= 2;
	if (room == connection->room)
		return true;
	line = realloc(connection->line, room);
	if (!line)
		return false;
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
	if (!make_room(connection, more)) {
		connection_answer(connection, NULL);
		return;
	}
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

/*
 * The time for progress is over; but some of it may have been ours, spent on another request. Is
 * there something to read, or room to write?
 */
static bool go_on_after_all(struct bufferevent *stream, short what)
{
	bool reading = what & BEV_EVENT_READING;
	struct pollfd poll_fd = { .fd = bufferevent_getfd(stream),
				  .events = reading ? POLLIN : POLLOUT };

	return what & BEV_EVENT_TIMEOUT && poll(&poll_fd, 1, 0) == 1 &&
	       bufferevent_enable(stream, reading ? EV_READ : EV_WRITE) == 0;
}

/* The peer has closed or failed, or made no progress for too long. */
static void connection_event(struct bufferevent *stream, short what, void *context)
{
	struct connection *connection = context;

	if (go_on_after_all(stream, what))
		return;
	if (what & BEV_EVENT_EOF && connection->answered && !connection->goes_on)
		return; /* half closed: the answer may still be read */
	if (!connection->goes_on && what & BEV_EVENT_EOF && connection->length)
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

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		     int address_length, void *context)
{
	struct control *control = context;
	struct connection *connection = calloc(1, sizeof(*connection));

	(void)address;
	(void)address_length;
	if (connection)
		connection->stream = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
							    BEV_OPT_CLOSE_ON_FREE);
	if (!connection || !connection->stream) {
		free(connection);
		close(fd);
		return;
	}
	connection->control = control;
	connection->peer = peer_of(fd);
	TAILQ_INSERT_TAIL(&control->connections, connection, link);
	if (++control->connection_count == CONTROL_CONNECTIONS_MAX)
		evconnlistener_disable(listener);
	bufferevent_setcb(connection->stream, connection_readable, connection_written,
			  connection_event, connection);
	bufferevent_set_timeouts(connection->stream, &idle_timeout, &idle_timeout);
	bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

/* Out of file descriptors, say: the peer stays in the queue, and trying at once would spin. */
static void accept_failed(struct evconnlistener *listener, void *context)
{
	struct control *control = context;

	log_write(LOG_WARNING, "%s: cannot take a connection: %s", path_of(control),
		  strerror(errno));
	evconnlistener_disable(listener);
	event_add(control->resume, &accept_pause);
}

static void accept_again(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	(void)fd;
	(void)what;
	if (control->connection_count < CONTROL_CONNECTIONS_MAX)
		evconnlistener_enable(control->listener);
}

/* --- open and close */

static int listen_on(struct control *control, struct event_base *base, int fd, struct error *error)
{
	control->resume = evtimer_new(base, accept_again, control);
	control->listener = evconnlistener_new(base, accepted, control,
					       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
					       CONTROL_CONNECTIONS_MAX, fd);
	if (!control->listener)
		close(fd);
	if (!control->listener || !control->resume)
		return error_set(error, "%s: cannot listen: %s", path_of(control), strerror(errno));
	evconnlistener_set_error_cb(control->listener, accept_failed);
	return 0;
}

struct control *control_open(struct event_base *base, const char *path, control_answer answer,
			     void *context, struct error *error)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd;

	if (!control) {
		error_set(error, "%s: out of memory", path);
		return NULL;
	}
	control->answer = answer;
	control->context = context;
	TAILQ_INIT(&control->connections);
	fd = control_socket_bind(&control->socket, path, error);
	if (fd < 0) {
		free(control);
		return NULL;
	}
	/* A peer that goes away before its answer must not end the daemon. */
	signal(SIGPIPE, SIG_IGN);
	if (listen_on(control, base, fd, error)) {
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
	if (control->listener)
		evconnlistener_free(control->listener);
	if (control->resume)
		event_free(control->resume);
	free(control);
}
