// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/event.h"
#include "lib/socket_file.h"
#include "recent/feed.h"
#include "recent/line.h"
#include "recent/turn.h"

struct feed {
	TAILQ_ENTRY(feed) link;
	struct feed_socket *socket;
	feed_hear hear;
	void *context;
};

struct feed_socket {
	TAILQ_ENTRY(feed_socket) link;
	struct socket_file file;
	mode_t mode;
	gid_t group;
	struct event *readable, *rest;
	TAILQ_HEAD(feed_list, feed) feeds;
};

/* All that are open in this process. */
static TAILQ_HEAD(socket_list, feed_socket) sockets = TAILQ_HEAD_INITIALIZER(sockets);

static void tell(const struct feed_socket *socket, const char *text, size_t length)
{
	const struct feed *feed;

	TAILQ_FOREACH (feed, &socket->feeds, link)
		feed->hear(feed->context, text, length);
}

/* Receive a datagram. Returns false if there is none. */
static bool receive(const struct feed_socket *socket)
{
	char text[RECENT_URL_MAX + 1]; /* with a newline */
	ssize_t length = recv(socket->file.fd, text, sizeof(text), MSG_TRUNC);

	if (length < 0)
		return false;
	if ((size_t)length > sizeof(text))
		tell(socket, NULL, 0);
	else
		tell(socket, text, length);
	return true;
}

static void on_rest_over(evutil_socket_t fd, short what, void *context)
{
	const struct feed_socket *socket = context;

	event_add(socket->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	const struct feed_socket *socket = context;
	struct turn turn = turn_begin();
	struct timeval rest;

	while (receive(socket))
		if (turn_is_over(&turn)) {
			rest = turn_rest(&turn);
			event_add(socket->rest, &rest);
			return;
		}
	event_add(socket->readable, NULL);
}

static void socket_free(struct feed_socket *socket)
{
	event_drop(socket->readable);
	event_drop(socket->rest);
	if (socket->file.fd >= 0) {
		socket_file_unlink(&socket->file);
		close(socket->file.fd);
	}
	free(socket);
}

static int bind_socket(struct feed_socket *socket, const struct feed_settings *settings,
		       struct error *error)
{
	const struct socket_use use = {
		.name = "socket of a feed",
		.setting = "feed",
		.type = SOCK_DGRAM,
		.mode = settings->mode,
	};

	if (socket_file_bind(&socket->file, &use, settings->path, error))
		return -1;
	if (settings->group != (gid_t)-1 && lchown(settings->path, (uid_t)-1, settings->group))
		return error_set(
			error,
			"%s: cannot give the socket to group %u: %s; make the daemon's user "
			"a member of it, or let all send with `feed_mode` 0666",
			settings->path, settings->group, strerror(errno));
	return 0;
}

static struct feed_socket *socket_open(struct event_base *base,
				       const struct feed_settings *settings, struct error *error)
{
	struct feed_socket *socket = calloc(1, sizeof(*socket));

	if (!socket) {
		error_set(error, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&socket->feeds);
	socket->file.fd = -1;
	socket->mode = settings->mode;
	socket->group = settings->group;
	if (bind_socket(socket, settings, error)) {
		socket_free(socket);
		return NULL;
	}
	socket->readable = event_new(base, socket->file.fd, EV_READ, on_readable, socket);
	socket->rest = evtimer_new(base, on_rest_over, socket);
	if (!socket->readable || !socket->rest || event_add(socket->readable, NULL)) {
		error_set(error, "out of memory");
		socket_free(socket);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&sockets, socket, link);
	return socket;
}

/* Find an open socket, or open one. */
static struct feed_socket *find_socket(struct event_base *base,
				       const struct feed_settings *settings, struct error *error)
{
	struct feed_socket *socket;

	TAILQ_FOREACH (socket, &sockets, link)
		if (strcmp(socket->file.address.sun_path, settings->path) == 0 &&
		    socket_file_is_there(&socket->file))
			break;
	if (!socket)
		return socket_open(base, settings, error);
	if (socket->mode == settings->mode && socket->group == settings->group)
		return socket;
	error_set(error,
		  "%s: the socket is open with another `feed_mode` or `feed_group`; restart the "
		  "daemon to change them, and set the same in all policies",
		  settings->path);
	return NULL;
}

static void release(struct feed_socket *socket)
{
	if (!TAILQ_EMPTY(&socket->feeds))
		return;
	TAILQ_REMOVE(&sockets, socket, link);
	socket_free(socket);
}

struct feed *feed_open(struct event_base *base, const struct feed_settings *settings,
		       feed_hear hear, void *context, struct error *error)
{
	struct feed_socket *socket = find_socket(base, settings, error);
	struct feed *feed = socket ? calloc(1, sizeof(*feed)) : NULL;

	if (feed) {
		*feed = (struct feed){ .socket = socket, .hear = hear, .context = context };
		TAILQ_INSERT_TAIL(&socket->feeds, feed, link);
	} else if (socket) {
		error_set(error, "out of memory");
		release(socket);
	}
	return feed;
}

void feed_close(struct feed *feed)
{
	if (!feed)
		return;
	TAILQ_REMOVE(&feed->socket->feeds, feed, link);
	release(feed->socket);
	free(feed);
}
