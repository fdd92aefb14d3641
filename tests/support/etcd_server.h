/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A server in place of etcd's gateway, which sends the replies that a test sets. */
#ifndef XDP_ICP_TEST_ETCD_SERVER_H
#define XDP_ICP_TEST_ETCD_SERVER_H

#include <event2/buffer.h>
#include <event2/event.h>

#include "support/test.h"

#define ETCD_SERVER_OK "HTTP/1.1 200 OK\r\n"

struct etcd_request {
	const char *path; /* behind "/v3/" */
	const char *head, *body;
};

/* Write the whole response. Return whether to close the connection after it. */
typedef bool (*etcd_server_reply)(const struct etcd_request *request, struct evbuffer *response);

extern struct etcd_server {
	struct event_base *base; /* which tests run */
	char endpoint[32];
	etcd_server_reply reply;
	const char *text;      /* for reply(), as all below */
	unsigned int requests; /* since the test began */
	unsigned int stage;
	char seen[4][64];
} etcd_server;

/* For TEST_ALL(). */
int etcd_server_open(void **state);
int etcd_server_close(void **state);

/* Begin a test with this reply, and with nothing seen. */
void etcd_server_begin(etcd_server_reply reply);

/* Write a response with a length. */
void etcd_server_respond(struct evbuffer *response, const char *status, const char *text);

#endif
