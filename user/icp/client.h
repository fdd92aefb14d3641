/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ICP client: sends one query at a time and waits for the reply. */
#ifndef XDP_ICP_ICP_CLIENT_H
#define XDP_ICP_ICP_CLIENT_H

#include "lib/error.h"
#include "icp.h"

#define ICP_CLIENT_URL_MAX (ICP_MESSAGE_MAX - ICP_QUERY_HEADER_SIZE - 1) /* bytes, without NUL */

/* A query and its reply. */
struct icp_exchange {
	size_t query_size;	/* bytes */
	size_t reply_size;	/* bytes, 0: no reply */
	enum icp_opcode opcode; /* of the reply, a verdict */
	int cost;		/* of the reply, 0 to 65535, or ICP_NO_COST */
	double milliseconds;	/* from the query to the reply */
	unsigned char query[ICP_MESSAGE_MAX];
	unsigned char reply[ICP_MESSAGE_MAX + 1];
};

struct icp_client;

/*
 * Open a socket to ADDR or ADDR:PORT; ADDR is an IPv4 address, an IPv6 address (in brackets if a
 * port follows) or a name, the default port is ICP_PORT. NULL with an error.
 */
struct icp_client *icp_client_open(const char *server, struct error *error);

void icp_client_close(struct icp_client *client);

/* Return the address and port in use, in numeric form. */
const char *icp_client_server(const struct icp_client *client);

/*
 * Send a query for a URL of `length` bytes, 0 to ICP_CLIENT_URL_MAX, with SRC_RTT in the options if
 * `want_cost`, and wait for the reply. A reply comes from the server's address, and has version 2,
 * the right length field, the query's request number, a verdict, the final NUL and the query's URL
 * (or, with ERR, none).
 *
 * Returns 0 with the reply; 1 with an error if there is none within `timeout` milliseconds, which
 * also describes the last invalid datagram; -1 with an error if the URL is too long.
 */
int icp_client_ask(struct icp_client *client, const char *url, size_t length, bool want_cost,
		   unsigned int timeout, struct icp_exchange *exchange, struct error *error);

#endif
