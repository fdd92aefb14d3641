/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked: the queries as frames, and the order in which they are drawn. */
#ifndef XDP_ICP_BLAST_QUERIES_H
#define XDP_ICP_BLAST_QUERIES_H

#include <stddef.h>

#include "lib/error.h"
#include "icpblast.h"

/* URLs and the opcodes that a reply to each may have, as bits. */
struct blast_urls {
	struct blast_url {
		char *text;
		__u32 allowed;
	} * list;
	size_t count;
};

/*
 * Reads verdicts separated by commas, or "any", or "none": silence. `length` bytes. -1 and `error`.
 */
int blast_allowed(const char *text, size_t length, __u32 *allowed, struct error *error);

/*
 * Lines of URL, or URL TAB VERDICT[,VERDICT...]; `allowed` where the line has none. Returns 0, or -1
 * and `error`; blast_urls_free() afterwards in either case.
 */
int blast_urls_read(struct blast_urls *urls, const char *file, __u32 allowed, struct error *error);

/* `count` URLs of one pattern, in which %d stands for a number from 0 on. The same. */
int blast_urls_make(struct blast_urls *urls, const char *pattern, size_t count, __u32 allowed,
		    struct error *error);

void blast_urls_free(struct blast_urls *urls);

/* Makes the headers of all queries, of which the configuration has all else. */
void blast_headers_make(struct blast_config *config);

/* The query for a URL of at most BLAST_URL_MAX bytes, of which `size` bytes are written. */
void blast_query_make(struct blast_query *query, size_t size, const struct blast_config *config,
		      const char *url, __u32 allowed);

/*
 * `size` draws from 0 to `count` - 1: uniformly if `exponent` is 0, else by Zipf's law, where the
 * k-th is drawn in proportion to 1 / k ^ exponent. False: out of memory.
 */
bool blast_draw(__u32 *draws, size_t size, size_t count, double exponent, __u64 seed);

#endif
