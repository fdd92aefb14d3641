/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps that the XDP program and the daemon share. They are pinned by these names under
 * `pin_dir`; a program and a daemon of different ABI versions refuse each other.
 *
 *   abi           array[1]  struct map_abi           written once by the loader
 *   rules         LPM trie  struct rule_key  -> rule the operators' prefixes, before the chain
 *   interfaces    hash      __u32 ifindex    -> attachment   where the program is attached
 *   destinations  hash      struct destination_key   the addresses listened on
 *   control       array[1]  struct map_control       which of the two chains is active
 *   chain         array[2]  struct map_chain         a chain, as far as the kernel has it
 *   prefixes      array     struct prefix_bucket     hash tables of both chains' texts, by readings.h
 *   texts         array     struct prefix_line       and their bytes
 *   answers       array     struct prefix_answer     and their verdicts
 *   automata      array     struct automaton_group   both chains' patterns
 *   partitions    array     struct partition_line    both chains' places among the owners of URLs
 *   recent        array     struct recent_slot       what was seen lately, of the daemon's stores
 *   sources       LPM trie  struct source_key        both chains' querier addresses
 *   verdicts      LRU hash  struct verdict_key       whole URLs that the daemon has decided
 *   watch         array[2]  struct map_watch         of each chain: the daemon's heartbeat, the gates
 *   counters      per CPU   __u64[ICP_COUNTER_MAX]
 *   decided       per CPU   struct decided           both chains' verdicts, by rank
 *   trace         ring      struct trace_record      queries for `icpctl trace`
 *
 * Why `rules` is a trie and `prefixes` is not: an entry that bpftool puts into `rules` takes effect
 * with the next packet, and bpftool keeps no list of the lengths in use. A hash table would have to
 * be probed at every length up to the URL's; the trie finds the longest match in one lookup, from
 * the kernel and from the daemon alike, and costs nothing while it is empty. `prefixes` is written
 * by the daemon alone, which can prepare it (prefix.h). It is a hash table of our own in an array:
 * a probe of it touches one cold line where one of the kernel's hash maps touches two, and it is
 * written through shared memory where the kernel's need system calls. So is `recent`.
 *
 * `prefixes`, `texts`, `answers`, `automata`, `partitions` and `decided` have two halves, one for each chain.
 *
 * Structures have no padding, and are in the host's byte order unless a member's comment says
 * otherwise.
 */
#ifndef XDP_ICP_MAPS_H
#define XDP_ICP_MAPS_H

#include "automaton.h"
#include "counters.h"
#include "filter.h"
#include "grams.h"
#include "icp.h"
#include "partition.h"
#include "recent.h"

/* Incremented by every change of a structure here, of a map, or of the meaning of either. */
#define ICP_MAP_ABI 16

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
		verdict; /* not a verdict: the kernel passes the query up, the daemon skips the rule */
};

/*
 * An interface that the loader has attached the program to. It is for the daemon, which is not
 * permitted to ask the kernel which maps a program uses. `attached_id` is the program that the
 * interface reported then; if it reports another, the program has been replaced.
 */
struct attachment {
	__u32 attached_id; /* the program's, or that of libxdp's dispatcher before it */
	__u32 program_id;
	__u8 native;	 /* 1: in the driver, 0: generic */
	__u8 dispatcher; /* 1: behind libxdp's dispatcher, with other programs; 0: alone */
	__u16 zero;
};

/*
 * An address listened on, for an interface that carries the program. One lookup tells whether a
 * packet is for this responder, and which MAC address the frame must have been sent to.
 */
struct destination_key {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u32 ifindex;
	__be16 port;
	__u16 zero;
};

/* DESTINATION_BROADCAST is an entry of port 0, which is never a querier's address (rule R7). */
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
	__u32 drain;  /* the verdict for every query; 0: not drained, DRAIN_SILENCE: no reply */
	__u64 trace_until;   /* nanoseconds of the monotonic clock; 0: no trace */
	__u32 destinations;  /* version of that map, changed with it; never 0 */
	__u32 odd_broadcast; /* 1: a broadcast address there does not end in the bits 11 */
	__u64 namespace; /* cookie of the network namespace of the interfaces; 0: there were none yet */
};

/* Drain without a reply: the kernel passes queries up, and the daemon drops them. */
#define DRAIN_SILENCE 0xffffffffu

/*
 * A rank is a policy's position in the chain, counted from 0; the default has the rank behind the
 * last. The horizon is the rank of the first policy that the kernel cannot evaluate, or RANK_NONE.
 * The kernel decides what has a rank below it. A closed chain (no daemon has filled it, or the
 * daemon has ended normally) has horizon 0: the kernel then replies by rules alone, and with ERR to
 * URLs with white space, which no policy is asked about.
 */
#define RANK_NONE 0xffffffffu

/* The policy that divides URLs among the members of a cluster. */
struct map_partition {
	struct partition hashed;
	__u32 rank;   /* of the policy */
	__u32 answer; /* of place 0; the other places' follow it */
};

/* A policy on what was seen lately. */
struct map_recent {
	struct url_key_form form;
	__u32 rank; /* RANK_NONE: there is none */
	enum icp_opcode verdict;
	__s32 cost;
	__u32 negate; /* 1: matches what was not seen */
};

/*
 * Policies with `not` on texts of URL_ABSENT. In the tree of those texts an answer is a set of
 * policies: bit i is set if a text of policy i is in the URL, so that this policy does not match.
 */
#define ABSENT_MAX 8u

struct map_chain {
	__u32 generation; /* number of the chain, which its entries in other maps carry */
	__u32 horizon;	  /* rank */
	__u32 default_rank;
	enum icp_opcode default_verdict;
	__u32 answer_request_zero; /* 0 or 1 */
	__u32 first_gate;	   /* rank of the first policy that needs the lease, or RANK_NONE */
	__u32 others;		   /* bits of enum chain_other */
	__u32 memory;		   /* enum chain_memory */
	__u64 lease;		   /* nanoseconds that a heartbeat is valid */
	__u32 first_answer;	   /* index in `answers` of the chain's number 0 */
	__u32 least_answer[URL_READINGS]; /* of each tree; PREFIX_NO_ANSWER: it has none */
	__u32 groups;			  /* in `automata`, from slot * AUTOMATON_GROUPS on */
	__u32 first_decided;		  /* index in `decided` of the chain's rank 0 */
	struct prefix_tree trees[URL_READINGS];
	__u32 absent_answers[ABSENT_MAX]; /* in the order of ranks, then PREFIX_NO_ANSWER */
	struct map_partition partition;
	struct map_recent recents[RECENTS_MAX]; /* in the order of ranks */
	struct prefix_keys recent_keys;		/* of the hash of their keys */
	__u32 recent_homes;			/* of the table in `recent` */
	__u32 absent_all;			/* the set of all in absent_answers */
	struct filter filter; /* of automata: four bits for each group, the first in the lowest */
	struct gram_filter grams[URL_SEARCHES]; /* of the readings from URL_INSIDE on */
};

/*
 * What a chain has besides prefixes of the unchanged URL. A chain that has nothing else pays only
 * for the test of one word.
 */
enum chain_other {
	OTHER_READINGS = 1,  /* texts of readings other than URL_FORWARD */
	OTHER_SOURCES = 2,   /* entries in `sources` */
	OTHER_PATTERNS = 4,  /* groups in `automata` */
	OTHER_PARTITION = 8, /* a place among the owners, in `partitions` */
	OTHER_RECENTS = 16,  /* policies on what was seen lately */
};

/* What an entry of `verdicts` applies to. */
enum chain_memory {
	MEMORY_NONE = 0,       /* there are none */
	MEMORY_URL = 1,	       /* a URL, from any querier */
	MEMORY_URL_SOURCE = 2, /* a URL and its querier: a policy looks at both */
};

/*
 * A verdict, in the map `answers` in the order of ranks. An answer of prefix.h or automaton.h is
 * its number, counted from first_answer.
 */
struct prefix_answer {
	__u32 rank; /* of the policy that gives the verdict */
	enum icp_opcode verdict;
	__s32 cost; /* 0 to 65535, or ICP_NO_COST */
};

/* Does one answer come before another? PREFIX_NO_ANSWER comes last. */
ICP_INLINE bool answer_precedes(__u32 a, __u32 b)
{
	return a - 1 < b - 1;
}

/* Entries of `answers` for a chain, number 0 included. A policy has one for each of its verdicts. */
#define ANSWERS_MAX 8192u

#define DECIDED_VERDICTS 8

/*
 * How often a policy has decided a reply in the kernel. The counts only grow; the next chain in a
 * half subtracts what the previous one has left in it.
 */
struct decided {
	__u64 verdicts[DECIDED_VERDICTS]; /* by decided_verdict() */
};

/* The lowest bits of the opcode tell the verdicts apart. */
ICP_INLINE __u32 decided_verdict(enum icp_opcode verdict)
{
	return verdict % DECIDED_VERDICTS;
}

/* A half of `decided`: the ranks, the default's among them, and what is no rank. */
#define DECIDED_RANKS 1024u
#define DECIDED_BY_RULE DECIDED_RANKS
#define DECIDED_BY_DRAIN (DECIDED_RANKS + 1)
#define DECIDED_BY_REST (DECIDED_RANKS + 2) /* the ranks behind those, and what has none */
#define DECIDED_ENTRIES (DECIDED_RANKS + 3)

/*
 * A querier's address. The chain's generation stands before it, so that one trie holds the entries
 * of both chains: it takes 32 bits of each prefixlen.
 */
#define SOURCE_GENERATION_BITS 32u

struct source_key {
	__u32 prefixlen;
	__u32 generation;
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* Of all policies on addresses together, flattened like the prefixes. */
struct source_entry {
	__u32 rank; /* RANK_NONE: no policy matches this address */
	enum icp_opcode verdict;
	__s32 cost;
};

/* prefix_hash() of the URL with its NUL, mixed with the querier's address for MEMORY_URL_SOURCE. */
struct verdict_key {
	__u64 hash;
};

/*
 * A verdict of the daemon on a whole URL: that of the first matching policy among those that look
 * at URLs. Gates and policies on addresses are not in it; the kernel evaluates them itself.
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

/* The first gate that matches now. Written and read as one word. */
struct map_gate {
	__u32 rank; /* RANK_NONE: none matches */
	__u16 cost;
	__u8 has_cost;
	__u8 verdict;
};

/*
 * The daemon's lease on a chain, in memory that it shares with the program. If the generation is
 * not the chain's, or the heartbeat is older than the chain's `lease`, the lease has expired, and
 * queries that depend on gates or remembered verdicts are passed up.
 */
struct map_watch {
	__u64 heartbeat; /* nanoseconds of the monotonic clock */
	__u64 generation;
	union {
		__u64 gate_word;
		struct map_gate gate;
	};
	/*
	 * The store in `recent` of each of the chain's policies on what was seen lately. 0: the
	 * kernel does not have all of it, and passes up queries that depend on it.
	 */
	__u32 recents[RECENTS_MAX];
};

/*
 * A query as `icpctl trace` shows it, from the kernel or the daemon. Members that could not be read
 * are zero. Records are made only during a trace, and a limited number for each CPU at a time.
 */
struct trace_record {
	__u64 time;	 /* nanoseconds of the monotonic clock */
	__u8 source[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__be32 request_number;
	enum icp_counter counter; /* ICP_COUNT_ANSWERED, or why it got no reply here */
	enum icp_opcode verdict;  /* ICP_OP_INVALID: no reply here */
	__u32 rank;		  /* as in struct decision */
	__u32 generation;	  /* of the chain that was evaluated */
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
_Static_assert(sizeof(struct decided) == 64, "the ABI");
_Static_assert(sizeof(struct map_chain) % 8 == 0, "no padding");
_Static_assert(FILTER_AUTOMATA == AUTOMATON_GROUPS * AUTOMATON_SLOTS, "a bit for each");

#endif
