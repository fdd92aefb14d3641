// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "control/client.h"
#include "control/server.h"
#include "support/control.h"

/* --- the server */

/* Requests that wait or are streamed to, in the order of arrival. */
static struct {
	struct control_request *request;
	bool stream;
} waiting[8];
static size_t waiting_count, gone_count;

static size_t number(const struct control_request *request, const char *key)
{
	const char *text = control_argument(request, key);

	return text ? strtoul(text, NULL, 10) : 0;
}

static json_t *text_of(size_t size)
{
	char *bytes = malloc(size + 1);
	json_t *text;

	memset(bytes, 'x', size);
	text = json_stringn(bytes, size);
	free(bytes);
	return text;
}

static void echo(void *context, struct control_request *request)
{
	const char *argument = control_argument(request, "a");

	assert_ptr_equal(context, &waiting);
	control_reply(request, json_pack("{s:O?, s:o}", "body", control_body(request), "argument",
					 argument ? control_text(argument) : json_null()));
}

static void large(void *context, struct control_request *request)
{
	control_reply(request, json_pack("{s:o}", "text", text_of(number(request, "size"))));
}

static void put_thing(void *context, struct control_request *request)
{
	control_reply(request, json_pack("{s:s}", "name", control_name(request)));
}

static void count_gone(void *context)
{
	gone_count++;
}

static void add_waiting(struct control_request *request, bool stream)
{
	control_on_close(request, count_gone, NULL);
	waiting[waiting_count].stream = stream;
	waiting[waiting_count++].request = request;
}

static void wait_for_release(void *context, struct control_request *request)
{
	if (control_reserve(request, number(request, "hold")))
		add_waiting(request, false);
	else
		control_refuse(request, CONTROL_STATUS_OVER_QUOTA, "held too much");
}

static json_t *line_of(size_t size)
{
	return json_pack("{s:o}", "line", text_of(size));
}

static void stream(void *context, struct control_request *request)
{
	size_t count = number(request, "count"), size = number(request, "size");

	assert_true(control_begin(request));
	add_waiting(request, true);
	for (size_t i = 0; i < count; i++)
		control_stream(request, line_of(size));
}

static void push(void *context, struct control_request *request)
{
	json_int_t queued = 0;

	for (size_t i = 0; i < waiting_count; i++)
		queued += waiting[i].stream && control_stream(waiting[i].request, line_of(1000));
	control_reply(request, json_pack("{s:I}", "queued", queued));
}

static size_t release_all(void)
{
	size_t count = waiting_count;

	while (waiting_count) {
		waiting_count--;
		if (waiting[waiting_count].stream)
			control_end(waiting[waiting_count].request);
		else
			control_reply(waiting[waiting_count].request,
				      json_pack("{s:I}", "late", (json_int_t)waiting_count));
	}
	return count;
}

static void release(void *context, struct control_request *request)
{
	control_reply(request, json_pack("{s:I}", "released", (json_int_t)release_all()));
}

static void gone(void *context, struct control_request *request)
{
	control_reply(request, json_pack("{s:I}", "gone", (json_int_t)gone_count));
}

#define ANY .members = "*", .arguments = "*"

static const struct control_resource resources[] = {
	{ "POST", "/v1/echo", echo, false, "", ANY },
	{ "GET", "/v1/large", large, false, "", ANY },
	{ "PUT", "/v1/things/", put_thing, true, "", ANY },
	{ "DELETE", "/v1/things/", put_thing, true, "", ANY },
	{ "POST", "/v1/wait", wait_for_release, false, "", ANY },
	{ "GET", "/v1/stream", stream, false, "", ANY },
	{ "POST", "/v1/push", push, false, "", ANY },
	{ "POST", "/v1/release", release, false, "", ANY },
	{ "GET", "/v1/gone", gone, false, "", ANY },
	{ NULL },
};

static void stop(evutil_socket_t fd, short what, void *base)
{
	event_base_loopbreak(base);
}

/* Write a byte once listening. A leak changes the exit status. */
static void serve(const char *path, int ready)
{
	struct event_base *base = event_base_new();
	struct event *end = evsignal_new(base, SIGTERM, stop, base);
	struct socket_file socket = { .fd = -1 };
	struct control *control = NULL;
	struct error error;

	if (socket_file_bind(&socket, &control_socket, path, &error) == 0)
		control = control_open(base, &socket, resources, &waiting, &error);
	if (!control) {
		fprintf(stderr, "%s\n", error.text);
		exit(2);
	}
	event_add(end, NULL);
	if (write(ready, "", 1) != 1)
		exit(3);
	event_base_dispatch(base);
	control_close(control);
	release_all(); /* the peers are closed */
	event_free(end);
	event_base_free(base);
	libevent_global_shutdown();
	exit(0);
}

void control_start(struct control_fixture *fixture)
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

void control_stop(struct control_fixture *fixture, int signal)
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

int control_set_up(void **state)
{
	struct control_fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->directory, "/tmp/control_test.XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/run/socket", fixture->directory);
	control_start(fixture);
	*state = fixture;
	return 0;
}

int control_tear_down(void **state)
{
	struct control_fixture *fixture = *state;
	char run[40];

	if (fixture->server)
		control_stop(fixture, SIGTERM);
	unlink(fixture->path);
	snprintf(run, sizeof(run), "%s/run", fixture->directory);
	rmdir(run);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

/* --- clients */

json_t *fixture_ask(const struct control_fixture *fixture, const char *method, const char *resource,
		    json_t *body)
{
	struct error error = { "" };
	json_t *reply;

	if (control_ask(fixture->path, method, resource, body, &reply, &error) != CONTROL_OK)
		fail_msg("%s", error.text);
	json_decref(body);
	return reply;
}

json_int_t ask_number(const struct control_fixture *fixture, const char *method,
		      const char *resource, const char *key)
{
	json_t *reply = fixture_ask(fixture, method, resource, NULL);
	json_int_t value = json_integer_value(json_object_get(reply, key));

	json_decref(reply);
	return value;
}

void expect_served(const struct control_fixture *fixture)
{
	json_decref(fixture_ask(fixture, "POST", "/v1/echo", NULL));
}

int open_raw(const struct control_fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 60 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
	assert_return_code(fd, errno);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

int open_as(const struct control_fixture *fixture, uid_t uid)
{
	int fd;

	assert_int_equal(chmod(fixture->path, 0666), 0);
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	assert_int_equal(syscall(SYS_setresuid, -1, uid, -1), 0);
	fd = open_raw(fixture);
	assert_int_equal(syscall(SYS_setresuid, -1, 0, -1), 0);
	return fd;
}

void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void send_request(int fd, const char *method, const char *resource, const char *body)
{
	char *text;

	assert_true(asprintf(&text,
			     "%s %s HTTP/1.1\r\nHost: xdp-icp\r\nContent-Length: %zu\r\n\r\n%s",
			     method, resource, strlen(body), body) > 0);
	send_text(fd, text);
	free(text);
}

void expect_response(int fd, int status, const char *text)
{
	static const char keepalive[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char bytes[8192], line[32];
	const char *response = bytes;
	size_t length = 0;
	ssize_t more;

	while ((more = recv(fd, bytes + length, sizeof(bytes) - 1 - length, 0)) > 0)
		length += (size_t)more;
	assert_false(more < 0 && errno == EAGAIN); /* the server has to close */
	bytes[length] = '\0';
	while (strncmp(response, keepalive, sizeof(keepalive) - 1) == 0)
		response += sizeof(keepalive) - 1;
	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	if (strncmp(response, line, strlen(line)) || !strstr(response, text))
		fail_msg("expected %d and '%s', got '%s'", status, text, bytes);
	close(fd);
}
