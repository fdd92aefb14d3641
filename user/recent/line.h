/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The URL of a request in a line of an access log, as a cache asks for it.
 *
 *	common    HOST IDENT USER [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 ...
 *		  of Apache and nginx; what comes behind does not matter, so that it is `combined` too
 *	squid	  1066036250.603 310 HOST TCP_MISS/200 893 GET http://www.example.org/a - ...
 *	pattern	  of PCRE2, matched at the beginning of the line, with a group `url`, and as it may be
 *		  groups `scheme`, `host` and `status`
 *
 * In quoted requests, and in what a pattern finds, \xHH stands for a byte, and \" and \\ for " and \,
 * as Apache and nginx write them.
 */
#ifndef XDP_ICP_RECENT_LINE_H
#define XDP_ICP_RECENT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/error.h"

#define RECENT_LINE_MAX 24576 /* bytes; longer lines are skipped */
#define RECENT_URL_MAX 16359  /* bytes; no query has more */

struct line_format;

/*
 * Create a format: the name of one above, or a pattern. `scheme` and `host` stand in where a line has a
 * path alone; `host` NULL: such a line is LINE_NONSENSE. NULL and an error without the place.
 */
struct line_format *line_format_new(const char *format, const char *scheme, const char *host,
				    struct error *error);
void line_format_free(struct line_format *format); /* NULL is ignored */

/* Do its lines lack a host? */
bool line_format_needs_host(const struct line_format *format);

/* Do its lines have a time? */
bool line_format_has_time(const struct line_format *format);

enum line_result {
	LINE_REQUEST,
	LINE_FAILED,   /* a request with a status of 500 or more, or, by Squid, none */
	LINE_NONSENSE, /* not in this format, or no URL that can be asked for */
};

struct line_request {
	time_t time;   /* seconds since 1970, if the format has one */
	size_t length; /* bytes of the URL */
	char url[RECENT_URL_MAX + 1];
};

/*
 * Read a line of `length` bytes, at most RECENT_LINE_MAX, without its newline. May change it. For any
 * text it takes a bounded time.
 */
enum line_result line_read(const struct line_format *format, char *line, size_t length,
			   struct line_request *request);

/* Can `length` bytes be the URL of a query? */
bool line_is_url(const char *url, size_t length);

#endif
