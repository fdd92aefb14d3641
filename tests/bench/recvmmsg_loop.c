// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the network stack allows at best: a loop that takes queries in batches, says HIT to all of
 * them, and looks at nothing. A measure for responders on a socket, and no more.
 */
#include <err.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "icp.h"

#define BATCH 64
#define MESSAGE_MAX 2048

int main(int argc, char **argv)
{
	static unsigned char messages[BATCH][MESSAGE_MAX] __attribute__((aligned(8)));
	static struct sockaddr_in6 from[BATCH];
	struct sockaddr_in6 own = { .sin6_family = AF_INET6 };
	struct mmsghdr in[BATCH] = { 0 }, out[BATCH] = { 0 };
	struct iovec in_part[BATCH], out_part[BATCH][2];
	int fd;

	if (argc != 2)
		errx(2, "Usage: recvmmsg_loop PORT");
	own.sin6_port = htons(atoi(argv[1]));
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)))
		err(1, "port %s", argv[1]);
	for (int i = 0; i < BATCH; i++) {
		in_part[i] = (struct iovec){ messages[i], MESSAGE_MAX };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &in_part[i], .msg_iovlen = 1 };
		/* The header, and the URL: what lies between, the requester's address, goes. */
		out_part[i][0] = (struct iovec){ messages[i], ICP_HEADER_SIZE };
		out[i].msg_hdr = (struct msghdr){ .msg_iov = out_part[i], .msg_iovlen = 2 };
	}
	for (;;) {
		int count, answers = 0;

		for (int i = 0; i < BATCH; i++) {
			in[i].msg_hdr.msg_name = &from[i];
			in[i].msg_hdr.msg_namelen = sizeof(from[i]);
		}
		count = recvmmsg(fd, in, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < count; i++) {
			struct icp_header *header = (struct icp_header *)messages[i];
			__u32 size = in[i].msg_len;

			if (size <= ICP_QUERY_HEADER_SIZE || header->opcode != ICP_OP_QUERY)
				continue;
			header->opcode = ICP_OP_HIT;
			header->length = host_to_be16(size - 4);
			out_part[answers][0].iov_base = messages[i];
			out_part[answers][1] = (struct iovec){ messages[i] + ICP_QUERY_HEADER_SIZE,
							       size - ICP_QUERY_HEADER_SIZE };
			out[answers].msg_hdr.msg_name = &from[i];
			out[answers].msg_hdr.msg_namelen = sizeof(from[i]);
			answers++;
		}
		if (answers && sendmmsg(fd, out, answers, 0) < 0)
			warn("sendmmsg");
	}
}
