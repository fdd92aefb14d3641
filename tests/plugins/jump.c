// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loaded before libc (LD_PRELOAD), it sets the wall clock of a process: to the seconds that stand in
 * the file XDP_ICP_JUMP, from now. The monotonic clocks go on.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t jump(void)
{
	static const char *path; /* the daemon keeps little of its environment */
	char text[32] = "";
	int fd;

	if (!path)
		path = strdup(getenv("XDP_ICP_JUMP"));
	fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		abort();
	close(fd);
	return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		now->tv_sec += jump();
	return result;
}

time_t time(time_t *now)
{
	struct timespec seconds;

	clock_gettime(CLOCK_REALTIME, &seconds);
	if (now)
		*now = seconds.tv_sec;
	return seconds.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	*now = (struct timeval){ time.tv_sec, time.tv_nsec / 1000 };
	return 0;
}
