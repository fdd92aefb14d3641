/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The XDP program by itself, without pins and without a device: its maps are filled by hand, and
 * frames are given to it by BPF_PROG_TEST_RUN. They come in on the loopback interface then.
 */
#ifndef XDP_ICP_TEST_PROGRAM_H
#define XDP_ICP_TEST_PROGRAM_H

#include <linux/bpf.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "chain/compile.h"
#include "support/datagrams.h"
#include "xdp/pins.h"
#include "maps.h"
#include "xdp_icp.skel.h"

#define PROGRAM_RULES 64
#define PROGRAM_PREFIXES 8192
#define PROGRAM_VERDICTS PROGRAM_PREFIXES
#define PROGRAM_RECENTS 64 /* a chain */
#define PROGRAM_GENERATION 7

struct program {
	struct xdp_icp *skeleton;
	struct xdp_icp *generic; /* the program for generic mode, on the same maps */
	const char *reason;	 /* why there is none; empty: there must be one */
	int fd;
	unsigned int ifindex; /* of the loopback interface */
	int cpus;
	struct prefix_bucket *buckets; /* both chains' */
	struct prefix_line *lines;
	struct recent_slot *recents;
};

/* For main(), before all tests. `verdicts` is the size of that map, usually PROGRAM_VERDICTS. */
void program_open(struct program *program, unsigned int verdicts);
void program_close(struct program *program);

/* The same with the program for generic mode; not for program_close(). */
struct program program_in_generic_mode(const struct program *program);

/* Call it first in each test: skips the test if the program cannot be loaded. */
void program_needed(const struct program *program);

/* --- maps */

/* Removes all entries. */
void program_empty_map(struct bpf_map *map);

/* Activate `chain`, without drain and trace. */
void program_control(struct program *program, uint32_t chain);

/* No rules, no destinations, and a chain that nobody has filled. */
void program_clear(struct program *program);
void program_put_rule_bits(struct program *program, const char *text, size_t bits,
			   unsigned int verdict);
void program_put_rule(struct program *program, const char *text, unsigned int verdict);

/* `address` as the map has it, IPv4 as ::ffff:a.b.c.d; `mac` may be NULL for none. */
void program_put_destination(struct program *program, const uint8_t address[16], uint16_t port,
			     const uint8_t mac[6]);

/* The lines of the tree of chain 1. */
struct prefix_line *program_lines(struct program *program);

/* The map `recent`, which has RECENT_SLOTS(RECENT_HOMES(PROGRAM_RECENTS)) slots. */
struct recent_slot *program_recents(struct program *program);

/* Gives chain 1 these prefixes; their answer 1 is the first of `answers`. */
void program_put_prefixes(struct program *program, struct map_chain *chain,
			  const struct prefix_entry *entries, size_t count,
			  const struct prefix_answer *answers, size_t answer_count);
void program_put_chain(struct program *program, const struct map_chain *chain);

/* As the daemon does it. */
void program_set_chain(struct program *program, const struct compiled *compiled,
		       bool answer_request_zero);
void program_counters(const struct program *program, uint64_t counters[ICP_COUNTER_MAX]);

/* --- frames */

/*
 * Runs the program on a frame, behind `metadata` bytes as another program may have put before it; the
 * outcome begins with them too. `linear` bytes of the frame lie where the program sees them, the others
 * in fragments; 0: as many as fit, and without metadata. Returns 0 or -errno (a kernel before 6.18 knows
 * no `linear`).
 */
int program_run_split(const struct program *program, const struct bytes *in, uint32_t metadata,
		      uint32_t linear, struct bytes *out, uint32_t *action);
void program_run(const struct program *program, const struct bytes *in, struct bytes *out,
		 uint32_t *action);

/* Fails unless exactly one counter has risen, by one, and it is this. */
void assert_counted(const char *what, const uint64_t before[ICP_COUNTER_MAX],
		    const uint64_t after[ICP_COUNTER_MAX], enum icp_counter expected);
void assert_bytes(const char *what, const struct bytes *bytes, const struct bytes *expected);

/*
 * Expect the frame to pass unchanged for this reason, or (ICP_COUNT_ANSWERED) to come back as
 * `answer`.
 */
void assert_outcome(const struct program *program, const char *what, const struct bytes *frame,
		    enum icp_counter counter, const struct bytes *answer);

/*
 * The daemon's view of the program's maps. It goes by pins; they are gone again when this returns.
 * Where there is no BPF file system the test is skipped.
 */
struct kernel *program_kernel(const struct program *program);

#endif
