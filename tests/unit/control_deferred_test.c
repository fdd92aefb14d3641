// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: responses that come later, and streams. */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "control/server.h"
#include "support/control.h"

static const char keepalive[] = "HTTP/1.1 100 Continue\r\n\r\n";

TEST_EACH(control_set_up, control_tear_down)

/* Keepalives may have arrived. */
static void expect_no_response(int fd)
{
	char bytes[256] = "";
	ssize_t length = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);

	assert_int_not_equal(length, 0);
	for (ssize_t i = 0; i < length; i += (ssize_t)sizeof(keepalive) - 1)
		assert_memory_equal(bytes + i, keepalive, sizeof(keepalive) - 1);
}

static int begin_wait(const struct control_fixture *fixture)
{
	int fd = open_raw(fixture);

	send_request(fd, "POST", "/v1/wait", "");
	expect_served(fixture);
	return fd;
}

static json_int_t released(const struct control_fixture *fixture)
{
	return ask_number(fixture, "POST", "/v1/release", "released");
}

static void wait_until_gone(const struct control_fixture *fixture, json_int_t count)
{
	for (int tries = 0; tries < 10000; tries++) {
		if (ask_number(fixture, "GET", "/v1/gone", "gone") == count)
			return;
		usleep(1000);
	}
	fail();
}

TEST(deferred_request_delays_no_other)
{
	int first = begin_wait(*state);
	int second = begin_wait(*state);

	for (int i = 0; i < 10; i++)
		expect_served(*state);
	expect_no_response(first);
	expect_no_response(second);
	assert_int_equal(released(*state), 2);
	expect_response(first, 200, "{\"late\":0}\n");
	expect_response(second, 200, "{\"late\":1}\n");
}

TEST(peer_of_deferred_request_closes)
{
	for (int i = 0; i < 2; i++) {
		int fd = begin_wait(*state);
		/* With unread data in the socket the peer sees a reset, not an end. */
		const struct linger reset = { .l_onoff = 1 };

		send_text(fd, "more");
		expect_served(*state);
		assert_int_equal(ask_number(*state, "GET", "/v1/gone", "gone"), i);
		if (i)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		/* Told before the response, not at the next keepalive. */
		wait_until_gone(*state, i + 1);
	}
	assert_int_equal(released(*state), 2);
	expect_served(*state);
	assert_int_equal(ask_number(*state, "GET", "/v1/gone", "gone"), 2);
}

TEST(server_exits_with_deferred_request)
{
	int fd = begin_wait(*state);
	int stream = open_raw(*state);
	char bytes[64];

	send_request(stream, "GET", "/v1/stream", "");
	expect_served(*state);
	control_stop(*state, SIGTERM); /* with a status that a leak would change */
	assert_true(recv(fd, bytes, sizeof(bytes), 0) <= 0);
	while (recv(stream, bytes, sizeof(bytes), 0) > 0)
		;
	close(fd);
	close(stream);
}

TEST(deferred_request_gets_keepalives)
{
	int fd = begin_wait(*state), old = open_raw(*state);
	char bytes[2 * sizeof(keepalive)];
	ssize_t length = 2 * ((ssize_t)sizeof(keepalive) - 1);

	send_text(old, "POST /v1/wait HTTP/1.0\r\n\r\n"); /* may get none */
	assert_int_equal(recv(fd, bytes, (size_t)length, MSG_WAITALL), length);
	assert_memory_equal(bytes, keepalive, (size_t)length / 2);
	assert_memory_equal(bytes + length / 2, keepalive, (size_t)length / 2);
	assert_int_equal(recv(old, bytes, 1, MSG_DONTWAIT), -1);
	assert_int_equal(released(*state), 2);
	expect_response(fd, 200, "{\"late\":0}\n");
	expect_response(old, 200, "{\"late\":1}\n");
}

/* --- streams */

static int begin_stream(const struct control_fixture *fixture, const char *arguments)
{
	int fd = open_raw(fixture);

	send_request(fd, "GET", formatted("/v1/stream?%s", arguments), "");
	expect_served(fixture);
	return fd;
}

static json_int_t push(const struct control_fixture *fixture)
{
	return ask_number(fixture, "POST", "/v1/push", "queued");
}

TEST(stream_has_a_line_an_object)
{
	int fd = begin_stream(*state, "count=2&size=3");

	assert_int_equal(push(*state), 1);
	assert_int_equal(released(*state), 1);
	expect_response(fd, 200, "{\"line\":\"xxx\"}\n{\"line\":\"xxx\"}\n");
	fd = begin_stream(*state, "");
	assert_int_equal(released(*state), 1);
	expect_response(fd, 200, "Content-Type: application/x-ndjson");
}

TEST(peer_that_does_not_read_a_stream_loses_lines)
{
	int fd = begin_stream(*state, "");
	size_t pushed = 0, got = 0;
	char bytes[65536];
	ssize_t length;

	while (push(*state)) {
		pushed++;
		assert_true(pushed * 1000 < 4 * CONTROL_BACKLOG_MAX);
	}
	assert_true(pushed * 1000 > CONTROL_BACKLOG_MAX / 2);
	expect_served(*state);
	/* Once it reads, it gets all that were not lost, and new ones. */
	while (got < pushed * 1000) {
		length = recv(fd, bytes, sizeof(bytes), 0);
		assert_true(length > 0);
		got += (size_t)length;
	}
	for (int tries = 0; !push(*state); tries++) {
		recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		assert_true(tries < 10000);
	}
	assert_int_equal(released(*state), 1);
	close(fd);
}

TEST(peer_of_a_stream_closes)
{
	int idle = begin_stream(*state, "");
	int busy = begin_stream(*state, "count=1000&size=1000"); /* does not read */

	close(idle);
	wait_until_gone(*state, 1);
	close(busy);
	wait_until_gone(*state, 2);
	assert_int_equal(push(*state), 0);
	assert_int_equal(released(*state), 2);
	expect_served(*state);
}
