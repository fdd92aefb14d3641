/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to the control socket and its only request, within the server: limits in bytes and
 * time, the body, the response. libmicrohttpd owns the connection and reads and writes it.
 */
#ifndef XDP_ICP_CONTROL_REQUEST_H
#define XDP_ICP_CONTROL_REQUEST_H

#include <sys/queue.h>

#include <event2/event.h>
#include <microhttpd.h>

#include "control/quota.h"
#include "control/server.h"

enum request_stage {
	REQUEST_RECEIVING,  /* until CONTROL_DEADLINE */
	REQUEST_HANDLING,   /* without a time limit, with keepalives */
	REQUEST_RESPONDING, /* until CONTROL_DEADLINE */
	REQUEST_STREAMING,  /* until CONTROL_STREAM_TIMEOUT without progress */
};

struct control_request {
	TAILQ_ENTRY(control_request) link; /* while there is a connection */
	struct event *run;		   /* a timer that runs libmicrohttpd */
	struct quota *quota;
	uid_t uid;
	bool may_change;		   /* root and the daemon's own user */
	struct MHD_Connection *connection; /* NULL: closed */
	int fd;				   /* of the connection, which owns it */
	enum request_stage stage;
	bool http_1_0;	      /* no keepalives */
	bool owed;	      /* the handler has not replied yet */
	bool closed;	      /* by the peer, or about to be */
	bool parked;	      /* suspended: libmicrohttpd does not look at it */
	struct event *timer;  /* of the stage */
	struct event *hangup; /* of the peer, while parked */
	size_t held;	      /* bytes acquired from the quota */
	const struct control_resource *resource;
	const char *name; /* of the member of a collection */
	char *text;	  /* the body as far as received */
	size_t length;	  /* bytes of `text` */
	size_t room;	  /* bytes allocated */
	json_t *body;
	struct MHD_Response *response; /* not queued yet */
	unsigned int status;
	const char *security;	/* Content-Security-Policy of the response; NULL: it is no page */
	struct evbuffer *lines; /* of a streamed response, not passed on yet */
	void (*on_close)(void *context);
	void *context; /* of on_close */
};

/* Begin to wait for a request; the peer holds a connection of the quota. NULL: out of memory. */
struct control_request *request_new(struct event *run, struct quota *quota, uid_t uid, int fd);

/*
 * The connection is gone, or was never made: release the quota, and free the request once nothing is
 * owed for it.
 */
void request_disconnect(struct control_request *request);

/* Close the connection soon, and tell the handler. */
void request_hang_up(struct control_request *request);

/* Take a part of the body, or refuse the request. What comes after a refusal is dropped. */
void request_receive(struct control_request *request, const char *bytes, size_t length);

/* Parse the body. False: the request is refused. */
bool request_parse(struct control_request *request);

/* Queue the response, or suspend the connection until there is one. The result is for MHD. */
enum MHD_Result request_continue(struct control_request *request);

#endif
