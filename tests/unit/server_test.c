// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "icp.h"
#include "server/server.h"
#include "support/test.h"

/* A daemon whose start fails ends its server before it has given it anything to reply by. */
TEST(queries_for_a_server_that_never_started)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage storage = { 0 };
	char query[ICP_QUERY_HEADER_SIZE + 2] = { ICP_OP_QUERY, ICP_VERSION, 0, sizeof(query), 1 };
	socklen_t size = sizeof(address);
	struct server server = { 0 };
	struct error error;
	int client = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(&storage, &address, sizeof(address));
	assert_int_equal(server_open(&server, &storage, 1, 1, false, &error), 0);
	assert_int_equal(
		getsockname(listener_fd(server.listeners[0]), (struct sockaddr *)&address, &size),
		0);
	assert_int_equal(sendto(client, query, sizeof(query), 0, (struct sockaddr *)&address, size),
			 sizeof(query));
	server_drain(&server);
	server_close(&server);
	server_free(&server);
	close(client);
}
