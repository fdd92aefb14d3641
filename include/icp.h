/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICP version 2 on the wire (RFC 2186): the format, the rules by which a datagram is a query that
 * gets a reply, and the header of that reply.
 *
 * A message lies in a buffer that is aligned to 8 bytes. The URL of a query begins at byte 24, so that
 * the program reads it by whole words too, in one pass for all checks and the checksum (checksum.h).
 */
#ifndef XDP_ICP_ICP_H
#define XDP_ICP_ICP_H

#include "base.h"

#define ICP_PORT 3130
#define ICP_VERSION 2
#define ICP_MESSAGE_MAX 16384u	  /* bytes, RFC 2186 section 2 */
#define ICP_HEADER_SIZE 20u	  /* bytes */
#define ICP_QUERY_HEADER_SIZE 24u /* bytes: the header and the requester host address */
#define ICP_ERR_SIZE 21u /* bytes: the reply to a query without a usable URL, a header and a NUL */

/* RFC 2186 section 3. SECHO, DECHO and HIT_OBJ are named to be recognised, never sent. */
enum icp_opcode {
	ICP_OP_INVALID = 0, /* never on the wire; here: a policy has nothing to say */
	ICP_OP_QUERY = 1,
	ICP_OP_HIT = 2,
	ICP_OP_MISS = 3,
	ICP_OP_ERR = 4,
	ICP_OP_SECHO = 10,
	ICP_OP_DECHO = 11,
	ICP_OP_MISS_NOFETCH = 21,
	ICP_OP_DENIED = 22,
	ICP_OP_HIT_OBJ = 23,
};

/* RFC 2186 section 2, "Options" */
#define ICP_FLAG_HIT_OBJ 0x80000000u
#define ICP_FLAG_SRC_RTT 0x40000000u

/* RFC 2186 section 2; 20 bytes, network byte order */
struct icp_header {
	__u8 opcode; /* enum icp_opcode */
	__u8 version;
	__be16 length;	       /* bytes of the whole message */
	__be32 request_number; /* the querier's; copied into the reply */
	__be32 options;
	__be32 option_data;
	__be32 sender_host_address;
};

/* The fixed part of a query; the URL and its NUL follow. 24 bytes */
struct icp_query {
	struct icp_header header;
	__be32 requester_host_address;
};

_Static_assert(sizeof(struct icp_header) == ICP_HEADER_SIZE, "RFC 2186 section 2");
_Static_assert(sizeof(struct icp_query) == ICP_QUERY_HEADER_SIZE, "RFC 2186 section 3");
_Static_assert(sizeof(struct icp_query) % ICP_WORD == 0, "the URL must begin at a word");

/* No option data in the reply: the deciding policy has no cost. */
#define ICP_NO_COST (-1)

/* What a query gets: an opcode and, for SRC_RTT, the deciding policy's cost. */
struct icp_verdict {
	enum icp_opcode opcode; /* ICP_OP_INVALID: none */
	__s32 cost;		/* 0 to 65535, or ICP_NO_COST */
};

/* Is the opcode a verdict? HIT_OBJ is not: this responder never sends objects. */
ICP_INLINE bool icp_is_verdict(__u32 opcode)
{
	return opcode == ICP_OP_HIT || opcode == ICP_OP_MISS || opcode == ICP_OP_ERR ||
	       opcode == ICP_OP_MISS_NOFETCH || opcode == ICP_OP_DENIED;
}

/* The form of a datagram. The first three get a reply, all others none. */
enum icp_form {
	ICP_FORM_QUERY,	      /* the chain decides */
	ICP_FORM_NO_URL,      /* ERR with an empty payload (21 bytes): the URL is no string */
	ICP_FORM_WHITE_SPACE, /* ERR with the URL echoed */
	ICP_FORM_SHORT,	      /* less than a header */
	ICP_FORM_LONG,	      /* more than RFC 2186 allows */
	ICP_FORM_LENGTH,      /* the length field is not the datagram's length */
	ICP_FORM_VERSION,
	ICP_FORM_OPCODE,
	ICP_FORM_REQUEST_ZERO,
};

/*
 * icp_header_form() of a datagram of ICP_HEADER_SIZE to ICP_MESSAGE_MAX bytes.
 *
 * Only a query gets a reply, and nothing else an ERR: a single forged ERR would otherwise travel
 * between two responders forever (rule R1).
 */
ICP_INLINE enum icp_form icp_fields_form(const struct icp_header *header, __u32 size,
					 bool answer_request_zero)
{
	__be32 first;

	/* All three fields at once; which of them is wrong only if one is. */
	__builtin_memcpy(&first, header, sizeof(first));
	if (first != host_to_be32(ICP_OP_QUERY << 24 | ICP_VERSION << 16 | size)) {
		if (header->version != ICP_VERSION)
			return ICP_FORM_VERSION;
		return header->opcode != ICP_OP_QUERY ? ICP_FORM_OPCODE : ICP_FORM_LENGTH;
	}
	/* Squid never sends 0; one reflected reply with 0 makes it ignore all others (rule R2). */
	if (header->request_number == 0 && !answer_request_zero)
		return ICP_FORM_REQUEST_ZERO;
	return ICP_FORM_QUERY;
}

/*
 * Classify a datagram by all but its URL. `size` is the datagram's in bytes; `header` is read if
 * that is at least ICP_HEADER_SIZE. ICP_FORM_QUERY: a query, whose URL is to be checked next.
 */
ICP_INLINE enum icp_form icp_header_form(const struct icp_header *header, __u32 size,
					 bool answer_request_zero)
{
	if (size < ICP_HEADER_SIZE)
		return ICP_FORM_SHORT;
	if (size > ICP_MESSAGE_MAX)
		return ICP_FORM_LONG;
	return icp_fields_form(header, size, answer_request_zero);
}

/*
 * Find bytes below 0x21 in a word: NUL, control characters, space. In two steps, so that the
 * results of the first for several words can be combined by | for the second. Bytes above 0xa0 are
 * flagged too: they are rare in URLs, and excluding them would cost two instructions for each word.
 * icp_url_form() then decides.
 */
ICP_INLINE __u64 word_controls(__u64 word)
{
	return word - ~0ULL / 255 * 0x21;
}

ICP_INLINE bool controls_any(__u64 controls)
{
	return controls & ~0ULL / 255 * 0x80;
}

/*
 * Classify a URL byte by byte. Only needed if controls_any() has found something. `url`
 * has `length` bytes and then its NUL; `max` is a constant upper bound of `length`. A NUL within
 * the URL (rule R3) takes precedence over white space (rule R4). There is no branch per byte,
 * because the verifier would follow each of them.
 */
ICP_INLINE enum icp_form icp_url_form(const __u8 *url, __u32 length, __u32 max)
{
	__u32 nul = 0, white_space = 0; /* the top bit says it */

	for (__u32 i = 0; i < max; i++) {
		__u32 byte;

		if (i >= length)
			break;
		byte = url[i];
		nul |= byte - 1;
		white_space |= (byte ^ ' ') - 1;
		white_space |= ~((byte - '\t') | ('\r' - byte));
	}
	if (nul >> 31)
		return ICP_FORM_NO_URL;
	return white_space >> 31 ? ICP_FORM_WHITE_SPACE : ICP_FORM_QUERY;
}

/*
 * Fill in the header of the reply to `query` (rule R5). `size` is the reply's in bytes: the query's
 * less the requester host address, or ICP_ERR_SIZE. `answer` and `query` may overlap only if equal.
 */
ICP_INLINE void icp_answer_header(struct icp_header *answer, const struct icp_header *query,
				  __u32 size, struct icp_verdict verdict)
{
	bool tell_cost =
		verdict.cost != ICP_NO_COST && (query->options & host_to_be32(ICP_FLAG_SRC_RTT));

	answer->opcode = verdict.opcode;
	answer->version = ICP_VERSION;
	answer->length = host_to_be16(size);
	answer->request_number = query->request_number;
	answer->options = tell_cost ? host_to_be32(ICP_FLAG_SRC_RTT) : 0;
	answer->option_data = tell_cost ? host_to_be32(verdict.cost & 0xffff) : 0;
	answer->sender_host_address = query->sender_host_address;
}

#endif
