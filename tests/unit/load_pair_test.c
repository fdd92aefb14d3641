// SPDX-License-Identifier: GPL-2.0-or-later
/* What the two processes of a load tell each other. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/test.h"
#include "xdp/load_pair.h"

TEST(an_error_of_any_length)
{
	struct {
		struct error error;
		char behind[4096];
	} sent;
	struct error received;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	for (int i = 0; i < 2; i++) {
		memset(&sent, 'x', sizeof(sent));
		sent.behind[sizeof(sent.behind) - 1] = '\0';
		if (i == 0)
			error_write(&sent.error, "no such device");
		load_send(ends[0], KERNEL_ABANDONED, NULL, &sent.error);
		assert_int_equal(load_receive(ends[1], NULL, &received), KERNEL_ABANDONED);
		assert_int_equal(strlen(received.text),
				 i == 0 ? strlen("no such device") : sizeof(received.text) - 1);
	}
	close(ends[0]);
	close(ends[1]);
}
