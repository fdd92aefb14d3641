// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: requests, good and bad ones, and who may make them. */
#include <sys/socket.h>

#include "control/protocol.h"
#include "support/control.h"

TEST_EACH(control_set_up, control_tear_down)

TEST(request_gets_response)
{
	json_t *body = json_pack("{s:[s, s]}", "urls", "http://e.org/a", "http://e.org/\\x80\\\\");
	json_t *reply = fixture_ask(*state, "POST", "/v1/echo?a=%26%20b%ff", json_incref(body));

	assert_true(json_equal(json_object_get(reply, "body"), body));
	assert_string_equal(json_string_value(json_object_get(reply, "argument")), "& b\\xff");
	json_decref(body);
	json_decref(reply);
	reply = fixture_ask(*state, "POST", "/v1/echo", NULL);
	assert_true(json_is_null(json_object_get(reply, "body")));
	assert_true(json_is_null(json_object_get(reply, "argument")));
	json_decref(reply);
}

static void expect_name(const struct control_fixture *fixture, const char *resource,
			const char *name)
{
	json_t *reply = fixture_ask(fixture, "PUT", resource, NULL);

	assert_string_equal(json_string_value(json_object_get(reply, "name")), name);
	json_decref(reply);
}

TEST(members_of_a_collection_have_any_name)
{
	expect_name(*state, "/v1/things/a", "a");
	expect_name(*state, "/v1/things/a%2fb/c", "a/b/c");
	expect_name(*state, "/v1/things/%5Cxff%20%3F", "\\xff ?");
	expect_name(*state, "/v1/things/a%00b", "a%00b"); /* no NUL gets in by an encoding */
}

static void expect_refusal(const struct control_fixture *fixture, const char *request, int status,
			   const char *text)
{
	int fd = open_raw(fixture);

	send_text(fd, request);
	expect_response(fd, status, text);
}

#define END " HTTP/1.1\r\nHost: x\r\n\r\n"

TEST(unknown_resources_and_methods)
{
	expect_refusal(*state, "GET /" END, 404, "/: no such resource; GET /v1 lists them");
	expect_refusal(*state, "GET /v1/ech" END, 404, "no such resource");
	expect_refusal(*state, "POST /v1/echo/" END, 404, "no such resource");
	expect_refusal(*state, "PUT /v1/things/" END, 404, "no such resource");
	expect_refusal(*state, "GET /v1/echo" END, 405, "Allow: POST\r\n");
	expect_refusal(*state, "HEAD /v1/echo" END, 405, "Allow: POST\r\n");
	expect_refusal(*state, "POST /v1/things/a" END, 405, "Allow: PUT\r\nAllow: DELETE\r\n");
	expect_refusal(*state, "GET /\xff%1b" END, 404, "{\"error\":\"/\\\\xff\\\\x1b: no");
}

TEST(malformed_bodies)
{
	static const char *const bodies[] = { "what?", "[1, 2]",   "{\"a\": 1, \"a\": 2}",
					      "{} {}", "\xff\xfe", "7",
					      "{",     "\n" };

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		int fd = open_raw(*state);

		send_request(fd, "POST", "/v1/echo", bodies[i]);
		expect_response(fd, 400, "{\"error\":\"the body is not");
	}
	expect_served(*state);
}

TEST(malformed_requests)
{
	int fd = open_raw(*state);
	char byte;

	send_text(fd, "what?\r\n\r\n");
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	expect_refusal(*state, "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		       400, "");
	expect_served(*state);
}

TEST(headers_are_bounded)
{
	size_t size = 200000;
	char *long_one = malloc(size + 1);
	int fd = open_raw(*state);

	memset(long_one, 'a', size);
	long_one[size] = '\0';
	send_text(fd, "GET /v1/echo HTTP/1.1\r\nHost: x\r\nX: ");
	while (send(fd, long_one, size, MSG_NOSIGNAL) > 0)
		;
	close(fd);
	free(long_one);
	expect_served(*state);
}

TEST(request_in_pieces)
{
	int fd = open_raw(*state);

	for (const char *text =
		     "POST /v1/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "3\r\n{\"n\r\n4\r\n\":1}\r\n0\r\n\r\n";
	     *text; text++) {
		char piece[2] = { *text };

		send_text(fd, piece);
		usleep(1000);
	}
	expect_response(fd, 200, "\"body\":{\"n\":1}");
}

TEST(one_request_a_connection)
{
	int fd = open_raw(*state);

	send_text(fd, "POST /v1/release" END "PUT /v1/things/second" END);
	expect_response(fd, 200, "\"released\":0}\n");
	fd = open_raw(*state);
	send_text(fd, "POST /v1/release HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	expect_response(fd, 200, "Connection: close");
}

TEST(incomplete_requests_do_no_harm)
{
	for (int i = 0; i < 100; i++) {
		int fd = open_raw(*state);

		if (i % 3)
			send_text(fd, i % 2 ? "POST /v1/ec" : "GET /v1/large?size=1000000" END);
		close(fd);
	}
	expect_served(*state);
}

TEST(two_connections_at_once)
{
	int first = open_raw(*state);
	int second = open_raw(*state);

	send_text(first, "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"n\":");
	send_request(second, "POST", "/v1/echo", "{\"n\":2}");
	expect_response(second, 200, "\"n\":2");
	send_text(first, "1}");
	expect_response(first, 200, "\"n\":1");
}

TEST(changes_are_for_the_servers_user)
{
	int fd;

	if (geteuid() != 0)
		skip();
	fd = open_as(*state, 1001);
	send_request(fd, "PUT", "/v1/things/a", "");
	expect_response(fd, 403, "PUT /v1/things/a: permitted only for root and the daemon's user");
	fd = open_as(*state, 1001);
	send_request(fd, "POST", "/v1/echo", "{\"n\":1}");
	expect_response(fd, 200, "\"n\":1");
	fd = open_raw(*state);
	send_request(fd, "PUT", "/v1/things/a", "");
	expect_response(fd, 200, "\"name\":\"a\"");
}

/* Whoever waits for 100 Continue is refused before it has sent the body, others after that. */
TEST(refusals_before_the_body)
{
	int fd = open_raw(*state);

	send_text(fd, "POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
		      "Expect: 100-continue\r\n\r\n");
	expect_response(fd, 404, "no such resource");
	fd = open_raw(*state);
	send_text(fd, "POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n");
	for (int i = 0; i < 1000; i++) {
		char part[5001];

		memset(part, ' ', 5000);
		part[5000] = '\0';
		send_text(fd, part);
	}
	expect_response(fd, 404, "no such resource");
}
