// SPDX-License-Identifier: GPL-2.0-or-later
/* The client of the control socket. */
#include <signal.h>
#include <sys/wait.h>

#include "control/client.h"
#include "control/protocol.h"
#include "support/control.h"

TEST_EACH(control_set_up, control_tear_down)

static const char *path_of(void **state)
{
	return ((struct control_fixture *)*state)->path;
}

TEST(refusals_have_the_daemons_words)
{
	struct error error;
	json_t *reply;

	assert_int_equal(control_ask(path_of(state), "GET", "/v1/nothing", NULL, &reply, &error),
			 CONTROL_REFUSED);
	assert_string_equal(error.text, "/v1/nothing: no such resource; GET /v1 lists them");
	assert_null(reply);
}

TEST(texts_are_encoded)
{
	char *encoded = control_encode("a/b?&=%+ \\x\xff");

	assert_string_equal(encoded, "a%2Fb%3F%26%3D%25%2B%20%5Cx%FF");
	free(encoded);
	encoded = control_encode("");
	assert_string_equal(encoded, "");
	free(encoded);
}

TEST(requests_are_bounded)
{
	char *bytes = malloc(CONTROL_REQUEST_MAX + 1);
	struct error error;
	json_t *body, *reply;

	memset(bytes, ' ', CONTROL_REQUEST_MAX);
	bytes[CONTROL_REQUEST_MAX] = '\0';
	body = json_pack("{s:s}", "text", bytes);
	assert_int_equal(control_ask(path_of(state), "POST", "/v1/echo", body, &reply, &error),
			 CONTROL_FAILED);
	assert_non_null(strstr(error.text, "67108864"));
	bytes[5000] = '\0';
	assert_int_equal(control_ask(path_of(state), "GET", bytes, NULL, &reply, &error),
			 CONTROL_FAILED);
	assert_non_null(strstr(error.text, "too long"));
	json_decref(body);
	free(bytes);
}

/* In a process of its own, which ends with 0 if the client gives the server up. */
static pid_t ask_in_child(const char *path)
{
	pid_t aside = fork();
	struct error error;
	json_t *reply;

	assert_return_code(aside, errno);
	if (aside)
		return aside;
	alarm(60); /* only so that a failure ends */
	if (control_ask(path, "POST", "/v1/echo", NULL, &reply, &error) == CONTROL_FAILED &&
	    strstr(error.text, "no response"))
		_exit(0);
	_exit(1);
}

static bool count_lines(void *context, const json_t *line)
{
	size_t *left = context;

	assert_int_equal(json_string_length(json_object_get(line, "line")), 20000);
	return --*left;
}

TEST(client_times_out)
{
	struct control_fixture *fixture = *state;
	enum control_result followed;
	struct error error;
	size_t left = 1;
	pid_t aside;
	int status;

	kill(fixture->server, SIGSTOP);
	aside = ask_in_child(fixture->path);
	followed = control_follow(fixture->path, "/v1/stream?count=1&size=20000", count_lines,
				  &left, 20, &error);
	waitpid(aside, &status, 0);
	kill(fixture->server, SIGCONT);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(followed, CONTROL_FAILED);
	assert_non_null(strstr(error.text, "no response"));
}

TEST(streams_are_followed)
{
	struct error error;
	size_t left = 30;

	assert_int_equal(control_follow(path_of(state), "/v1/stream?count=40&size=20000",
					count_lines, &left, 0, &error),
			 CONTROL_OK);
	assert_int_equal(left, 0);
	left = 30;
	assert_int_equal(control_follow(path_of(state), "/v1/stream?count=7&size=20000",
					count_lines, &left, 1, &error),
			 CONTROL_OK);
	assert_int_equal(left, 23);
	assert_int_equal(
		control_follow(path_of(state), "/v1/nothing", count_lines, &left, 0, &error),
		CONTROL_REFUSED);
}

TEST(the_server_ends_a_stream)
{
	struct control_fixture *fixture = *state;
	struct error error = { "" };
	size_t left = 30;
	pid_t aside = fork();
	int status;

	assert_return_code(aside, errno);
	if (aside == 0) {
		sleep(1);
		_exit(kill(fixture->server, SIGTERM));
	}
	assert_int_equal(control_follow(fixture->path, "/v1/stream?count=1&size=20000", count_lines,
					&left, 0, &error),
			 CONTROL_FAILED);
	assert_non_null(strstr(error.text, "the daemon closed"));
	assert_int_equal(left, 29);
	waitpid(aside, &status, 0);
	waitpid(fixture->server, &status, 0);
	assert_int_equal(status, 0);
	fixture->server = 0;
}
