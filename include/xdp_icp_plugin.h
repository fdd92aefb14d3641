/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a shared object has to bring along to be a policy of xdp-icp (`kind = "plugin"`): one
 * symbol, `xdp_icp_plugin`, of this type. For C and C++; a plugin needs no library of xdp-icp.
 */
#ifndef XDP_ICP_PLUGIN_H
#define XDP_ICP_PLUGIN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with each change that a plugin has to be compiled anew for. */
#define XDP_ICP_PLUGIN_ABI 1u

/* What check() returns: ICP's opcodes, or nothing, and the next policy is asked. */
enum xdp_icp_plugin_verdict {
	XDP_ICP_PLUGIN_NOTHING = 0,
	XDP_ICP_PLUGIN_HIT = 2,
	XDP_ICP_PLUGIN_MISS = 3,
	XDP_ICP_PLUGIN_ERR = 4,
	XDP_ICP_PLUGIN_MISS_NOFETCH = 21,
	XDP_ICP_PLUGIN_DENIED = 22
};

/* What check() looks at besides what open() has made: what its word may be remembered for. */
enum xdp_icp_plugin_basis {
	XDP_ICP_PLUGIN_URL = 1,	       /* the URL alone */
	XDP_ICP_PLUGIN_URL_SOURCE = 2, /* the URL and the querier's address */
	XDP_ICP_PLUGIN_OTHER = 3       /* anything else: it is asked each time */
};

struct xdp_icp_plugin_query {
	const char *url;	   /* any bytes but NUL and white space; a NUL follows */
	size_t length;		   /* bytes, 1 to 16359, without the NUL */
	const char *source;	   /* the querier's address as text: 192.0.2.1, 2001:db8::1 */
	unsigned char address[16]; /* the same as IPv6, big endian; IPv4 as ::ffff:a.b.c.d */
};

struct xdp_icp_plugin {
	unsigned int abi; /* XDP_ICP_PLUGIN_ABI; the first member for ever */
	enum xdp_icp_plugin_basis basis;
	/*
	 * Seconds that an answer may be remembered at most, up to 86400; 0: until the
	 * configuration changes. Of no meaning with XDP_ICP_PLUGIN_OTHER.
	 */
	unsigned int ttl;

	/*
	 * Makes what a policy needs, from the `arguments` of its configuration. Returns 0 and fills
	 * `*state`; or anything else, with a text of at most `error_size` bytes, NUL included, that
	 * says what is wrong. Called when the configuration is checked or read, always with the
	 * rights of the daemon's user, at a reload before the former state is closed. Called by
	 * another thread than check(), which goes on meanwhile with the former state: it may take
	 * its time. May be NULL: then no arguments are taken.
	 */
	int (*open)(size_t count, const char *const *arguments, void **state, char *error,
		    size_t error_size);

	/*
	 * The verdict on a query. All other queries wait meanwhile: it must neither block nor
	 * take long. Always called from the same thread.
	 */
	enum xdp_icp_plugin_verdict (*check)(void *state, const struct xdp_icp_plugin_query *query);

	/* Takes back what open() has made, in either thread. May be NULL. */
	void (*close)(void *state);
};

/* To be found whatever the visibility that the plugin is compiled with. */
extern const struct xdp_icp_plugin xdp_icp_plugin __attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif

#endif
