/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses as people write them: 192.0.2.1, 192.0.2.1:3130, [2001:db8::1]:3130. */
#ifndef XDP_ICP_SOCKADDR_H
#define XDP_ICP_SOCKADDR_H

#include <sys/socket.h>

#include "lib/error.h"

/*
 * Reads ADDR, ADDR:PORT, [ADDR6] or [ADDR6]:PORT; the port is 1 to 65535, and `port` where none
 * is given. -1 with an error without a place.
 */
int sockaddr_parse(const char *text, unsigned int port, struct sockaddr_storage *address,
		   struct error *error);

/* Characters of an address in this form, with the NUL. */
#define SOCKADDR_TEXT_SIZE 64

/* Writes an IPv4 or IPv6 address with its port. */
void sockaddr_text(const struct sockaddr_storage *address, char text[SOCKADDR_TEXT_SIZE]);

#endif
