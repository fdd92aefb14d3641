/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket for tests: a server in a child process, and clients that send any bytes. */
#ifndef XDP_ICP_TEST_CONTROL_H
#define XDP_ICP_TEST_CONTROL_H

#include <jansson.h>

#include "support/test.h"

/*
 * A server with these resources:
 *
 *	POST /v1/echo		{"body": that of the request, "argument": its argument `a`}
 *	GET /v1/large		a text of `size` bytes
 *	PUT /v1/things/NAME	{"name": NAME}, for those who may change something
 *	POST /v1/wait		replies when released; `hold` bytes count against the quota
 *	GET /v1/stream		`count` lines of `size` bytes, more with each push until released
 *	POST /v1/push		{"queued": streams that took another line}
 *	POST /v1/release	{"released": number}, the last one first
 *	GET /v1/gone		{"gone": number of peers that closed before}
 */
struct control_fixture {
	char directory[32];
	char path[48]; /* below a directory that the server creates */
	pid_t server;
};

/* Start and end a server around a test, which finds the fixture in *state. */
int control_set_up(void **state);
int control_tear_down(void **state);

/* Start it again after its end, by SIGKILL or SIGTERM; a leak makes the latter fail. */
void control_start(struct control_fixture *fixture);
void control_stop(struct control_fixture *fixture, int signal);

/* Ask for a resource by the client, and expect a response, to be released. */
json_t *fixture_ask(const struct control_fixture *fixture, const char *method, const char *resource,
		    json_t *body);

/* The same for a number in the response. */
json_int_t ask_number(const struct control_fixture *fixture, const char *method,
		      const char *resource, const char *key);

/* Ask for something, after which the server has read what others sent before. */
void expect_served(const struct control_fixture *fixture);

/* Connect, as another user for whom the socket is opened, and send bytes or a request. */
int open_raw(const struct control_fixture *fixture);
int open_as(const struct control_fixture *fixture, uid_t uid);
void send_text(int fd, const char *text);
void send_request(int fd, const char *method, const char *resource, const char *body);

/* Read until the end of file, and close: the last status must be this, and the text occur. */
void expect_response(int fd, int status, const char *text);

#endif
