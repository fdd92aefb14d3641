/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queries and replies in bytes. */
#ifndef FIDELITY_PACKET_H
#define FIDELITY_PACKET_H

#include "support/datagrams.h"
#include "oracle.h"

#define URL_MOST 16000 /* bytes */
#define HEADER_SIZE 20
#define REPLY_MOST (HEADER_SIZE + URL_MOST + 64)

struct query_packet {
	struct bytes frame;
	size_t headers; /* bytes of the frame before the datagram */
	size_t size;	/* of the datagram */
	char datagram[URL_MOST + 64] __attribute__((aligned(8)));
};

bool is_ipv4(const struct step *ask);

/* The query with that request number, which is not 0: as the wire has it, and a socket. */
void packet_build(struct query_packet *packet, const struct step *ask, uint32_t number);

/* Is it the reply that is expected, in every byte? `query` is the datagram it replies to. */
bool is_reply(const struct step *ask, const char *query, const uint8_t *reply, size_t size,
	      const struct expected *expected);

/* Writes what a verdict, or a reply, is. */
void verdict_describe(char *text, size_t size, unsigned int verdict, int cost);
void reply_describe(char *text, size_t text_size, const uint8_t *reply, size_t size);

#endif
