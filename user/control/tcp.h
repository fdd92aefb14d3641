/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a server on TCP needs besides server.h: its socket, and a check of the Host header. */
#ifndef XDP_ICP_CONTROL_TCP_H
#define XDP_ICP_CONTROL_TCP_H

#include <stdbool.h>
#include <sys/socket.h>

#include "lib/error.h"

/*
 * Bind a stream socket to the address that an option of the configuration names. Return its file
 * descriptor, not blocking and not listening, or -1 and `error` with the remedy.
 */
int control_tcp_bind(const struct sockaddr_storage *address, const char *option,
		     struct error *error);

/*
 * Does the value of a Host header name this server by an address literal, as localhost, or by the
 * host's own name? Another name may be an attacker's, resolved to this address (DNS rebinding): the
 * browser that asks would give the response to the attacker's page.
 */
bool control_tcp_host_is_own(const char *host);

#endif
