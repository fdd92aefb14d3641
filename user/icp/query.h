/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a policy is asked: a URL and who asks for it. */
#ifndef XDP_ICP_QUERY_H
#define XDP_ICP_QUERY_H

#include <netinet/in.h>
#include <stddef.h>

struct query {
	const char *url;	/* `length` bytes, none of them NUL or white space; a NUL follows */
	size_t length;		/* 1 to 16359 */
	struct in6_addr source; /* IPv4 as ::ffff:a.b.c.d */
};

/* The source as text, IPv4 in its own form. */
void query_source_text(const struct query *query, char text[INET6_ADDRSTRLEN]);

#endif
