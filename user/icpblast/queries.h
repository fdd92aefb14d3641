/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queries: URLs, frames, and the order in which they are sent. */
#ifndef XDP_ICP_BLAST_QUERIES_H
#define XDP_ICP_BLAST_QUERIES_H

#include <stddef.h>

#include "lib/error.h"
#include "icpblast.h"

/* URLs, and for each a bitmask of the opcodes that its reply may have. */
struct blast_urls {
	struct blast_url {
		char *text;
		__u32 allowed;
	} * list;
	size_t count;
};

/*
 * Parse `length` bytes: verdicts separated by commas, "any", or "none" (no reply is expected).
 * Returns 0, or -1 with an error.
 */
int blast_allowed(const char *text, size_t length, __u32 *allowed, struct error *error);

/*
 * Read lines of URL, or URL TAB VERDICT[,VERDICT...]; `allowed` is the default. Returns 0, or -1 with
 * an error; call blast_urls_free() in either case.
 */
int blast_urls_read(struct blast_urls *urls, const char *file, __u32 allowed, struct error *error);

/* Likewise make `count` URLs from a pattern, in which %d is replaced by 0, 1, and so on. */
int blast_urls_make(struct blast_urls *urls, const char *pattern, size_t count, __u32 allowed,
		    struct error *error);

void blast_urls_free(struct blast_urls *urls);

/* Set config->headers, which all queries share, from the other members of `config`. */
void blast_headers_make(struct blast_config *config);

/* Write the query for a URL of at most BLAST_URL_MAX bytes; `size` is that of `*query` in bytes. */
void blast_query_make(struct blast_query *query, size_t size, const struct blast_config *config,
		      const char *url, __u32 allowed);

/*
 * Draw `size` numbers from 0 to `count` - 1: uniformly if `exponent` is 0, else by Zipf's law, in which
 * the k-th has a probability proportional to 1 / k ^ exponent. Returns false if out of memory.
 */
bool blast_draw(__u32 *draws, size_t size, size_t count, double exponent, __u64 seed);

#endif
