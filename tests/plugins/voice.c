// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A plugin that replies what a file says (words.h), and declares what its arguments say: WORDS,
 * url, source or anything, and the ttl. The daemon asks for that after open().
 */
#include "../tools/words.h"
#include <xdp_icp_plugin.h>

struct xdp_icp_plugin voice __asm__("xdp_icp_plugin") __attribute__((visibility("default")));

static int voice_open(size_t count, const char *const *arguments, void **state, char *error,
		      size_t error_size)
{
	if (count != 3) {
		snprintf(error, error_size, "three arguments are wanted: WORDS SEES TTL");
		return 1;
	}
	voice.basis = strcmp(arguments[1], "url") == 0	    ? XDP_ICP_PLUGIN_URL
		      : strcmp(arguments[1], "source") == 0 ? XDP_ICP_PLUGIN_URL_SOURCE
							    : XDP_ICP_PLUGIN_OTHER;
	voice.ttl = (unsigned int)atoi(arguments[2]);
	*state = strdup(arguments[0]);
	return 0;
}

static enum xdp_icp_plugin_verdict voice_check(void *state,
					       const struct xdp_icp_plugin_query *query)
{
	static const struct {
		const char *name;
		enum xdp_icp_plugin_verdict verdict;
	} verdicts[] = {
		{ "hit", XDP_ICP_PLUGIN_HIT },
		{ "miss", XDP_ICP_PLUGIN_MISS },
		{ "err", XDP_ICP_PLUGIN_ERR },
		{ "miss_nofetch", XDP_ICP_PLUGIN_MISS_NOFETCH },
		{ "denied", XDP_ICP_PLUGIN_DENIED },
	};
	char verdict[32];

	words_find((const char *)state, query->url, query->source, verdict);
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (strcmp(verdict, verdicts[i].name) == 0)
			return verdicts[i].verdict;
	return XDP_ICP_PLUGIN_NOTHING;
}

struct xdp_icp_plugin voice = {
	XDP_ICP_PLUGIN_ABI, XDP_ICP_PLUGIN_OTHER, 0, voice_open, voice_check, free,
};
