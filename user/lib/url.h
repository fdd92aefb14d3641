/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host of a URL. */
#ifndef XDP_ICP_URL_H
#define XDP_ICP_URL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Find the host in a URL, SCHEME://USER:PASSWORD@HOST:PORT/... or, as in a CONNECT request,
 * HOST[:PORT]. `*host` points into `url`, brackets are included. User, password and port are not
 * checked, except that without a scheme a port must consist of digits. False: there is no host, as
 * in urn:isbn:0451450523 or /path.
 */
bool url_host_find(const char *url, size_t length, const char **host, size_t *host_length);

/* Bytes of the normal form of a host of `length` bytes, at most. */
#define URL_HOST_NORMAL_SIZE(length) ((length) + INET6_ADDRSTRLEN)

/*
 * Convert a host to its normal form: ASCII letters in lower case, no trailing dot, IPv6 addresses
 * as inet_ntop(3) writes them, in brackets. An invalid host is converted to lower case. Nothing is
 * decoded (%41, punycode). Returns the length; no NUL is added.
 */
size_t url_host_normalize(const char *host, size_t length, char *normal);

#endif
