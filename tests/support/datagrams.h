/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queries, the frames around them, and what the protocol (HACKING.md) requires for each: one table
 * for the XDP program and for the daemon. Everything is built byte by byte and summed here, without
 * any of the tested code, so that both cannot be wrong in the same way.
 */
#ifndef XDP_ICP_TEST_DATAGRAMS_H
#define XDP_ICP_TEST_DATAGRAMS_H

#include "counters.h"
#include "support/test.h"

#define BYTES_MAX 66000u

struct bytes {
	size_t size;
	uint8_t at[BYTES_MAX] __attribute__((aligned(8)));
};

void push(struct bytes *bytes, const void *from, size_t size);
void push8(struct bytes *bytes, uint8_t value);
void push16(struct bytes *bytes, uint16_t value);
void push32(struct bytes *bytes, uint32_t value);
void poke16(struct bytes *bytes, size_t offset, uint16_t value);

/* RFC 1071 as written: the sum of pairs of bytes, the last one zero-padded. Not complemented. */
uint16_t plain_sum(const uint8_t *bytes, size_t size, uint32_t sum);

/* --- the message */

struct datagram {
	const char *name;
	uint8_t opcode;	 /* 0: a query */
	uint8_t version; /* 0: 2 */
	bool request_zero;
	uint32_t options;
	uint32_t option_data;
	int length_off;	 /* by how much the length field is too large */
	const char *url; /* `url_size` bytes; what should be the NUL is the last of them */
	size_t url_size;
	size_t longer; /* so many letters more before the last of these bytes */
	size_t size;   /* the whole is cut after so many bytes; 0: it is not */

	enum icp_counter kernel; /* ICP_COUNT_ANSWERED, or why it passes */
	enum icp_counter daemon; /* ICP_COUNT_ANSWERED, or why it is silent */
	uint8_t verdict;	 /* of the reply */
	bool bare;		 /* the reply has no URL: 21 bytes */
	bool tells_cost;
	uint16_t cost;
};

#define REQUEST 0xdeadbeefu
#define SENDER 0x0a0b0c0du    /* comes back */
#define REQUESTER 0xc6336401u /* means nothing */

void message_build(struct bytes *message, const struct datagram *datagram);

/* Build the reply that the query's row promises. */
void answer_build(struct bytes *answer, const struct datagram *datagram);

/* --- the frame */

enum udp_checksum {
	CHECKSUM_FULL,
	CHECKSUM_NONE,	  /* 0 */
	CHECKSUM_WRONG,	  /* by one bit */
	CHECKSUM_PARTIAL, /* the pseudo-header's sum, for an offload that never was */
};

#define HOP_BY_HOP 256 /* which is header 0 */

struct envelope {
	uint8_t to_mac[6], from_mac[6];
	unsigned int tags;
	uint16_t tag_type[3];
	uint16_t tag[3];    /* priority and VLAN */
	uint16_t ethertype; /* 0: as IP's version has it */
	bool v6;
	uint8_t version;	  /* 0: as it should be */
	uint8_t from[16], to[16]; /* IPv4 in the first four */
	uint16_t from_port, to_port;
	uint8_t ttl, tos;
	uint8_t protocol;  /* 0: UDP */
	uint16_t id;	   /* IPv4 */
	uint16_t fragment; /* IPv4: flags and offset */
	uint32_t flow;	   /* IPv6 */
	size_t options;	   /* IPv4: so many words of no-operations */
	int header_off;	   /* IPv4: words that its header length says too much */
	int extension;	   /* IPv6: this header, 8 bytes, before UDP; HOP_BY_HOP for 0 */
	bool ip_checksum_wrong;
	int ip_length_off, udp_length_off; /* by how much these are too large */
	enum udp_checksum checksum;
	size_t padding; /* bytes behind IP's length, none of them zero */
};

size_t frame_message_offset(const struct envelope *envelope);
void frame_build(struct bytes *frame, const struct envelope *envelope, const struct bytes *message);

/* Return the envelope in which a reply comes back. */
struct envelope envelope_back(const struct envelope *envelope);

/* --- the table, and its rules and chain */

#define TABLE_CHAIN                                                                                \
	"policy 10 { kind = prefix verdict = hit url = 'http://hit.example/' }\n"                  \
	"policy 11 { kind = prefix verdict = miss url = 'http://miss.example/' }\n"                \
	"policy 12 { kind = prefix verdict = miss_nofetch url = 'http://nofetch.example/' }\n"     \
	"policy 13 { kind = prefix verdict = denied url = 'http://denied.example/' }\n"            \
	"policy 14 { kind = prefix verdict = err url = 'http://err.example/' }\n"                  \
	"policy 20 { kind = prefix verdict = miss cost = 300 url = 'http://cost.example/' }\n"     \
	"policy 21 { kind = prefix verdict = hit cost = 0 url = 'http://cost.example/0/' }\n"      \
	"policy 22 { kind = prefix verdict = hit cost = 65535 url = 'http://dear.example/' }\n"    \
	"policy 23 { kind = prefix verdict = hit cost = 0 url = 'http://free.example/' }\n"        \
	"policy 30 { kind = exact verdict = hit url = 'http://exact.example/a' }\n"                \
	"policy 31 { kind = prefix verdict = denied url = 'http://exact.example/' }\n"             \
	"policy 32 { kind = suffix verdict = hit cost = 5 text = '.suffix' }\n"                    \
	"policy 33 { kind = host verdict = err hosts = { host.example, .domain.example } }\n"
#define TABLE_HORIZON                                                                              \
	"policy 40 { kind = regex verdict = denied pattern = '(?=)//regex.example/' }\n"           \
	"policy 50 { kind = prefix verdict = hit cost = 7 url = 'http://behind.example/' }\n"

struct table_rule {
	const char *prefix;
	enum icp_opcode verdict;
};

extern const struct table_rule table_rules[];
extern const size_t table_rule_count;

/* These rules in memory, for rules_free(). */
struct rules *table_rules_local(void);

#define URL(text) .url = text, .url_size = sizeof(text)
extern const struct datagram datagrams[];
extern const size_t datagram_count;

#endif
