// SPDX-License-Identifier: GPL-2.0-or-later
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int64_t offset_ns; /* of CLOCK_MONOTONIC in this process's time namespace */

/* Read once: the time namespace of a process does not change. */
static void read_offset(void)
{
	long long seconds, nanoseconds;
	FILE *file = fopen("/proc/self/timens_offsets", "re");

	if (!file) /* Linux without time namespaces: before 5.6, or not configured */
		return;
	if (fscanf(file, "monotonic %lld %lld", &seconds, &nanoseconds) == 2)
		offset_ns = seconds * 1000000000 + nanoseconds;
	fclose(file);
}

uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

uint64_t clock_kernel_ns(void)
{
	pthread_once(&once, read_offset);
	return clock_ns(CLOCK_MONOTONIC) - offset_ns;
}

void clock_text(time_t time, char text[CLOCK_TEXT_SIZE])
{
	struct tm local;

	if (!localtime_r(&time, &local) ||
	    !strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &local))
		strcpy(text, "?");
}
