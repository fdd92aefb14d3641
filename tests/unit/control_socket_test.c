// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket's place in the file system. */
#include <signal.h>
#include <sys/stat.h>

#include "control/client.h"
#include "control/server.h"
#include "support/control.h"

TEST_EACH(control_set_up, control_tear_down)

static void expect_no_open(const char *path, const char *text)
{
	struct socket_file socket = { .fd = -1 };
	struct error error = { "" };

	assert_int_equal(socket_file_bind(&socket, &control_socket, path, &error), -1);
	assert_non_null(strstr(error.text, path));
	assert_non_null(strstr(error.text, text));
}

TEST(socket_mode)
{
	struct control_fixture *fixture = *state;
	struct stat status;

	assert_int_equal(stat(fixture->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
}

TEST(live_socket_is_not_replaced)
{
	struct control_fixture *fixture = *state;

	expect_no_open(fixture->path, "another daemon listens");
	expect_served(fixture);
}

TEST(stale_socket_is_replaced)
{
	struct control_fixture *fixture = *state;
	struct error error;
	json_t *reply;

	control_stop(fixture, SIGKILL);
	assert_int_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(control_ask(fixture->path, "GET", "/", NULL, &reply, &error),
			 CONTROL_NO_DAEMON);
	assert_null(reply);
	assert_non_null(strstr(error.text, fixture->path));
	control_start(fixture);
	expect_served(fixture);
}

TEST(socket_is_removed_on_exit)
{
	struct control_fixture *fixture = *state;
	struct error error;
	json_t *reply;

	control_stop(fixture, SIGTERM);
	assert_int_equal(access(fixture->path, F_OK), -1);
	assert_int_equal(control_ask(fixture->path, "GET", "/", NULL, &reply, &error),
			 CONTROL_NO_DAEMON);
	assert_non_null(strstr(error.text, "running"));
}

TEST(foreign_file_is_not_removed)
{
	struct control_fixture *fixture = *state;
	FILE *file;

	assert_int_equal(unlink(fixture->path), 0);
	file = fopen(fixture->path, "w");
	assert_non_null(file);
	fclose(file);
	control_stop(fixture, SIGTERM);
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
