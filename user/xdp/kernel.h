/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's side of the house: loading the XDP program (kernel_load.c), attaching it
 * (kernel_attach.c), and its maps (kernel_maps.c). What knows libbpf, libxdp and the skeleton stays
 * behind this header and pinned_rules.h.
 */
#ifndef XDP_ICP_KERNEL_H
#define XDP_ICP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "chain/compile.h"
#include "decide.h"
#include "lib/error.h"

enum kernel_mode {
	KERNEL_AUTO, /* native, then generic */
	KERNEL_NATIVE,
	KERNEL_GENERIC,
};

/* What a load came to; also the exit codes of xdp-icp-load. */
enum kernel_result {
	KERNEL_OK = 0,
	KERNEL_USAGE = 1,    /* wrong options or configuration; never from here */
	KERNEL_FAILED = 2,   /* the kernel refused for a reason of its own */
	KERNEL_NO_MODE = 3,  /* the device takes it in none of the modes asked for */
	KERNEL_NO_MEANS = 4, /* no rights, no bpffs, kernel too old */
	KERNEL_OCCUPIED = 5, /* another program has the place, or another daemon the maps */
	KERNEL_NO_DEVICE = 6,
};

struct kernel_sizes {
	uint32_t rules;	   /* entries of the rules map */
	uint32_t prefixes; /* of up to 64 bytes, longer ones count more; for each of two chains */
	uint32_t sources;  /* the same of addresses */
	uint32_t verdicts; /* entries of the verdicts map */
};

/* What a configuration asks for; where it leaves `prefixes_max` open, what its chain has and a
 * quarter more. */
struct kernel_sizes kernel_sizes_for(const struct config *config, const struct compiled *compiled);

/* The directory that the maps are pinned in. It must lie in a bpffs. */
struct pin_dir;

#define PIN_DIR_ANYBODY ((uid_t)-1)

/*
 * Opens the directory, which must belong to root or to `user`; PIN_DIR_ANYBODY: to anybody. With
 * root's rights it is made as private (0700) as it should be, and no other user may be able to
 * exchange it or a directory above. NULL and `error`; errno is ENOENT if there is none.
 */
struct pin_dir *pin_dir_open(const char *path, uid_t user, struct error *error);

/* The same as root, makes it where it is missing, and locks it unless another process has. */
struct pin_dir *pin_dir_make(const char *path, uid_t user, struct error *error);

/*
 * Holds the maps against other daemons until all copies of `dir`'s descriptor are closed, in
 * children too; root and the directory's owner can. Returns 0, also where it is held already, or
 * -1 and `error`.
 */
int pin_dir_lock(struct pin_dir *dir, struct error *error);

/* Is nothing loaded there? */
bool pin_dir_is_empty(const struct pin_dir *dir);

/* The last step as root: gives the directory to a user, or removes it where nothing is pinned. */
void pin_dir_hand_over(const struct pin_dir *dir, uid_t uid, gid_t gid);

/* NULL is nothing to close. */
void pin_dir_close(struct pin_dir *dir);

/* Whether this process and this kernel can load the program at all: KERNEL_NO_MEANS and `error`. */
enum kernel_result kernel_check_means(struct error *error);

struct kernel_load {
	struct pin_dir *pin_dir;
	const char *interface;
	enum kernel_mode mode;
	bool replace;		   /* take another program's place */
	struct kernel_sizes sizes; /* at least so many, for maps that do not exist yet */
	uid_t owner;		   /* of the pins: who the daemon runs as */
	gid_t group;
};

/*
 * Loads the program, pins its maps and attaches it. Maps of the same ABI version are adopted, a
 * program of ours is replaced in place where it differs and left alone where it does not. Maps that do
 * not fit are replaced if `pin_dir` is locked. Afterwards the pins belong to `owner`; the directory
 * does with pin_dir_hand_over().
 * On an error `error` says why and what to do. What was done and is worth knowing is logged.
 */
enum kernel_result kernel_load(const struct kernel_load *load, struct error *error);

/*
 * Detaches; with the last interface go the pins, or, if a daemon holds them, when that ends.
 * Detached already is no error.
 */
enum kernel_result kernel_unload(const char *pin_dir, const char *interface, struct error *error);

/* Where a program of ours is, as the loader noted it. */
struct kernel_interface {
	unsigned int ifindex;
	char name[16]; /* empty: the device is gone */
	bool native;
	bool dispatcher;
	uint32_t program_id;
	bool attached; /* still there */
};

/* The pinned maps. */
struct kernel;
struct pinned_rules;

/*
 * Opens the pins, for which file permissions are enough; to change the maps, lock `dir` first. NULL
 * and `error` if there are none, or of another ABI.
 */
struct kernel *kernel_open(const struct pin_dir *dir, struct error *error);
void kernel_close(struct kernel *kernel);

/* Before a clean end: removes the pins if the program is attached nowhere any more. */
void kernel_leave(const struct kernel *kernel, const struct pin_dir *dir);

/* The operators' rules, which live as long as `kernel`. */
struct pinned_rules *kernel_rules(const struct kernel *kernel);

/* The sizes that the maps have. */
struct kernel_sizes kernel_sizes(const struct kernel *kernel);

/* How much of the size `prefixes` the chain takes. */
uint32_t kernel_prefixes_used(const struct kernel *kernel);

/* At most `max` interfaces; returns how many there are. */
size_t kernel_interfaces(const struct kernel *kernel, struct kernel_interface *interfaces,
			 size_t max);

/* Adds the kernel's counters over all CPUs to `counters`. Returns 0 or -errno. */
int kernel_counters(const struct kernel *kernel, uint64_t counters[ICP_COUNTER_MAX]);

/* One entry of `destinations`. */
struct kernel_destination {
	struct destination_key key;
	struct destination value;
};

/* Makes the map equal to the list, which is sorted on the way; additions first, so that there is no
 * gap. Returns 0, or -1 and `error`.
 */
int kernel_set_destinations(struct kernel *kernel, struct kernel_destination *list, size_t count,
			    struct error *error);

/* A chain in the kernel's maps, beside the one that counts. */
struct kernel_chain {
	struct map_chain chain;
	uint32_t slot; /* where it stands */
	uint32_t used; /* of the size `prefixes` */
};

/*
 * Writes a chain into the half of the maps that no query looks at, where it takes the place of what
 * was prepared before. `lease` in milliseconds. Takes a while for a large chain, and may run in any
 * thread beside all functions here but this one and those that switch or close a chain. Returns 0,
 * or -1 and `error`.
 */
int kernel_prepare_chain(const struct kernel *kernel, const struct compiled *compiled,
			 bool answer_request_zero, unsigned int lease,
			 struct kernel_chain *prepared, struct error *error);

/*
 * Replaces the chain from one packet to the next by what was prepared last: each query is answered
 * by the former or by the new, and after the return by the new. `gate` as for kernel_watch(), which
 * holds from the switch on; NULL: the lease begins with kernel_watch(). Returns 0, or -1 and
 * `error` with the former in place.
 */
int kernel_switch_chain(struct kernel *kernel, const struct kernel_chain *prepared,
			const struct candidate *gate, struct error *error);

/* Both together. */
int kernel_set_chain(struct kernel *kernel, const struct compiled *compiled,
		     bool answer_request_zero, unsigned int lease, const struct candidate *gate,
		     struct error *error);

/*
 * Tells the kernel that somebody watches, and what policies on the host's state say now: `gate` as
 * chain_gate() has it. To be called well within the lease, and at once when a gate changes: from
 * the next packet on it counts.
 */
void kernel_watch(struct kernel *kernel, struct candidate gate);

/*
 * Remembers what the chain that counts has decided for a URL of `length` bytes, 1 to
 * PREFIX_URL_MAX, until `expires` (clock_kernel_ns(); 0: as long as the chain). `source` as in struct query, used
 * where chain memory is by source. Failure is silent: then the daemon is asked again.
 */
void kernel_remember(struct kernel *kernel, const char *url, size_t length,
		     const struct in6_addr *source, struct candidate decided, uint64_t expires);

/*
 * From the next packet on every query gets the verdict `drain`, or none (DRAIN_SILENCE); 0: the
 * rules and the chain count again. Returns 0, or -1 and `error`.
 */
int kernel_drain(struct kernel *kernel, uint32_t drain, struct error *error);

/* The number of the chain that was put there last. */
uint32_t kernel_generation(const struct kernel *kernel);

/*
 * Shows queries to kernel_trace_read() until then, in nanoseconds of the monotonic clock; 0: no more.
 * To be told again and again as long as somebody traces, so that a daemon that dies leaves no cost.
 */
void kernel_trace_until(struct kernel *kernel, uint64_t until);

/* The chain as if nobody knew it: only rules are answered in the kernel. */
int kernel_close_chain(struct kernel *kernel, struct error *error);

/*
 * What the kernel would do with a query for this URL, were the packet in good form: the XDP
 * program's own decision on the maps as they are. `length` in bytes, 1 to 16359.
 */
int kernel_decide(const struct kernel *kernel, const char *url, size_t length,
		  const struct in6_addr *source, struct decision *decision, struct error *error);

#endif
