/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the entries of policies match, in the plainest words there are. */
#ifndef FIDELITY_MATCHING_H
#define FIDELITY_MATCHING_H

#include "script.h"

bool text_begins_with(struct text url, struct text text);
bool text_ends_in(struct text url, struct text text);
bool text_contains(struct text url, struct text text);

bool fits_glob(struct text url, const char *pattern);
bool found_regex(struct text url, const char *pattern);

/* The host of SCHEME://AUTHORITY, or of HOST[:PORT] as of CONNECT, without user and port. */
bool find_host(struct text url, struct text *host);

/*
 * Is it certain that the kernel finds the host, or that there is none? Not with brackets, with a colon
 * but no scheme, or if the host is the whole of the longest URL.
 */
bool has_plain_host(struct text url);

/* Lower case, no dot at the end, addresses in one spelling. `normal`: length + 64 bytes. */
struct text normal_host(struct text host, char *normal);

/* How specific an entry is for a host in that form; 0: it does not match. */
size_t host_fits(struct text host, struct text entry);

bool in_network(const uint8_t address[16], const char *network);

#endif
