// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: a server in a child process, clients in this one. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "control/server.h"
#include "control/client.h"
#include "control/quota.h"
#include "support/test.h"

struct fixture {
	char directory[32];
	char path[48]; /* below a directory that the server creates */
	pid_t server;
};

/* --- the server */

/* Deferred requests, in the order of arrival. */
static struct {
	struct control_deferred *deferred;
	json_t *request;
} waiting[8];
static size_t waiting_count;
static size_t gone_count;

static void count_gone(void *context)
{
	(void)context;
	gone_count++;
}

static json_t *defer(json_t *request, const struct control_peer *peer)
{
	json_t *bytes = json_object_get(request, "hold");

	waiting[waiting_count].deferred = control_defer(peer);
	control_on_close(waiting[waiting_count].deferred, count_gone, NULL);
	if (bytes && !control_reserve(waiting[waiting_count].deferred, json_integer_value(bytes))) {
		control_complete(waiting[waiting_count].deferred, control_refusal("held too much"));
		return NULL;
	}
	waiting[waiting_count++].request = json_incref(request);
	return NULL;
}

/* Complete all of them, the last first. */
static json_t *release(void)
{
	json_t *count = json_pack("{s:b, s:I}", "ok", 1, "released", (json_int_t)waiting_count);

	while (waiting_count) {
		waiting_count--;
		control_complete(
			waiting[waiting_count].deferred,
			json_pack("{s:b, s:o}", "ok", 1, "late", waiting[waiting_count].request));
	}
	return count;
}

/*
 * Echo the request and the peer's credentials; "large": with a text of that size; "wait": defer
 * until a request with "release"; "gone": how many peers of deferred requests have closed.
 */
static json_t *answer(void *context, const json_t *request, const struct control_peer *peer)
{
	json_t *large = json_object_get(request, "large");
	json_t *text = NULL;

	assert_ptr_equal(context, &answer);
	if (json_object_get(request, "wait"))
		return defer((json_t *)request, peer);
	if (json_object_get(request, "release"))
		return release();
	if (json_object_get(request, "gone"))
		return json_pack("{s:b, s:I}", "ok", 1, "gone", (json_int_t)gone_count);
	if (large) {
		size_t size = (size_t)json_integer_value(large);
		char *bytes = malloc(size);

		memset(bytes, 'x', size);
		text = json_stringn(bytes, size);
		free(bytes);
	}
	return json_pack("{s:b, s:O, s:i, s:b, s:o*}", "ok", 1, "request", request, "uid",
			 (int)peer->uid, "may_change", peer->may_change, "text", text);
}

static void stop(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(base);
}

/* Write a byte once listening. A leak changes the exit status. */
static void serve(const char *path, int ready)
{
	struct event_base *base = event_base_new();
	struct event *end = evsignal_new(base, SIGTERM, stop, base);
	struct control_socket socket = { .fd = -1 };
	struct control *control = NULL;
	struct error error;

	if (control_socket_bind(&socket, path, &error) == 0)
		control = control_open(base, &socket, answer, &answer, &error);
	if (!control) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
	event_add(end, NULL);
	if (write(ready, "", 1) != 1)
		exit(3);
	event_base_dispatch(base);
	control_close(control);
	json_decref(release()); /* the peers are closed */
	event_free(end);
	event_base_free(base);
	libevent_global_shutdown();
	exit(0);
}

static void start(struct fixture *fixture)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	fixture->server = fork();
	assert_return_code(fixture->server, errno);
	if (fixture->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* after a failure */
		close(ready[0]);
		serve(fixture->path, ready[1]);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static void end(struct fixture *fixture, int signal)
{
	int status;

	assert_int_equal(kill(fixture->server, signal), 0);
	assert_int_equal(waitpid(fixture->server, &status, 0), fixture->server);
	if (signal == SIGTERM) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	fixture->server = 0;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/tmp/control_test.XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/run/socket", fixture->directory);
	start(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char run[40];

	if (fixture->server)
		end(fixture, SIGTERM);
	unlink(fixture->path);
	snprintf(run, sizeof(run), "%s/run", fixture->directory);
	rmdir(run);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

TEST_EACH(set_up, tear_down)

/* --- the client */

static json_t *ask(const struct fixture *fixture, json_t *request)
{
	struct error error = { "" };
	json_t *reply;

	if (control_ask(fixture->path, request, &reply, &error) != CONTROL_OK)
		fail_msg("%s", error.text);
	json_decref(request);
	return reply;
}

static void expect_served(const struct fixture *fixture)
{
	json_t *reply = ask(fixture, json_pack("{s:s}", "command", "status"));

	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
}

static int open_raw(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
	assert_return_code(fd, errno);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Read to the end of file; the response must be one line. */
static void expect_text(int fd, const char *text)
{
	char got[4096];
	size_t length = 0;
	ssize_t more;

	while ((more = recv(fd, got + length, sizeof(got) - 1 - length, 0)) > 0)
		length += (size_t)more;
	got[length] = '\0';
	assert_non_null(strstr(got, text));
	assert_ptr_equal(strchr(got, '\n'), got + length - 1);
	close(fd);
}

TEST(request_gets_response)
{
	json_t *request = json_pack("{s:s, s:[s, s]}", "command", "check", "urls", "http://e.org/a",
				    "http://e.org/\\x80\\\\");
	json_t *reply = ask(*state, json_incref(request));

	assert_true(json_equal(json_object_get(reply, "request"), request));
	assert_int_equal(json_integer_value(json_object_get(reply, "uid")), getuid());
	assert_true(json_is_true(json_object_get(reply, "may_change")));
	json_decref(request);
	json_decref(reply);
}

TEST(large_requests_and_responses)
{
	size_t size = 5u << 20;
	char *bytes = malloc(size + 1);
	json_t *reply;

	memset(bytes, 'y', size);
	bytes[size] = '\0';
	reply = ask(*state, json_pack("{s:s}", "text", bytes));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "request"), "text")),
		bytes);
	json_decref(reply);
	free(bytes);
}

TEST(oversize_request_is_refused)
{
	size_t size = CONTROL_REQUEST_MAX;
	char *bytes = malloc(size + 1);
	int fd = open_raw(*state);
	struct error error;
	json_t *request;
	json_t *reply;
	size_t sent = 0;
	ssize_t more;

	memset(bytes, ' ', size);
	bytes[size] = '\0';
	while (sent < size && (more = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL)) > 0)
		sent += (size_t)more;
	expect_text(fd, "longer than 67108864 bytes");

	request = json_pack("{s:s}", "text", bytes);
	assert_int_equal(control_ask(((struct fixture *)*state)->path, request, &reply, &error),
			 CONTROL_FAILED);
	assert_non_null(strstr(error.text, "67108863"));
	json_decref(request);
	free(bytes);
	expect_served(*state);
}

TEST(malformed_requests_are_refused)
{
	static const char *const garbage[] = {
		"what?\n", "[1, 2]\n",	 "\n",	"{\"a\": 1, \"a\": 2}\n",
		"{} {}\n", "\xff\xfe\n", "7\n",
	};

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		int fd = open_raw(*state);

		send_text(fd, garbage[i]);
		expect_text(fd, "\"ok\":false");
	}
	expect_served(*state);
}

TEST(only_the_first_line_counts)
{
	int fd = open_raw(*state);

	send_text(fd, "{\"n\":1}\n{\"n\":2}\n");
	expect_text(fd, "\"request\":{\"n\":1}");
}

TEST(request_in_pieces)
{
	int fd = open_raw(*state);

	for (const char *text = "{\"command\":\"status\"}\n"; *text; text++) {
		char piece[2] = { *text };

		send_text(fd, piece);
		usleep(1000);
	}
	expect_text(fd, "\"ok\":true");
}

TEST(last_line_without_newline)
{
	int fd = open_raw(*state);

	send_text(fd, "{\"command\":\"status\"}");
	shutdown(fd, SHUT_WR);
	expect_text(fd, "\"ok\":true");
}

TEST(incomplete_requests_do_no_harm)
{
	for (int i = 0; i < 100; i++) {
		int fd = open_raw(*state);

		if (i % 3)
			send_text(fd, i % 2 ? "{\"comm" : "{\"large\": 1000000}\n");
		close(fd);
	}
	expect_served(*state);
}

TEST(two_connections_at_once)
{
	int first = open_raw(*state);
	int second = open_raw(*state);

	send_text(first, "{\"n\":");
	send_text(second, "{\"n\":2}\n");
	expect_text(second, "\"n\":2");
	send_text(first, "1}\n");
	expect_text(first, "\"n\":1");
}

TEST(peers_that_never_read)
{
	int fd[8];

	for (int i = 0; i < 8; i++) {
		fd[i] = open_raw(*state);
		send_text(fd[i], "{\"large\": 10000000}\n");
	}
	expect_served(*state);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	expect_served(*state);
}

/* Connects as another user, for whom the socket is open in this test. */
static int open_as(const struct fixture *fixture, uid_t uid)
{
	int fd;

	assert_int_equal(chmod(fixture->path, 0666), 0);
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	assert_int_equal(syscall(SYS_setresuid, -1, uid, -1), 0);
	fd = open_raw(fixture);
	assert_int_equal(syscall(SYS_setresuid, -1, 0, -1), 0);
	return fd;
}

/* One line and end of file, without a request. */
static void expect_refused(int fd)
{
	char got[1024] = "";

	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "\"ok\":false"));
	assert_non_null(strstr(got, "too many connections"));
	assert_true(recv(fd, got, 1, 0) <= 0);
	close(fd);
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
	expect_refused(open_as(*state, 1001));
	expect_refused(open_as(*state, 2001)); /* all readers together */
	for (int i = 0; i < QUOTA_ALL - QUOTA_READERS - 1; i++) {
		int one = open_raw(*state);

		send_text(one, "{\"n\":1}\n");
		expect_text(one, "\"n\":1");
	}
	close(fd[--count]);
	fd[count] = open_as(*state, 1001 + QUOTA_READERS / QUOTA_ONE_READER);
	send_text(fd[count], "{\"n\":2}\n");
	expect_text(fd[count], "\"n\":2");
	while (count--)
		close(fd[count]);
}

TEST(connections_of_one_reader_are_limited)
{
	int fd[QUOTA_ONE_READER], other;

	if (geteuid() != 0)
		skip();
	for (int i = 0; i < QUOTA_ONE_READER; i++)
		fd[i] = open_as(*state, 1001);
	expect_served(*state);
	expect_refused(open_as(*state, 1001));
	other = open_as(*state, 1002);
	send_text(other, "{\"n\":1}\n");
	expect_text(other, "\"may_change\":false");
	for (int i = 0; i < QUOTA_ONE_READER; i++)
		close(fd[i]);
}

/* Bytes that wait to be read are counted for all of a reader's connections together. */
TEST(bytes_held_for_a_reader_are_limited)
{
	char request[64];
	int first, second;

	if (geteuid() != 0)
		skip();
	first = open_as(*state, 1001);
	second = open_as(*state, 1001);
	snprintf(request, sizeof(request), "{\"large\": %zu}\n", QUOTA_ONE_READER_BYTES - 100000);
	send_text(first, request);
	expect_served(*state);
	send_text(second, "{\"large\": 200000}\n");
	expect_text(second, "too much is buffered");
	second = open_as(*state, 1002);
	send_text(second, "{\"large\": 3000}\n");
	expect_text(second, "\"ok\":true");
	close(first);
	expect_served(*state);
	second = open_as(*state, 1001);
	snprintf(request, sizeof(request), "{\"wait\":1,\"hold\":%zu}\n",
		 QUOTA_ONE_READER_BYTES + 1);
	send_text(second, request);
	expect_text(second, "held too much");
}

/* A peer that sends and one that reads a byte per second: each makes progress, without end. */
TEST(slow_peers_are_closed_at_the_deadline)
{
	int writer = open_raw(*state), reader = open_raw(*state), size = 4096;
	bool writing = true, reading = true;
	char got[256];

	setsockopt(reader, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	send_text(reader, "{\"large\": 10000000}\n");
	for (int second = 0; (writing || reading) && second < 3 * CONTROL_DEADLINE; second++) {
		expect_served(*state);
		sleep(1);
		/* After the end there is what was on the way, of 10 million bytes not much. */
		if (reading && recv(reader, got, 1, 0) == 1) {
			struct pollfd end = { .fd = reader };

			reading = poll(&end, 1, 0) == 0 || !(end.revents & POLLHUP);
		}
		if (writing)
			writing = send(writer, " ", 1, MSG_NOSIGNAL) == 1 &&
				  recv(writer, got, sizeof(got), MSG_DONTWAIT | MSG_PEEK) < 0;
	}
	assert_false(reading);
	assert_false(writing);
	expect_text(writer, "not complete");
	close(reader);
}

/* Waits until the server has read what the others have sent. */
static size_t released(const struct fixture *fixture)
{
	json_t *reply = ask(fixture, json_pack("{s:b}", "release", 1));
	size_t count = json_integer_value(json_object_get(reply, "released"));

	json_decref(reply);
	return count;
}

/* Keepalives may have arrived. */
static void expect_no_response(int fd)
{
	char bytes[64];
	ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	assert_int_not_equal(length, 0);
	for (ssize_t i = 0; i < length; i++)
		assert_int_equal(bytes[i], ' ');
}

TEST(deferred_request_delays_no_other)
{
	int first = open_raw(*state);
	int second = open_raw(*state);

	send_text(first, "{\"wait\":1}\n");
	expect_served(*state);
	send_text(second, "{\"wait\":2}\n");
	shutdown(second, SHUT_WR); /* half closed: it can still read */
	for (int i = 0; i < 10; i++)
		expect_served(*state);
	expect_no_response(first);
	expect_no_response(second);
	assert_int_equal(released(*state), 2);
	expect_text(first, "\"late\":{\"wait\":1}");
	expect_text(second, "\"late\":{\"wait\":2}");
}

static size_t gone(const struct fixture *fixture)
{
	json_t *reply = ask(fixture, json_pack("{s:b}", "gone", 1));
	size_t count = json_integer_value(json_object_get(reply, "gone"));

	json_decref(reply);
	return count;
}

TEST(peer_of_deferred_request_closes)
{
	size_t count = 0;

	for (int i = 0; i < 2; i++) {
		int fd = open_raw(*state);
		/* With unread data in the socket the peer sees a reset, not an end. */
		const struct linger reset = { .l_onoff = 1 };

		send_text(fd, "{\"wait\":1}\nmore");
		expect_served(*state);
		if (i)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		/* Noticed at once, not at the next keepalive. */
		for (int tries = 0; gone(*state) == (size_t)i && tries < 1000; tries++)
			usleep(1000);
		assert_int_equal(gone(*state), i + 1);
	}
	count = released(*state);
	assert_int_equal(count, 2);
	expect_served(*state);
}

TEST(server_exits_with_deferred_request)
{
	int fd = open_raw(*state);
	char byte = ' ';

	send_text(fd, "{\"wait\":1}\n");
	expect_served(*state);
	end(*state, SIGTERM); /* with a status that a leak would change */
	while (byte == ' ' && recv(fd, &byte, 1, 0) == 1)
		;
	assert_int_equal(byte, ' ');
	close(fd);
}

TEST(deferred_request_gets_keepalives)
{
	int fd = open_raw(*state);
	char byte;

	send_text(fd, "{\"wait\":1}\n");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(recv(fd, &byte, 1, 0), 1);
		assert_int_equal(byte, ' ');
	}
	assert_int_equal(released(*state), 1);
	expect_text(fd, "\"late\":{\"wait\":1}");
}

/* Asks in a process of its own, which ends with 0 if the client gives up the server. */
static pid_t ask_in_child(const struct fixture *fixture)
{
	pid_t aside = fork();
	struct error error;
	json_t *reply;

	assert_return_code(aside, errno);
	if (aside)
		return aside;
	alarm(60); /* only so that a failure ends */
	if (control_ask(fixture->path, json_object(), &reply, &error) == CONTROL_FAILED &&
	    strstr(error.text, "no response"))
		_exit(0);
	_exit(1);
}

TEST(client_times_out)
{
	struct fixture *fixture = *state;
	pid_t aside;
	int status;

	kill(fixture->server, SIGSTOP);
	aside = ask_in_child(fixture);
	waitpid(aside, &status, 0);
	kill(fixture->server, SIGCONT);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- the place in the file system */

static void expect_no_open(const char *path, const char *text)
{
	struct control_socket socket = { .fd = -1 };
	struct error error = { "" };

	assert_int_equal(control_socket_bind(&socket, path, &error), -1);
	assert_non_null(strstr(error.text, path));
	assert_non_null(strstr(error.text, text));
}

TEST(socket_mode)
{
	struct fixture *fixture = *state;
	struct stat status;

	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
}

TEST(live_socket_is_not_replaced)
{
	struct fixture *fixture = *state;

	expect_no_open(fixture->path, "another daemon listens");
	expect_served(fixture);
}

TEST(stale_socket_is_replaced)
{
	struct fixture *fixture = *state;
	struct error error;
	json_t *request = json_object();
	json_t *reply;

	end(fixture, SIGKILL);
	assert_int_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(control_ask(fixture->path, request, &reply, &error), CONTROL_NO_DAEMON);
	assert_null(reply);
	assert_non_null(strstr(error.text, fixture->path));
	json_decref(request);
	start(fixture);
	expect_served(fixture);
}

TEST(socket_is_removed_on_exit)
{
	struct fixture *fixture = *state;
	struct error error;
	json_t *request = json_object();
	json_t *reply;

	end(fixture, SIGTERM);
	assert_int_equal(access(fixture->path, F_OK), -1);
	assert_int_equal(control_ask(fixture->path, request, &reply, &error), CONTROL_NO_DAEMON);
	assert_non_null(strstr(error.text, "running"));
	json_decref(request);
}

TEST(foreign_file_is_not_removed)
{
	struct fixture *fixture = *state;
	FILE *file;

	assert_int_equal(unlink(fixture->path), 0);
	file = fopen(fixture->path, "w");
	assert_non_null(file);
	fclose(file);
	end(fixture, SIGTERM);
	assert_int_equal(access(fixture->path, F_OK), 0);
	expect_no_open(fixture->path, "not a socket");
	assert_int_equal(access(fixture->path, F_OK), 0);
}

TEST_EACH(NULL, NULL)

TEST(too_long_path_is_refused)
{
	char path[200];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	expect_no_open(path, "107 bytes");
}

TEST(refusals_escape_any_bytes)
{
	json_t *refusal = control_refusal("%s: %d", "\xff", 7);

	assert_string_equal(json_string_value(json_object_get(refusal, "error")), "\\xff: 7");
	assert_true(json_is_false(json_object_get(refusal, "ok")));
	json_decref(refusal);
}
