/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile frames, and what a reply to one of them may be.
 *
 * Frame N of a run is a function of the seed and of N alone, and N is the request number of its ICP
 * message. So a reply names its frame, which is then built again for the check: nothing has to be
 * stored, and every finding can be reproduced.
 */
#ifndef XDP_ICP_SOAK_FRAMES_H
#define XDP_ICP_SOAK_FRAMES_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 1514u		 /* bytes */
#define FRAME_FIRST 0x40000000u	 /* numbers of frames begin here, above those of other queries */
#define FRAME_RANGE 0x40000000u	 /* a generator has so many of its own */
#define FRAME_SERVER_ADDRESSES 8 /* at most */

/* IPv4 addresses are ::ffff:a.b.c.d here. */
struct frame_config {
	uint64_t seed;
	uint32_t first; /* number of this generator's first frame */
	uint8_t own_mac[ETH_ALEN];
	uint8_t server_mac[ETH_ALEN];
	struct in6_addr source[2]; /* of IPv4, of IPv6 */
	struct in6_addr server[FRAME_SERVER_ADDRESSES];
	size_t server_count;	/* the first of each family is asked, replies may come from all */
	unsigned char **corpus; /* messages, of corpus_size[i] bytes each */
	size_t *corpus_size;
	size_t corpus_count;
};

struct frame {
	size_t size;   /* bytes */
	size_t number; /* offset of the request number, or 0 */
	bool silent;   /* gets no reply, by the way it was made */
	const char *kind;
	unsigned char bytes[FRAME_MAX];
};

/* IPv4 as ::ffff:a.b.c.d. False: `text` is no IP address. */
bool address_parse(const char *text, struct in6_addr *address);

/* Makes frame `number`, FRAME_FIRST or more. */
void frame_make(const struct frame_config *config, uint32_t number, struct frame *frame);

/* The same; if the frame is a fragment, the whole of its datagram. */
void frame_make_whole(const struct frame_config *config, uint32_t number, struct frame *frame);

enum reply_judgement {
	REPLY_OTHER, /* no reply to one of these frames */
	REPLY_GOOD,
	REPLY_LARGER,	 /* than its query */
	REPLY_FORBIDDEN, /* to a frame that must get none */
	REPLY_WRONG,	 /* not the reply that the query must get */
	REPLY_JUDGEMENTS
};

/* Judges a frame of `size` bytes from the wire. `number` is set to that of the frame it replies to. */
enum reply_judgement reply_judge(const struct frame_config *config, const unsigned char *bytes,
				 size_t size, uint32_t *number);

#endif
