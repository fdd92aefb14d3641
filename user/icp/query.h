/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A query as policies see it: a URL and its requester. */
#ifndef XDP_ICP_QUERY_H
#define XDP_ICP_QUERY_H

#include <netinet/in.h>
#include <stddef.h>

struct query {
	const char *url; /* `length` bytes, none of them NUL or white space; NUL-terminated */
	size_t length;	 /* 1 to 16359 */
	struct in6_addr source; /* IPv4 as ::ffff:a.b.c.d */
};

/* Format the source, IPv4 as a.b.c.d. */
void query_source_text(const struct query *query, char text[INET6_ADDRSTRLEN]);

#endif
