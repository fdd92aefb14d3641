// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers with the number behind the URL's last slash, and to a URL that is its own argument with
 * HIT. Written so that it is C++ as well: it is built as both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xdp_icp_plugin.h>

#ifndef BASIS
#define BASIS XDP_ICP_PLUGIN_URL_SOURCE
#define TTL 90
#endif

static int open_echo(size_t count, const char *const *arguments, void **state, char *error,
		     size_t error_size)
{
	if (count > 1) {
		snprintf(error, error_size, "%zu arguments, the last of them '%s'", count,
			 arguments[count - 1]);
		return 1;
	}
	*state = strdup(count ? arguments[0] : "");
	return 0;
}

static enum xdp_icp_plugin_verdict check(void *state, const struct xdp_icp_plugin_query *query)
{
	const char *slash = strrchr(query->url, '/');

	if (strlen(query->url) != query->length)
		abort();
	if (strcmp(query->url, (const char *)state) == 0)
		return XDP_ICP_PLUGIN_HIT;
	if (strcmp(query->url, query->source) == 0)
		return query->address[15] == 4 ? XDP_ICP_PLUGIN_DENIED : XDP_ICP_PLUGIN_ERR;
	return (enum xdp_icp_plugin_verdict)(slash ? atoi(slash + 1) : 0);
}

const struct xdp_icp_plugin xdp_icp_plugin = {
	XDP_ICP_PLUGIN_ABI, BASIS, TTL, open_echo, check, free,
};
