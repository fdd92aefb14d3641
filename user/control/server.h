/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server side of the control socket (protocol.h): HTTP by libmicrohttpd, within a libevent
 * loop. libmicrohttpd gets a connection once its peer is known and the peer's quota allows it.
 */
#ifndef XDP_ICP_CONTROL_SERVER_H
#define XDP_ICP_CONTROL_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include <event2/event.h>
#include <jansson.h>

#include "control/protocol.h"
#include "lib/error.h"
#include "lib/socket_file.h"

#define CONTROL_BACKLOG_MAX (1u << 20) /* bytes of a streamed response that the peer has not read */
#define CONTROL_DEADLINE 20	   /* seconds for a whole request, and to read a whole response */
#define CONTROL_STREAM_TIMEOUT 600 /* seconds without progress in reading a streamed response */

/* HTTP status of a response. */
enum control_status {
	CONTROL_STATUS_OK = 200,
	CONTROL_STATUS_BAD_REQUEST = 400,
	CONTROL_STATUS_FORBIDDEN = 403,
	CONTROL_STATUS_NOT_FOUND = 404,
	CONTROL_STATUS_NOT_ALLOWED = 405,
	CONTROL_STATUS_REFUSED = 409, /* the state of the daemon does not permit it */
	CONTROL_STATUS_TOO_LARGE = 413,
	CONTROL_STATUS_FAILED = 500,
	CONTROL_STATUS_OVER_QUOTA = 503,
};

/*
 * A request that has been received as a whole. Its handler owes it one control_reply(),
 * control_refuse() or control_end(), now or later from the event loop, even if its peer has closed
 * or the control socket has been closed. Until then the peer gets keepalives.
 */
struct control_request;

/*
 * One method of a resource. A path that ends in '/' is that of a collection: the rest of a request's
 * path, which is not empty, names the member.
 */
#define CONTROL_INDEX "/v1" /* the list of resources, to which refusals refer */
struct control_resource {
	const char *method;
	const char *path;
	void (*handle)(void *context, struct control_request *request);
	bool changes; /* for root and the daemon's own user only */
	const char *help;
	bool secret; /* likewise, although it changes nothing */
	/*
	 * Names of the body's members and of the arguments of the query string, with a space between; NULL:
	 * none, "*": any. A request with others is refused: a wrong name must not do something else.
	 */
	const char *members, *arguments;
};

struct control;

/* For socket_file_bind(): the owner and the group of its file may connect. */
extern const struct socket_use control_socket;

/*
 * Listen on a bound socket, of which this takes ownership, also on an error. The owner and the
 * group of its file may connect. `resources` ends with an entry without a method and must outlive
 * the control socket. From then on the process ignores SIGPIPE. NULL with an error that names the
 * path and the remedy.
 */
struct control *control_open(struct event_base *base, const struct socket_file *socket,
			     const struct control_resource *resources, void *context,
			     struct error *error);

/*
 * Likewise on a TCP socket (tcp.h). Peers are unknown and may only read: resources that change
 * anything are refused, a body closes the connection, and a connection above the limit closes the
 * oldest. `name`, a literal, stands for the socket in messages.
 */
struct control *control_open_tcp(struct event_base *base, int fd, const char *name,
				 const struct control_resource *resources, void *context,
				 struct error *error);

/*
 * Close all connections and the socket, and remove it from the file system, unless the path names
 * another file now. What has been replied is sent as far as the peers read it at once. NULL is
 * ignored.
 */
void control_close(struct control *control);

/*
 * The parts of a request, valid until the handler returns: the body, an object, or NULL if there is
 * none; the member of a collection; an argument of the query string, or NULL. Names and arguments
 * have been percent-decoded (except for %00), and are in the form of lib/escape.h.
 */
json_t *control_body(const struct control_request *request);
const char *control_name(const struct control_request *request);
const char *control_argument(const struct control_request *request, const char *key);

/* Return a header of the request, valid likewise, or NULL. */
const char *control_header(const struct control_request *request, const char *name);

/* May the peer change something? Root and the daemon's own user may. */
bool control_may_change(const struct control_request *request);

/* Send a response of status 200 (takes the reference; NULL: out of memory). */
void control_reply(struct control_request *request, json_t *response);

/* Return the text of a response, for free(), and its length; NULL: out of memory. */
char *control_dump(const json_t *response, size_t *length);

/*
 * Likewise a text: `length` bytes from malloc(), which are freed (NULL: out of
 * memory). `type` is the Content-Type, CONTROL_JSON for one of control_dump().
 */
void control_reply_text(struct control_request *request, const char *type, char *text,
			size_t length);

/*
 * Likewise a page, with the Content-Security-Policy that it needs; other responses get one that
 * permits nothing.
 */
void control_reply_page(struct control_request *request, const char *security, char *text,
			size_t length);

/* Send a response of another status with an error, one line for the user. */
void control_refuse(struct control_request *request, enum control_status status, const char *format,
		    ...) __attribute__((format(printf, 3, 4)));

/*
 * Set a callback for the event loop to call, at most once, when the peer closes before the response
 * or the end of the stream. The response is still owed, by `closed` or later.
 */
void control_on_close(struct control_request *request, void (*closed)(void *context),
		      void *context);
bool control_is_closed(const struct control_request *request);

/*
 * Count `bytes` of a response under construction against the peer's quota (quota.h). False: the
 * quota is exceeded, the response should be a refusal.
 */
bool control_reserve(struct control_request *request, size_t bytes);

/*
 * Begin a streamed response, of one JSON text a line, which lasts as long as the peer reads; then
 * control_end() is owed instead of control_reply(). False: out of memory, or the peer has closed, and
 * control_reply() is still owed.
 */
bool control_begin(struct control_request *request);

/*
 * Send a line (takes the reference; NULL: out of memory). False: it is dropped, because the peer has
 * closed or reads too slowly.
 */
bool control_stream(struct control_request *request, json_t *line);
void control_end(struct control_request *request);

#endif
