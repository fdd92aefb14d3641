// SPDX-License-Identifier: GPL-2.0-or-later
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/notify.h"
#include "support/test.h"

/* Listen as a service manager does: at a path, or with '@' in the abstract namespace. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	else
		size++;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void assert_arrives(int fd, const char *expected)
{
	char text[64] = "";

	assert_int_equal(recv(fd, text, sizeof(text) - 1, 0), strlen(expected));
	assert_string_equal(text, expected);
}

TEST(messages_arrive_at_a_path_and_in_the_abstract_namespace)
{
	char path[64], name[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/notify_test.%d", getpid());
	snprintf(name, sizeof(name), "@notify_test.%d", getpid());
	fd = listen_at(path);
	notify_open();
	notify_send("READY=%d", 1);
	assert_arrives(fd, "READY=1");
	unlink(path);
	close(fd);
	notify_send("READY=1"); /* where the manager no longer is */
	fd = listen_at(name);
	notify_open();
	notify_send("STOPPING=1\nSTATUS=%s", "ends");
	assert_arrives(fd, "STOPPING=1\nSTATUS=ends");
	close(fd);
}

TEST(children_do_not_find_the_manager)
{
	setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", formatted("%d", getpid()), 1);
	notify_open();
	assert_int_equal(notify_watchdog_interval(), 1500);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
}

TEST(nothing_is_sent_without_a_manager)
{
	static const char *const names[] = { "", "/", "relative", NULL };
	char name[256];
	int fd;

	snprintf(name, sizeof(name), "@notify_test.%d", getpid());
	fd = listen_at(name);
	for (size_t i = 0; i < 4; i++) {
		if (names[i])
			setenv("NOTIFY_SOCKET", names[i], 1);
		notify_open();
		notify_send("READY=1");
		assert_int_equal(recv(fd, name, sizeof(name), 0), -1);
	}
	memset(name, '/', sizeof(name) - 1); /* longer than an address can be */
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	notify_open();
	notify_send("READY=1");
	assert_int_equal(recv(fd, name, sizeof(name), 0), -1);
	close(fd);
}

TEST(a_watchdog_for_another_process)
{
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_open();
	assert_int_equal(notify_watchdog_interval(), 0);
	setenv("WATCHDOG_USEC", "3000000", 1);
	notify_open();
	assert_int_equal(notify_watchdog_interval(), 1500);
	notify_open();
	assert_int_equal(notify_watchdog_interval(), 0);
}
