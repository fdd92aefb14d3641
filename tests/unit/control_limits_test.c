// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: limits of connections, bytes and time. */
#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>

#include "control/quota.h"
#include "control/server.h"
#include "support/control.h"

TEST_EACH(control_set_up, control_tear_down)

static void ask_for(int fd, const char *what, size_t bytes)
{
	send_request(fd, strncmp(what, "wait", 4) ? "GET" : "POST",
		     formatted("/v1/%s%zu", what, bytes), "");
}

TEST(large_requests_and_responses)
{
	size_t size = 5u << 20;
	char *bytes = malloc(size + 1);
	json_t *reply;

	memset(bytes, 'y', size);
	bytes[size] = '\0';
	reply = fixture_ask(*state, "POST", "/v1/echo", json_pack("{s:s}", "text", bytes));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "body"), "text")), bytes);
	json_decref(reply);
	free(bytes);
}

/* Send a body of `size` bytes with its length in front, or in chunks. */
static void send_body(int fd, size_t size, bool chunked)
{
	static char part[65536];

	memset(part, ' ', sizeof(part));
	send_text(fd, "POST /v1/echo HTTP/1.1\r\nHost: x\r\n");
	send_text(fd,
		  formatted(chunked ? "Transfer-Encoding: chunked" : "Content-Length: %zu", size));
	send_text(fd, "\r\n\r\n");
	for (size_t sent = 0; sent < size; sent += sizeof(part)) {
		size_t more = size - sent < sizeof(part) ? size - sent : sizeof(part);

		if (chunked)
			send_text(fd, formatted("%zx\r\n", more));
		assert_int_equal(send(fd, part, more, MSG_NOSIGNAL), more);
		if (chunked)
			send_text(fd, "\r\n");
	}
	if (chunked)
		send_text(fd, "0\r\n\r\n");
}

TEST(oversize_requests_are_refused)
{
	for (int chunked = 0; chunked < 2; chunked++) {
		int fd = open_raw(*state);

		send_body(fd, CONTROL_REQUEST_MAX + 1, chunked);
		expect_response(fd, 413, "more than 67108864 bytes");
	}
	expect_served(*state);
}

TEST(bodies_of_readers_are_smaller)
{
	int fd;

	if (geteuid() != 0)
		skip();
	fd = open_as(*state, 1001);
	send_body(fd, CONTROL_REQUEST_MAX_READER + 1, false);
	expect_response(fd, 413, "more than 1048576 bytes");
	fd = open_as(*state, 1001);
	send_body(fd, CONTROL_REQUEST_MAX_READER, false);
	expect_response(fd, 400, "not JSON");
}

TEST(peers_that_never_read)
{
	int fd[8];

	for (int i = 0; i < 8; i++) {
		fd[i] = open_raw(*state);
		ask_for(fd[i], "large?size=", 10000000);
	}
	expect_served(*state);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	expect_served(*state);
}

static void expect_too_many(int fd)
{
	send_request(fd, "POST", "/v1/echo", "");
	expect_response(fd, 503, "too many connections");
}

TEST(idle_readers_are_limited)
{
	int fd[QUOTA_READERS + 2], count = 0;

	if (geteuid() != 0)
		skip();
	for (uid_t uid = 1001; count < QUOTA_READERS; uid++)
		for (int i = 0; i < QUOTA_ONE_READER && count < QUOTA_READERS; i++)
			fd[count++] = open_as(*state, uid);
	expect_served(*state); /* so that they have been accepted */
	expect_too_many(open_as(*state, 1001));
	expect_too_many(open_as(*state, 2001)); /* all readers together */
	for (int i = 0; i < QUOTA_ALL - QUOTA_READERS - 1; i++) {
		int one = open_raw(*state);

		send_request(one, "POST", "/v1/echo", "{\"n\":1}");
		expect_response(one, 200, "\"n\":1");
	}
	close(fd[--count]);
	fd[count] = open_as(*state, 1001 + QUOTA_READERS / QUOTA_ONE_READER);
	send_request(fd[count], "POST", "/v1/echo", "{\"n\":2}");
	expect_response(fd[count], 200, "\"n\":2");
	while (count--)
		close(fd[count]);
}

/* What the server has open. */
static size_t count_descriptors(const struct control_fixture *fixture)
{
	char path[32];
	size_t count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", fixture->server);
	directory = opendir(path);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

TEST(connections_of_one_reader_are_limited)
{
	int fd[QUOTA_ONE_READER], other;
	size_t open;

	if (geteuid() != 0)
		skip();
	for (int i = 0; i < QUOTA_ONE_READER; i++)
		fd[i] = open_as(*state, 1001);
	expect_served(*state);
	open = count_descriptors(*state);
	for (int i = 0; i < 40; i++) /* more than are kept open for their peers */
		expect_too_many(open_as(*state, 1001));
	assert_in_range(count_descriptors(*state), open, open + 20);
	other = open_as(*state, 1002);
	send_request(other, "POST", "/v1/echo", "{\"n\":1}");
	expect_response(other, 200, "\"n\":1");
	for (int i = 0; i < QUOTA_ONE_READER; i++)
		close(fd[i]);
}

/* Bytes that wait to be read are counted for all of a reader's connections together. */
TEST(bytes_held_for_a_reader_are_limited)
{
	int first, second, idle;

	if (geteuid() != 0)
		skip();
	idle = open_as(*state, 1001); /* what is held is counted on until the last has closed */
	first = open_as(*state, 1001);
	ask_for(first, "large?size=", QUOTA_ONE_READER_BYTES - 100000);
	expect_served(*state);
	second = open_as(*state, 1001);
	ask_for(second, "large?size=", 200000);
	expect_response(second, 503, "too much is buffered");
	second = open_as(*state, 1001);
	send_body(second, 150000, false);
	expect_response(second, 503, "too much is buffered");
	second = open_as(*state, 1002);
	ask_for(second, "large?size=", 3000);
	expect_response(second, 200, "xxx\"}\n");
	close(first);
	expect_served(*state);
	second = open_as(*state, 1001);
	ask_for(second, "wait?hold=", QUOTA_ONE_READER_BYTES + 1);
	expect_response(second, 503, "held too much");
	second = open_as(*state, 1001);
	ask_for(second, "wait?hold=", QUOTA_ONE_READER_BYTES);
	expect_served(*state);
	assert_int_equal(ask_number(*state, "POST", "/v1/release", "released"), 1);
	expect_response(second, 200, "late"); /* which takes the place of what was held */
	close(idle);
}

/* The memory that the values of a body take counts while the request is handled. */
TEST(values_held_for_a_reader_are_limited)
{
	char body[2 * CONTROL_VALUES_MAX_READER + 16] = "{\"a\":[1";
	int fd[8], refused = 0;

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < CONTROL_VALUES_MAX_READER - 10; i++)
		memcpy(body + 7 + 2 * i, ",1", 3);
	strcat(body, "]}");
	for (int i = 0; i < 8; i++) {
		fd[i] = open_as(*state, 1001);
		send_request(fd[i], "POST", "/v1/wait", body);
	}
	expect_served(*state);
	for (int i = 0; i < 8; i++)
		refused += recv(fd[i], body, 12, MSG_DONTWAIT) == 12 &&
			   memcmp(body, "HTTP/1.1 503", 12) == 0;
	assert_in_range(refused, 1, 3);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
}

/* Peers that send and one that reads a byte per second: each makes progress, without end. */
TEST(slow_peers_are_closed_at_the_deadline)
{
	int writers[2] = { open_raw(*state), open_raw(*state) }, reader = open_raw(*state);
	bool writing[2] = { true, true }, reading = true;
	int size = 4096;
	char got[256];

	setsockopt(reader, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	ask_for(reader, "large?size=", 10000000);
	send_text(writers[0], "GET /v1/echo");
	send_text(writers[1], "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n");
	for (int second = 0; (writing[0] || writing[1] || reading) && second < 3 * CONTROL_DEADLINE;
	     second++) {
		expect_served(*state);
		sleep(1);
		/* After the end there is what was on the way, of 10 million bytes not much. */
		if (reading && recv(reader, got, 1, 0) == 1) {
			struct pollfd end = { .fd = reader };

			reading = poll(&end, 1, 0) == 0 || !(end.revents & POLLHUP);
		}
		for (int i = 0; i < 2; i++)
			if (writing[i])
				writing[i] = send(writers[i], "a", 1, MSG_NOSIGNAL) == 1 &&
					     recv(writers[i], got, sizeof(got),
						  MSG_DONTWAIT | MSG_PEEK) < 0;
	}
	assert_false(reading);
	for (int i = 0; i < 2; i++) {
		assert_false(writing[i]);
		expect_response(writers[i], 408, "not complete in time");
	}
	close(reader);
}
