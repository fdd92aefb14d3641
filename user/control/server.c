// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/request.h"
#include "control/server.h"
#include "control/tcp.h"
#include "lib/event.h"
#include "lib/log.h"

#define REFUSED_MAX 16		     /* connections above the limits that may still read why */
#define REFUSED_TIME 5		     /* seconds for that */
#define CONNECTION_MEMORY (32 << 10) /* of a connection in libmicrohttpd: the headers, buffers */
#define ACCEPTED_AT_ONCE 100	     /* connections on TCP before a pause */
#define LAST_RUNS 8		     /* of libmicrohttpd, for what can be sent at the end */

struct control {
	struct event *accept;
	struct event *resume; /* accepts again after a failure */
	struct event *forget; /* closes refused connections */
	struct event *ready;  /* libmicrohttpd has something to do */
	struct event *run;    /* a timer: it has more to do, or a response */
	struct MHD_Daemon *http;
	const struct control_resource *resources;
	void *context;
	TAILQ_HEAD(request_list, control_request) requests;
	struct control_request *accepted; /* while libmicrohttpd is given its connection */
	struct quota quota;
	int refused[REFUSED_MAX]; /* a ring; 0: none */
	size_t next_refused;
	struct socket_file socket;
	bool tcp; /* peers are unknown, and may only read */
	unsigned int accepted_count;
	const char *name; /* of the socket, in messages */
};

const struct socket_use control_socket = {
	.name = "control socket",
	.setting = "control",
	.type = SOCK_STREAM,
	.mode = 0660,
};

/* --- resources */

/* Return the name of the member of a collection, or "", or NULL: it is another resource. */
static const char *match(const struct control_resource *resource, const char *path)
{
	size_t length = strlen(resource->path);
	bool collection = length > 1 && resource->path[length - 1] == '/'; /* not "/" itself */

	if (strncmp(resource->path, path, length) || !!path[length] != collection)
		return NULL;
	return path + length;
}

static bool is_method(const struct control *control, const struct control_resource *resource,
		      const char *method)
{
	if (control->tcp && strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
		method = MHD_HTTP_METHOD_GET; /* libmicrohttpd leaves out the body */
	return strcmp(resource->method, method) == 0;
}

/* Find the resource, or refuse the request. */
static void route(const struct control *control, struct control_request *request,
		  const char *method, const char *path)
{
	const struct control_resource *one;
	bool exists = false;

	for (one = control->resources; one->method && !request->resource; one++) {
		const char *name = match(one, path);

		exists = exists || name;
		if (!name || !is_method(control, one, method))
			continue;
		request->resource = one;
		request->name = name;
	}
	if (!exists) {
		control_refuse(request, CONTROL_STATUS_NOT_FOUND,
			       "%s: no such resource; GET " CONTROL_INDEX " lists them", path);
	} else if (!request->resource) {
		control_refuse(request, CONTROL_STATUS_NOT_ALLOWED,
			       "%s: no method %s; GET " CONTROL_INDEX " lists the methods", path,
			       method);
		for (one = control->resources; one->method && request->response; one++)
			if (match(one, path))
				MHD_add_response_header(request->response, MHD_HTTP_HEADER_ALLOW,
							one->method);
	} else if ((request->resource->changes || request->resource->secret) &&
		   !request->may_change) {
		control_refuse(request, CONTROL_STATUS_FORBIDDEN,
			       "%s %s: permitted only for root and the daemon's user", method,
			       path);
	}
}

/* Is the name in a list as in struct control_resource? */
static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name), word;

	if (!list || strcmp(list, "*") == 0)
		return list;
	for (; *list; list += word + (list[word] == ' ')) {
		word = strcspn(list, " ");
		if (word == length && memcmp(list, name, length) == 0)
			return true;
	}
	return false;
}

static void refuse_name(struct control_request *request, const char *what, const char *name,
			const char *list)
{
	control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "unknown %s '%s'; %s%s", what, name,
		       list ? "known: " : "none is known here", list ? list : "");
}

static enum MHD_Result check_argument(void *context, enum MHD_ValueKind kind, const char *name,
				      const char *value)
{
	struct control_request *request = context;

	if (!*name || is_listed(request->resource->arguments, name))
		return MHD_YES;
	refuse_name(request, "argument", name, request->resource->arguments);
	return MHD_NO;
}

/* Refuse a request with members or arguments that its resource does not have. */
static bool check_names(struct control_request *request)
{
	const char *name;
	json_t *value;

	json_object_foreach (request->body, name, value) {
		if (is_listed(request->resource->members, name))
			continue;
		refuse_name(request, "member", name, request->resource->members);
		return false;
	}
	MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, check_argument,
				  request);
	return !request->response;
}

/* --- libmicrohttpd */

static void on_connection(void *context, struct MHD_Connection *connection, void **own,
			  enum MHD_ConnectionNotificationCode what)
{
	struct control *control = context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*own = control->accepted;
		control->accepted->connection = connection;
		TAILQ_INSERT_TAIL(&control->requests, control->accepted, link);
		control->accepted = NULL;
	} else {
		TAILQ_REMOVE(&control->requests, (struct control_request *)*own, link);
		request_disconnect(*own);
	}
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Find the resource for a request whose headers have been received, or refuse it. */
static void begin(const struct control *control, struct control_request *request,
		  const char *method, const char *path)
{
	const char *host = header(request->connection, MHD_HTTP_HEADER_HOST);

	if (control->tcp && host && !control_tcp_host_is_own(host))
		control_refuse(request, CONTROL_STATUS_FORBIDDEN,
			       "Host %s: use an address, localhost or the host's name", host);
	else
		route(control, request, method, path);
}

/*
 * Called when the headers have been received, for each part of the body, at its end, and whenever
 * the connection is resumed before its response. A body that is refused is still read, and dropped:
 * a client that is writing may not notice the response. One that expects 100 Continue waits for it.
 * On TCP no resource takes a body: the connection is closed.
 */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *version,
				  const char *bytes, size_t *length, void **seen)
{
	const struct control *control = context;
	struct control_request *request =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
			->socket_context;

	if (!*seen) {
		*seen = request;
		request->http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_1);
		begin(control, request, method, path);
		if (request->response &&
		    (control->tcp || header(connection, MHD_HTTP_HEADER_EXPECT)))
			return request_continue(request);
		return MHD_YES;
	}
	if (*length && control->tcp)
		return MHD_NO;
	if (*length) {
		request_receive(request, bytes, *length);
		*length = 0;
		return MHD_YES;
	}
	if (request->stage == REQUEST_RECEIVING && !request->response && request_parse(request) &&
	    check_names(request)) {
		request->stage = REQUEST_HANDLING;
		request->owed = true;
		request->resource->handle(control->context, request);
	}
	return request_continue(request);
}

/* As by default, but a NUL, which would end the text, remains "%00". */
static size_t unescape_uri(void *context, struct MHD_Connection *connection, char *text)
{
	return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static void run_http(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval at_once = { 0 };
	struct control *control = context;
	MHD_UNSIGNED_LONG_LONG timeout;

	MHD_run(control->http);
	/* The connections have no timeouts of its own: there is more to do, or nothing. */
	if (MHD_get_timeout(control->http, &timeout) == MHD_YES)
		event_add(control->run, &at_once);
}

static int start_http(struct control *control, struct event_base *base)
{
	const union MHD_DaemonInfo *info;

	control->http = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, control, MHD_OPTION_NOTIFY_CONNECTION, on_connection, control,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape_uri, control,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)QUOTA_ALL, MHD_OPTION_END);
	if (!control->http)
		return -1;
	info = MHD_get_daemon_info(control->http, MHD_DAEMON_INFO_EPOLL_FD);
	control->ready = event_new(base, info->epoll_fd, EV_READ | EV_PERSIST, run_http, control);
	control->run = evtimer_new(base, run_http, control);
	return control->ready && control->run ? event_add(control->ready, NULL) : -1;
}

/* --- the listener */

static void close_refused(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	for (size_t i = 0; i < REFUSED_MAX; i++)
		if (control->refused[i])
			close(control->refused[i]);
	memset(control->refused, 0, sizeof(control->refused));
}

/* Refuse a connection above the limits, without reading. It stays open a while for its peer. */
static void refuse(struct control *control, int fd, uid_t uid)
{
	static const struct timeval a_while = { .tv_sec = REFUSED_TIME };
	int *oldest = &control->refused[control->next_refused++ % REFUSED_MAX];

	/* Fits into the empty buffer of a new socket. */
	dprintf(fd,
		"HTTP/1.1 503 Service Unavailable\r\n"
		"Content-Type: application/json\r\nConnection: close\r\n\r\n"
		"{\"error\":\"too many connections of user %u or in all; try again when some have "
		"ended\"}\n",
		uid);
	shutdown(fd, SHUT_WR);
	if (*oldest)
		close(*oldest);
	*oldest = fd;
	event_add(control->forget, &a_while);
}

/* Leave peers in the backlog for a while. */
static void pause_accepting(struct control *control, const struct timeval *time)
{
	event_del(control->accept);
	event_add(control->resume, time);
}

/* Such as EMFILE: the peer stays in the backlog, so that retrying at once would spin. */
static void accept_failed(struct control *control)
{
	static const struct timeval a_second = { .tv_sec = 1 };

	log_write(LOG_WARNING, "%s: cannot accept a connection: %s", control->name,
		  strerror(errno));
	pause_accepting(control, &a_second);
}

/* Peers on TCP may connect in a loop: bound the time that it takes from everything else. */
static void note_accepted(struct control *control)
{
	static const struct timeval a_moment = { .tv_usec = 100000 };

	if (control->tcp && ++control->accepted_count % ACCEPTED_AT_ONCE == 0)
		pause_accepting(control, &a_moment);
}

static void accept_again(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	event_add(control->accept, NULL);
}

/* Takes ownership of `fd`, whose peer holds a connection of the quota. */
static void serve(struct control *control, int fd, uid_t uid)
{
	const struct sockaddr address = { .sa_family = AF_UNIX };
	struct control_request *request = request_new(control->run, &control->quota, uid, fd);

	if (!request) {
		quota_release(&control->quota, uid, (struct quota_usage){ .connections = 1 });
		close(fd);
		return;
	}
	control->accepted = request;
	/* On an error it closes `fd`, before or after it has announced the connection. */
	if (MHD_add_connection(control->http, fd, &address, sizeof(address)) != MHD_YES &&
	    control->accepted)
		request_disconnect(request);
	control->accepted = NULL;
}

static bool acquire(struct control *control, uid_t uid)
{
	return quota_acquire(&control->quota, uid, (struct quota_usage){ .connections = 1 });
}

/*
 * On TCP, where peers cannot be told apart, close the oldest connection for a new one: clients that
 * hold connections open must not keep others out.
 */
static bool make_room(struct control *control, uid_t uid)
{
	struct control_request *oldest = TAILQ_FIRST(&control->requests);

	if (!control->tcp || !oldest)
		return false;
	request_hang_up(oldest);
	MHD_run(control->http); /* it closes the connection */
	return acquire(control, uid);
}

/* One per call, so that a flood of connections leaves time for other events. */
static void on_connect(evutil_socket_t listener, short what, void *context)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t length = sizeof(peer);
	struct control *control = context;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			accept_failed(control);
		return;
	}
	note_accepted(control);
	if (!control->tcp)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
	if (acquire(control, peer.uid) || make_room(control, peer.uid))
		serve(control, fd, peer.uid);
	else
		refuse(control, fd, peer.uid);
}

/* --- open and close */

static int listen_on(struct control *control, struct event_base *base, struct error *error)
{
	control->resume = evtimer_new(base, accept_again, control);
	control->forget = evtimer_new(base, close_refused, control);
	control->accept =
		event_new(base, control->socket.fd, EV_READ | EV_PERSIST, on_connect, control);
	if (!control->resume || !control->forget || !control->accept || start_http(control, base) ||
	    event_add(control->accept, NULL) || listen(control->socket.fd, SOMAXCONN))
		return error_set(error, "%s: cannot listen: %s", control->name, strerror(errno));
	return 0;
}

static struct control *open_control(struct event_base *base, const struct socket_file *socket,
				    const char *name, const struct control_resource *resources,
				    void *context, struct error *error)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		error_set(error, "%s: out of memory", name);
		socket_file_unlink(socket);
		close(socket->fd);
		return NULL;
	}
	control->resources = resources;
	control->context = context;
	control->socket = *socket;
	control->tcp = !socket->address.sun_path[0];
	control->name = control->tcp ? name : control->socket.address.sun_path;
	TAILQ_INIT(&control->requests);
	/* Writing to a peer that has closed must not end the daemon. */
	signal(SIGPIPE, SIG_IGN);
	if (listen_on(control, base, error)) {
		control_close(control);
		return NULL;
	}
	return control;
}

struct control *control_open(struct event_base *base, const struct socket_file *socket,
			     const struct control_resource *resources, void *context,
			     struct error *error)
{
	return open_control(base, socket, socket->address.sun_path, resources, context, error);
}

struct control *control_open_tcp(struct event_base *base, int fd, const char *name,
				 const struct control_resource *resources, void *context,
				 struct error *error)
{
	const struct socket_file socket = { .fd = fd }; /* of no file */

	return open_control(base, &socket, name, resources, context, error);
}

/* libmicrohttpd must not be stopped while a connection is suspended. */
static void stop_http(struct control *control)
{
	struct control_request *request, *next;

	for (int i = 0; i < LAST_RUNS; i++)
		MHD_run(control->http);
	for (request = TAILQ_FIRST(&control->requests); request; request = next) {
		next = TAILQ_NEXT(request, link);
		request_hang_up(request);
	}
	MHD_stop_daemon(control->http);
}

void control_close(struct control *control)
{
	if (!control)
		return;
	if (control->http)
		stop_http(control);
	event_drop(control->ready);
	event_drop(control->run);
	event_drop(control->forget);
	close_refused(-1, 0, control);
	socket_file_unlink(&control->socket);
	event_drop(control->accept);
	event_drop(control->resume);
	close(control->socket.fd);
	free(control);
}
