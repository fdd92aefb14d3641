// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/notify.h"

static struct sockaddr_un manager;
static socklen_t manager_size; /* 0: there is none */
static unsigned int watchdog_interval;

/* A path, or with '@' a name in the abstract namespace. */
static void set_manager(const char *name)
{
	size_t length = name ? strlen(name) : 0;

	manager_size = 0;
	if (length < 2 || length >= sizeof(manager.sun_path) || !strchr("/@", name[0]))
		return;
	memcpy(manager.sun_path, name, length);
	manager.sun_family = AF_UNIX;
	manager_size = offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/');
	if (name[0] == '@')
		manager.sun_path[0] = '\0';
}

/* WATCHDOG_PID names the process that the time, in microseconds, is for. */
static void set_watchdog(const char *time, const char *pid)
{
	bool ours = time && (!pid || strtol(pid, NULL, 10) == getpid());

	watchdog_interval = ours ? strtoul(time, NULL, 10) / 2000 : 0;
}

void notify_open(void)
{
	set_manager(getenv("NOTIFY_SOCKET"));
	set_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_send(const char *format, ...)
{
	char message[256];
	va_list args;
	int fd;

	if (!manager_size)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* A manager that does not listen ends the service by its own time limits. */
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&manager,
		   manager_size) < 0) {
		/* nothing to be done */
	}
	close(fd);
}

unsigned int notify_watchdog_interval(void)
{
	return watchdog_interval;
}
