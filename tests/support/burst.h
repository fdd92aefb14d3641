/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For programs that send queries at a given rate: messages in batches, a clock, SIGTERM. */
#ifndef XDP_ICP_TEST_BURST_H
#define XDP_ICP_TEST_BURST_H

#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>

#define BURST 32	 /* messages a system call */
#define MESSAGE_MAX 2048 /* bytes of a message to receive: no reply that is expected is longer */

/* For sendmmsg() and recvmmsg(). */
struct burst {
	struct mmsghdr messages[BURST];
	struct iovec parts[BURST];
};

/* Set message `i` to `bytes`, which must stay valid until it is sent. */
void burst_put(struct burst *burst, unsigned int i, void *bytes, size_t size);

/* Receive pending messages into `buffers`, without waiting. Returns their number, or -1. */
int burst_receive(struct burst *burst, int fd, unsigned char buffers[BURST][MESSAGE_MAX]);

/* Seconds of the monotonic clock. */
double now(void);

/* Set by stop(), a handler for signals. */
extern volatile sig_atomic_t stopped;
void stop(int number);

#endif
