/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The interface of plugins: a shared object that is a policy of xdp-icp (`kind = "plugin"`) exports
 * one symbol, `xdp_icp_plugin`. For C and C++; a plugin links with no library of xdp-icp.
 */
#ifndef XDP_ICP_PLUGIN_H
#define XDP_ICP_PLUGIN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Incremented by each change that requires plugins to be recompiled. */
#define XDP_ICP_PLUGIN_ABI 1u

/* What check() returns: an opcode of ICP, or NOTHING to have the next policy asked. */
enum xdp_icp_plugin_verdict {
	XDP_ICP_PLUGIN_NOTHING = 0,
	XDP_ICP_PLUGIN_HIT = 2,
	XDP_ICP_PLUGIN_MISS = 3,
	XDP_ICP_PLUGIN_ERR = 4,
	XDP_ICP_PLUGIN_MISS_NOFETCH = 21,
	XDP_ICP_PLUGIN_DENIED = 22
};

/* What the result of check() depends on, apart from the state, and so how it is remembered. */
enum xdp_icp_plugin_basis {
	XDP_ICP_PLUGIN_URL = 1,	       /* the URL alone */
	XDP_ICP_PLUGIN_URL_SOURCE = 2, /* the URL and the querier's address */
	XDP_ICP_PLUGIN_OTHER = 3       /* anything else: never remembered */
};

struct xdp_icp_plugin_query {
	const char *url;	   /* any bytes but NUL and white space; NUL-terminated */
	size_t length;		   /* bytes, 1 to 16359, without the NUL */
	const char *source;	   /* the querier's address as text: 192.0.2.1, 2001:db8::1 */
	unsigned char address[16]; /* the same as IPv6, big endian; IPv4 as ::ffff:a.b.c.d */
};

struct xdp_icp_plugin {
	unsigned int abi; /* XDP_ICP_PLUGIN_ABI; always the first member */
	enum xdp_icp_plugin_basis basis;
	/*
	 * Seconds for which a result may be remembered, up to 86400; 0: until the configuration
	 * changes. Ignored with XDP_ICP_PLUGIN_OTHER.
	 */
	unsigned int ttl;

	/*
	 * Create the state of a policy from the `arguments` of its configuration, which are valid
	 * during the call. Returns 0 and sets `*state`; or another value, with a message of at most
	 * `error_size` bytes including the NUL. Called when a configuration is checked or loaded, with
	 * the privileges of the daemon's user, and at a reload before the old state is closed. Called
	 * in another thread than check(), which continues meanwhile with the old state, so it may
	 * block. NULL: the plugin takes no arguments.
	 */
	int (*open)(size_t count, const char *const *arguments, void **state, char *error,
		    size_t error_size);

	/*
	 * Return the verdict on a query. It must not block, as other queries wait meanwhile. Always
	 * called in the same thread. `query` is valid during the call.
	 */
	enum xdp_icp_plugin_verdict (*check)(void *state, const struct xdp_icp_plugin_query *query);

	/* Free the state, in either thread. May be NULL. */
	void (*close)(void *state);
};

/* Exported even with -fvisibility=hidden. */
extern const struct xdp_icp_plugin xdp_icp_plugin __attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif

#endif
