/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps: what the XDP program and the daemon hold in common. They are pinned by these names
 * under `pin_dir`; a program and a daemon of another ABI version refuse each other.
 *
 *   abi           array[1]  struct map_abi           written once by the loader
 *   rules         LPM trie  struct rule_key  -> rule the operators' prefixes, before the chain
 *   interfaces    hash      __u32 ifindex    -> attachment   where the program is attached
 *   destinations  hash      struct destination_key   the addresses listened on
 *   control       array[1]  struct map_control       which of the two chains counts
 *   chain         array[2]  struct map_chain         what the kernel knows of a chain
 *   prefixes      array     struct prefix_bucket     a hash table of the chains' prefixes, of both
 *   texts         array     struct prefix_line       and their bytes
 *   answers       array     struct prefix_answer     and what they say
 *   sources       LPM trie  struct source_key        the chains' querier addresses, of both
 *   verdicts      LRU hash  struct verdict_key       whole URLs that the daemon has decided
 *   watch         array[2]  struct map_watch         over each: the daemon's heartbeat, the gates
 *   counters      per CPU   __u64[ICP_COUNTER_MAX]
 *   trace         ring      struct trace_record      what `icpctl trace` is shown
 *
 * Why `rules` is a trie and `prefixes` is not: an entry that bpftool puts into `rules` counts from
 * the next packet on, and nobody but bpftool was there to note its length. In a hash table every
 * length up to the URL's would have to be probed; the trie finds the longest in one look-up, from
 * the kernel and from the daemon alike, and costs nothing while it is empty. `prefixes` is written
 * by the daemon alone, which can prepare it (prefix.h): it is a hash table of our own in an array,
 * for one of the kernel's takes two cold lines for each probe where this one takes one, and a
 * system call for each batch of entries where this one is written through shared memory.
 *
 * Those three are parted in two halves, one for each chain.
 *
 * Structures are in the host's byte order unless a member says otherwise, without padding.
 */
#ifndef XDP_ICP_MAPS_H
#define XDP_ICP_MAPS_H

#include "counters.h"
#include "icp.h"
#include "prefix.h"

/* Raised with every change to a structure here, to a map, or to what one of them means. */
#define ICP_MAP_ABI 5

struct map_abi {
	__u32 version; /* ICP_MAP_ABI */
};

/* A rule's prefix: 8 bits a byte, in the trie's own form; `text` is zero-padded. */
struct rule_key {
	__u32 prefixlen; /* bits: 8 times the bytes of the prefix */
	char text[PREFIX_MAX];
};

struct rule {
	enum icp_opcode
		verdict; /* any but a verdict: the query is passed up, the daemon skips it */
};

/*
 * An interface that the loader has attached the program to, for those who may not ask the kernel
 * which maps a program uses. `attached_id` is what the interface says it carries; another means
 * that somebody has taken the place.
 */
struct attachment {
	__u32 attached_id; /* the program's, or that of libxdp's dispatcher before it */
	__u32 program_id;
	__u8 native;	 /* 1: in the driver, 0: generic */
	__u8 dispatcher; /* 1: beside other programs, by libxdp's dispatcher; 0: alone */
	__u16 zero;
};

/*
 * An address listened on, on an interface that carries the program. One look-up says whether a
 * packet is for us at all, and which MAC address the frame must have been sent to.
 */
struct destination_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u32 ifindex;
	__be16 port;
	__u16 zero;
};

/* DESTINATION_BROADCAST is an entry of port 0: no host, and no source of a query (protocol R7). */
enum destination_kind {
	DESTINATION_HOST = 0,
	DESTINATION_BROADCAST = 1,
};

struct destination {
	__u8 mac[6];
	__u16 kind; /* enum destination_kind */
};

struct map_control {
	__u32 active; /* index into `chain`, 0 or 1 */
	__u32 drain; /* the verdict that every query gets; 0: none does, DRAIN_SILENCE: no answer */
	__u64 trace_until;   /* nanoseconds of the monotonic clock; 0: nobody traces */
	__u32 destinations;  /* another number after each change of that map; never 0 */
	__u32 odd_broadcast; /* 1: a broadcast address there does not end in the bits 11 */
};

/* The front ends are to go elsewhere: queries are passed up, and the daemon is silent. */
#define DRAIN_SILENCE 0xffffffffu

/*
 * A rank is a policy's place in the chain, counted from 0; the default stands behind the last.
 * What has a rank below `horizon`, the rank of the first policy that the kernel cannot evaluate,
 * is decided in the kernel. Without such a policy the horizon is RANK_NONE. A chain that is closed
 * (no daemon has filled it, or the daemon ended in good order) has horizon 0: only rules are
 * answered, and URLs with white space, which no policy is asked about.
 */
#define RANK_NONE 0xffffffffu

struct map_chain {
	__u32 generation; /* entries of another are not this chain's */
	__u32 horizon;	  /* rank */
	__u32 default_rank;
	enum icp_opcode default_verdict;
	__u32 answer_request_zero; /* 0 or 1 */
	__u32 first_gate;	   /* rank of the first policy on the host's state, or RANK_NONE */
	__u32 has_sources;	   /* 1: the chain has entries in `sources` */
	__u32 memory;		   /* enum chain_memory */
	__u64 lease;		   /* nanoseconds that a heartbeat counts */
	__u32 first_answer;	   /* index in `answers` of the one that is called 0 */
	__u32 zero;
	struct prefix_tree prefixes;
};

/* What the entries of `verdicts` are remembered for. */
enum chain_memory {
	MEMORY_NONE = 0,       /* there are none */
	MEMORY_URL = 1,	       /* a URL, whoever asks */
	MEMORY_URL_SOURCE = 2, /* a URL and who asked: a policy looks at both */
};

/* What a prefix says: an answer of prefix.h is one of these, counted from first_answer. */
struct prefix_answer {
	__u32 rank; /* of the policy that the verdict comes from */
	enum icp_opcode verdict;
	__s32 cost; /* 0 to 65535, or ICP_NO_COST */
};

/* Answers of a chain, and the one that is none. A policy has one for each verdict that it gives. */
#define ANSWERS_MAX 8192u

/*
 * A querier's address. The generation stands before it, so that both chains' entries lie in one
 * trie: 32 bits of each prefixlen are its.
 */
#define SOURCE_GENERATION_BITS 32u

struct source_key {
	__u32 prefixlen;
	__u32 generation;
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* Of all policies on addresses together, flattened as the prefixes are. */
struct source_entry {
	__u32 rank; /* RANK_NONE: no policy says anything to this address */
	enum icp_opcode verdict;
	__s32 cost;
};

/* prefix_hash() of the URL with its NUL, mixed with the querier's address for MEMORY_URL_SOURCE. */
struct verdict_key {
	__u64 hash;
};

/*
 * What the daemon has decided for a whole URL: the first policy of those that look at it. Policies
 * on the host's state and on addresses are not in it, the kernel asks them by itself.
 */
struct verdict_entry {
	__u32 generation;
	__u32 rank;
	enum icp_opcode verdict;
	__s32 cost;
	__u64 expires;	 /* nanoseconds of the monotonic clock; 0: with the generation */
	__u64 seal;	 /* verdict_seal() */
	__u8 source[16]; /* for MEMORY_URL_SOURCE, else zero */
	__u32 length;	 /* bytes of the URL, 1 to PREFIX_URL_MAX */
	__u32 zero;
	char text[PREFIX_MAX] __attribute__((aligned(8))); /* zero-padded */
};

/* The first policy on the host's state that says something now. Written and read as one word. */
struct map_gate {
	__u32 rank; /* RANK_NONE: none does */
	__u16 cost;
	__u8 has_cost;
	__u8 verdict;
};

/*
 * What the daemon watches over of a chain, in memory that it shares with the program. A generation
 * that is not the chain's, or a heartbeat older than the lease: nobody watches, and what depends on
 * it is passed up.
 */
struct map_watch {
	__u64 heartbeat; /* nanoseconds of the monotonic clock */
	__u64 generation;
	union {
		__u64 gate_word;
		struct map_gate gate;
	};
};

/*
 * A query as `icpctl trace` shows it, of the kernel or of the daemon. What could not be read of it
 * is zero. There is a record only while somebody traces, and only so many of a CPU at a time.
 */
struct trace_record {
	__u64 time;	 /* nanoseconds of the monotonic clock */
	__u8 source[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__be32 request_number;
	enum icp_counter counter; /* ICP_COUNT_ANSWERED, or why it was passed or met by silence */
	enum icp_opcode verdict;  /* ICP_OP_INVALID: not answered here */
	__u32 rank;		  /* of what decided, as in struct decision */
	__u32 generation;	  /* of the chain that was asked */
	__u32 url_length;	  /* bytes without the NUL, of which `url` has the first */
	__u32 zero;
	char url[PREFIX_MAX] __attribute__((aligned(8)));
};

_Static_assert(sizeof(struct rule_key) == 4 + PREFIX_MAX, "the ABI");
_Static_assert(sizeof(struct destination_key) == 24, "the ABI");
_Static_assert(sizeof(struct destination) == 8, "the ABI");
_Static_assert(sizeof(struct attachment) == 12, "the ABI");
_Static_assert(sizeof(struct source_key) == 24, "the ABI");
_Static_assert(sizeof(struct source_entry) == 12, "the ABI");
_Static_assert(sizeof(struct verdict_entry) == 56 + PREFIX_MAX, "the ABI");
_Static_assert(sizeof(struct trace_record) == 72 + PREFIX_MAX, "the ABI");
_Static_assert(sizeof(struct map_gate) == 8, "written as one word");
_Static_assert(sizeof(struct prefix_answer) == 12, "the ABI");
_Static_assert(sizeof(struct prefix_bucket) == PREFIX_LINE, "the ABI");
_Static_assert(sizeof(struct prefix_line) == PREFIX_LINE, "the ABI");
_Static_assert(sizeof(struct map_chain) % 8 == 0, "no padding");

#endif
