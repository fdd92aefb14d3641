/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses as text: 192.0.2.1, 192.0.2.1:3130, [2001:db8::1]:3130. */
#ifndef XDP_ICP_SOCKADDR_H
#define XDP_ICP_SOCKADDR_H

#include <sys/socket.h>

#include "lib/error.h"

/*
 * Parse ADDR, ADDR:PORT, [ADDR6] or [ADDR6]:PORT with a port from 1 to 65535, in host byte order;
 * `port` is the default. -1 with an error that does not name the place.
 */
int sockaddr_parse(const char *text, unsigned int port, struct sockaddr_storage *address,
		   struct error *error);

/*
 * Bind a socket to the address that an option of the configuration names. Return 0, or -1 and `error`
 * with the option, the address and the remedy.
 */
int sockaddr_bind(int fd, const struct sockaddr_storage *address, const char *option,
		  struct error *error);

/* Bytes of such a text at most, with the NUL. */
#define SOCKADDR_TEXT_SIZE 64

/* Format an IPv4 or IPv6 address with its port. */
void sockaddr_text(const struct sockaddr_storage *address, char text[SOCKADDR_TEXT_SIZE]);

#endif
