/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host of a URL. */
#ifndef XDP_ICP_URL_H
#define XDP_ICP_URL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Finds the host in a URL: `*host` and `*host_length` become the part of it, as it is written,
 * brackets included. SCHEME://USER:PASSWORD@HOST:PORT/..., of which user, password and port are
 * not looked at, or without a scheme, as in a CONNECT request, HOST[:PORT] of digits. False:
 * there is none, as in urn:isbn:0451450523 or /path.
 */
bool url_host_find(const char *url, size_t length, const char **host, size_t *host_length);

/* Bytes that the normal form of a host of `length` bytes has at most. */
#define URL_HOST_NORMAL_SIZE(length) ((length) + INET6_ADDRSTRLEN)

/*
 * Writes the one form that all spellings of a host share: ASCII in lower case, no dot at the
 * end, IPv6 addresses as inet_ntop(3) writes them, in brackets. What is no valid host stays, in
 * lower case. Returns its length; no NUL follows. Nothing is decoded (%41, punycode).
 */
size_t url_host_normalize(const char *host, size_t length, char *normal);

#endif
