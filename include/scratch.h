/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of the query that is being processed. The program has one for each CPU, in a map and
 * not on the stack, for two reasons: the stack is too small, and the verifier knows nothing of a
 * value that is read back from a map, so that it follows the code after that once, and not once for
 * each form of the headers.
 */
#ifndef XDP_ICP_SCRATCH_H
#define XDP_ICP_SCRATCH_H

#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "decide.h"

struct vlan_tag {
	__be16 control;
	__be16 ethertype; /* of what follows */
};

#define IP_OFFSET_MAX (sizeof(struct ethhdr) + 2 * sizeof(struct vlan_tag))
#define MESSAGE_OFFSET_MAX (IP_OFFSET_MAX + sizeof(struct ipv6hdr) + sizeof(struct udphdr))

/* What the reply needs of the query's headers, copied before they are overwritten. */
struct frame {
	text_word to_mac;   /* the destination's MAC address in the first six bytes */
	text_word from_mac; /* the source's */
	__be16 ethertype;   /* that follows the MAC addresses: the first tag's, or IP's */
	bool ipv6;
	bool partial; /* generic mode: the checksum field holds the pseudo-header's sum alone */
	__u8 tags;    /* 0 to 2 */
	struct vlan_tag tag[2];
	__u32 source[4]; /* network order; IPv4 in the last */
	__u32 destination[4];
	__u64 addresses_sum; /* the addresses' part of the pseudo-header */
	__be16 source_port;
	__be16 destination_port;
	__u16 checksum;	 /* the UDP field as it stands in memory */
	__u16 udp_size;	 /* bytes, with its header */
	__u32 ip_offset; /* bytes from the start of the frame */
	__u32 message_offset;
};

/* An address of a frame as the maps have it: IPv4 as ::ffff:a.b.c.d. */
ICP_INLINE void mapped_address(__u32 to[4], const __u32 from[4], bool ipv6)
{
	to[0] = ipv6 ? from[0] : 0;
	to[1] = ipv6 ? from[1] : 0;
	to[2] = ipv6 ? from[2] : (ICP_FORCE __u32)host_to_be32(0xffff);
	to[3] = from[3];
}

/* The longest message read: its URL with the NUL is the longest prefix. */
#define MESSAGE_MAX (ICP_QUERY_HEADER_SIZE + PREFIX_MAX)
#define MESSAGE_URL_WORD (ICP_QUERY_HEADER_SIZE / ICP_WORD)

struct scratch {
	struct frame frame;
	__u32 url_length;   /* bytes without the NUL: 1 to PREFIX_URL_MAX */
	enum icp_form form; /* ICP_FORM_QUERY or ICP_FORM_WHITE_SPACE */
	__u64 kept_sum;	    /* checksum over what the reply has too: addresses, ports, URL, NUL */
	union {
		__u8 bytes[MESSAGE_MAX + ICP_WORD];
		text_word words[MESSAGE_MAX / ICP_WORD + 1];
		struct icp_query query;
	} message; /* zero-padded to the word */
	struct prefix_cursor cursor;
	/* Set only if the chain has more than prefixes, or the lease matters. */
	struct candidate best; /* the candidate with the smallest rank so far */
	__u32 horizon;	       /* the chain's, or the rank of a reading that cannot be made */
	struct {
		__u32 first_answer; /* as in struct map_chain */
		__u32 answer;	    /* so far; AUTOMATON_NO_ANSWER: none */
		__u32 best;	    /* the rank that must be beaten */
		__u32 automata;	    /* that may match, as bits of the filter */
		struct automaton_walk walk;
	} groups;
	struct host_place host;	    /* of the URL */
	struct url_key key;	    /* of the URL, for one of the policies on it */
	struct recent_query recent; /* of such a key */
	struct {
		__u32 answer; /* found so far, of URL_ABSENT a set; or why that cannot be told */
		__u32 last;   /* what no other can change */
		__u32 left;   /* places that may still be looked at */
		__u32 zero;
	} inside;
	struct {
		struct destination_key key __attribute__((aligned(8)));
		struct destination value;
		__u32 version; /* as in struct map_control; 0: nothing is here */
		__u32 zero;
	} last; /* entry of `destinations` found last; the next query is usually for the same */
	struct {
		__u64 window; /* of time, in which */
		__u64 used;   /* this many records were made */
	} trace;
	struct turned_url turned;
};

_Static_assert(offsetof(struct scratch, message) + ICP_QUERY_HEADER_SIZE + TURN_ROOM +
			       GRAM_PLACES * GRAM_STRIDE_MAX + ICP_WORD <=
		       sizeof(struct scratch),
	       "the room around a URL that is turned, and behind one whose key is read");

/*
 * Read the URL's length back. The verifier forgets what a loop over the URL has taught it about the
 * length, and follows the code after that once, not once for each exit of the loop.
 */
ICP_INLINE __u32 scratch_url_length(const struct scratch *scratch)
{
	return ICP_READ_BACK(scratch->url_length);
}

#endif
