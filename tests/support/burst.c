// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/burst.h"

#include <time.h>

volatile sig_atomic_t stopped;

void burst_put(struct burst *burst, unsigned int i, void *bytes, size_t size)
{
	burst->parts[i] = (struct iovec){ bytes, size };
	burst->messages[i] =
		(struct mmsghdr){ .msg_hdr = { .msg_iov = &burst->parts[i], .msg_iovlen = 1 } };
}

int burst_receive(struct burst *burst, int fd, unsigned char buffers[BURST][MESSAGE_MAX])
{
	for (unsigned int i = 0; i < BURST; i++)
		burst_put(burst, i, buffers[i], MESSAGE_MAX);
	return recvmmsg(fd, burst->messages, BURST, MSG_DONTWAIT, NULL);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void stop(int number)
{
	stopped = 1;
}
