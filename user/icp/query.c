// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>

#include "icp/query.h"

void query_source_text(const struct query *query, char text[INET6_ADDRSTRLEN])
{
	const struct in6_addr *source = &query->source;

	if (IN6_IS_ADDR_V4MAPPED(source))
		inet_ntop(AF_INET, &source->s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, source, text, INET6_ADDRSTRLEN);
}
