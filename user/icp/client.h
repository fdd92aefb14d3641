/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The asking side of ICP: one query at a time, and the wait for its answer. */
#ifndef XDP_ICP_ICP_CLIENT_H
#define XDP_ICP_ICP_CLIENT_H

#include "lib/error.h"
#include "icp.h"

#define ICP_CLIENT_URL_MAX (ICP_MESSAGE_MAX - ICP_QUERY_HEADER_SIZE - 1) /* bytes, without NUL */

/* A query and what came back. */
struct icp_exchange {
	size_t query_size;	/* bytes */
	size_t answer_size;	/* bytes, 0: no answer */
	enum icp_opcode opcode; /* of the answer, a verdict */
	int cost;		/* of the answer, 0 to 65535, or ICP_NO_COST */
	double milliseconds;	/* from the query to the answer */
	unsigned char query[ICP_MESSAGE_MAX];
	unsigned char answer[ICP_MESSAGE_MAX + 1];
};

struct icp_client;

/*
 * `server` is ADDR or ADDR:PORT; ADDR is an IPv4 address, an IPv6 address (in brackets, if a port
 * follows) or a name, the port ICP_PORT if there is none. NULL with an error.
 */
struct icp_client *icp_client_open(const char *server, struct error *error);

void icp_client_close(struct icp_client *client);

/* The address and port asked, as numbers. */
const char *icp_client_server(const struct icp_client *client);

/*
 * Asks for a URL of `length` bytes, 0 to ICP_CLIENT_URL_MAX, with SRC_RTT in the options if
 * `want_cost`. An answer is one from the address asked, of version 2, with the right length field,
 * this query's request number, a verdict, the final NUL and this URL (or, with ERR, none).
 *
 * Returns 0 with the answer; 1 with an error if there was none within `timeout` milliseconds, which
 * says as well what came instead; -1 with an error if the URL is too long.
 */
int icp_client_ask(struct icp_client *client, const char *url, size_t length, bool want_cost,
		   unsigned int timeout, struct icp_exchange *exchange, struct error *error);

#endif
