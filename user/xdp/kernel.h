/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's side: loading the XDP program (load.c), attaching it (attach.c), and its maps
 * (maps.c, pins.c). Only this folder uses libbpf, libxdp and the skeleton.
 */
#ifndef XDP_ICP_KERNEL_H
#define XDP_ICP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "chain/compile.h"
#include "config/config.h"
#include "decide.h"
#include "lib/error.h"

/* The result of a load; also the exit status of xdp-icp-load. */
enum kernel_result {
	KERNEL_OK = 0,
	KERNEL_USAGE = 1,   /* wrong options or configuration; only the program itself returns it */
	KERNEL_FAILED = 2,  /* the kernel refused for another reason */
	KERNEL_NO_MODE = 3, /* the device supports none of the requested modes */
	KERNEL_UNAVAILABLE = 4, /* no privileges, no bpffs, or the kernel is too old */
	KERNEL_OCCUPIED = 5, /* another program holds the interface, or another daemon the maps */
	KERNEL_NO_DEVICE = 6,
	KERNEL_ABANDONED =
		7, /* the program of a daemon that is gone replies, and cannot be detached */
};

struct kernel_sizes {
	uint32_t rules; /* entries of the rules map */
	uint32_t
		prefixes; /* lines per chain; a prefix of up to 64 bytes takes one, a longer one more */
	uint32_t recents;  /* keys that were seen lately, per chain */
	uint32_t sources;  /* addresses per chain */
	uint32_t verdicts; /* entries of the verdicts map */
	/* Existing maps with less are replaced; 0 in sizes that maps have. */
	uint32_t prefixes_needed, sources_needed, recents_needed;
};

/*
 * Return the sizes of the maps for a configuration. Networks of queriers and, without
 * `prefixes_max`, prefixes get twice the room that the chain takes, so that it can grow without a
 * restart. Existing maps with room for a quarter more than the chain takes are kept, so that a
 * restart seldom replaces them.
 */
struct kernel_sizes kernel_sizes_for(const struct config *config, const struct compiled *compiled);

/* The bytes of kernel memory that this many keys seen lately take, at most. */
size_t kernel_recent_bytes(uint32_t keys);

/* The directory in which the maps are pinned. It must be in a bpffs. */
struct pin_dir;

#define PIN_DIR_ANY_USER ((uid_t)-1)

/*
 * Open the directory, which must belong to root or to `user` (PIN_DIR_ANY_USER: to any user). As
 * root also set its mode to 0700, and require that no other user can replace it or a directory
 * above it. Return NULL and `error`; errno is ENOENT if it does not exist.
 */
struct pin_dir *pin_dir_open(const char *path, uid_t user, struct error *error);

/*
 * Like pin_dir_open(), as root: create a missing directory, and lock it unless another process has.
 * Takes the turn (pin_dir_take_turn()).
 */
struct pin_dir *pin_dir_create(const char *path, uid_t user, struct error *error);

/*
 * Lock the maps against other daemons until all copies of `dir`'s descriptor are closed, those in
 * children included. Root and the owner of the directory can. Return 0, also if it is locked
 * already, or -1 and `error`.
 */
int pin_dir_lock(struct pin_dir *dir, struct error *error);

/*
 * Processes that create, load into or unload a directory below the same one take turns, so that
 * none sees another's half-finished work. Wait for the turn, but not for longer than some seconds,
 * as other users may be able to delay it: `dir->turn` says whether this process has it. It ends
 * with pin_dir_end_turn() or pin_dir_close().
 */
void pin_dir_take_turn(struct pin_dir *dir);
void pin_dir_end_turn(struct pin_dir *dir);

/* Return whether no maps are pinned there. */
bool pin_dir_is_empty(const struct pin_dir *dir);

/* The last step as root: remove the directory if it is locked and empty, else give it to a user. */
void pin_dir_hand_over(const struct pin_dir *dir, uid_t uid, gid_t gid);

/* `dir` may be NULL. */
void pin_dir_close(struct pin_dir *dir);

/*
 * Return KERNEL_OK if this process may load the program and the kernel supports it, else
 * KERNEL_UNAVAILABLE and `error`.
 */
enum kernel_result kernel_check_available(struct error *error);

/*
 * Check that the interfaces in the maps are not those of another network namespace, where a daemon uses
 * the maps or the program is attached. Return KERNEL_OK, or KERNEL_OCCUPIED and `error`.
 */
enum kernel_result kernel_check_namespace(const struct pin_dir *dir, struct error *error);

struct kernel_load {
	struct pin_dir *pin_dir;
	const char *interface;
	enum config_mode mode;
	bool replace;		   /* replace another program */
	struct kernel_sizes sizes; /* minimum sizes, for maps that do not exist yet */
	uid_t owner;		   /* of the pins: the daemon's user */
	gid_t group;
};

/*
 * Load the program, pin its maps and attach it. Reuse maps of the same ABI version that are large
 * enough, replace others if `pin_dir` is locked. Replace a different version of the program in
 * place, and leave an identical one alone. Afterwards the pins belong to `owner`;
 * pin_dir_hand_over() does the same for the directory.
 *
 * Return KERNEL_OK, or another result and `error` with the remedy. What was done is logged.
 */
enum kernel_result kernel_load(const struct kernel_load *load, struct error *error);

/*
 * Detach the program from an interface, or with NULL from all. The pins are removed with the last
 * interface or, if a daemon uses them, when that ends. A program that is not attached is no error.
 */
enum kernel_result kernel_unload(const char *pin_dir, const char *interface, struct error *error);

/* The addresses that the daemon listens on. */
struct kernel_listen {
	const struct sockaddr_storage *addresses;
	size_t count;
	bool is_bound; /* this process has bound its sockets to them, so that no other daemon uses them */
};

/*
 * Detach programs of ours whose maps are not pinned below `pin_dir` (may be NULL) and that reply for one of the
 * addresses, from an interface or, with NULL, from all: their daemon is gone, and they would go on
 * with its chain. Those of a living daemon stay. Return KERNEL_OK, or KERNEL_ABANDONED and `error`.
 */
enum kernel_result kernel_detach_abandoned(const char *pin_dir, const char *interface,
					   const struct kernel_listen *listen, struct error *error);

/* An interface with the program, as recorded by the loader. */
struct kernel_interface {
	unsigned int ifindex;
	char name[16]; /* empty: the device no longer exists */
	bool native;
	bool dispatcher;
	uint32_t program_id;
	bool attached; /* the program is still attached */
};

/* The pinned maps. */
struct kernel;
struct pinned_rules;

/*
 * Open the pinned maps, for which file permissions suffice; lock `dir` before changing them. Return
 * NULL and `error` if there are none or their ABI version differs.
 */
struct kernel *kernel_open(const struct pin_dir *dir, struct error *error);
void kernel_close(struct kernel *kernel);

/* Remove the pins if the program is no longer attached to any interface. For a clean exit. */
void kernel_unpin_unused(const struct kernel *kernel, const struct pin_dir *dir);

/* Return the operators' rules, owned by `kernel`. */
struct pinned_rules *kernel_rules(const struct kernel *kernel);

/* Return the sizes of the maps. */
struct kernel_sizes kernel_sizes(const struct kernel *kernel);

/* Return how many lines of the size `prefixes` the chain uses. */
uint32_t kernel_prefixes_used(const struct kernel *kernel);

/* How much of a map is in use, of what it holds for one chain. */
struct kernel_room {
	const char *map;
	uint32_t used, capacity; /* entries */
};

/* Report the maps whose use is known without reading them; return their number. */
#define KERNEL_ROOMS 6
size_t kernel_rooms(const struct kernel *kernel, struct kernel_room rooms[KERNEL_ROOMS]);

/* The position of a walk that counts entries. Zero-initialised, it begins. */
struct kernel_cursor {
	bool done;
	size_t count;
	struct verdict_key last;
};

/*
 * Count the next verdicts that are remembered, at most `max`, and set `done` after the last. They may
 * change meanwhile, so that the number is approximate. The walk ends in any case.
 */
void kernel_count_verdicts(const struct kernel *kernel, struct kernel_cursor *cursor, size_t max);

/* Return when the lease was renewed last, as clock_kernel_ns(). */
uint64_t kernel_heartbeat(const struct kernel *kernel);

/* Store at most `max` interfaces; return how many there are. */
size_t kernel_interfaces(const struct kernel *kernel, struct kernel_interface *interfaces,
			 size_t max);

/* Add the kernel's counters, summed over all CPUs, to `counters`. Return 0 or -errno. */
int kernel_counters(const struct kernel *kernel, uint64_t counters[ICP_COUNTER_MAX]);

/*
 * Store `count` entries of the map `decided` from index `first` on, summed over all CPUs. Return 0 or
 * -errno.
 */
int kernel_decided(const struct kernel *kernel, uint32_t first, uint32_t count,
		   struct decided *sums);

/* An entry of the map `destinations`. */
struct kernel_destination {
	struct destination_key key;
	struct destination value;
};

/*
 * Make the map equal to the list, which is sorted in place. Entries are added before others are
 * removed, so that no address is missing meanwhile. Return 0, or -1 and `error`.
 */
int kernel_set_destinations(struct kernel *kernel, struct kernel_destination *list, size_t count,
			    struct error *error);

/* A chain written to the inactive half of the maps. */
struct kernel_chain {
	struct map_chain chain;
	uint32_t slot; /* half of the maps, 0 or 1 */
	struct kernel_use {
		uint32_t lines, answers, groups, sources;
	} use;
	/*
	 * From the switch on, the stores of this chain's policies on what was seen lately are
	 * copied; to be set before it. NULL: none are copied, and the kernel passes up what depends
	 * on them.
	 */
	const struct chain *recents_of;
};

/*
 * Write a chain to the inactive half of the maps, overwriting what was prepared there before.
 * `lease` is in milliseconds. Slow for a large chain; may run in any thread concurrently with all
 * functions here except itself and those that switch or disable the chain. Return 0, or -1 and
 * `error`.
 */
int kernel_prepare_chain(struct kernel *kernel, const struct compiled *compiled,
			 bool answer_request_zero, unsigned int lease,
			 struct kernel_chain *prepared, struct error *error);

/*
 * Note that a policy of the active chain on what was seen lately has another store. For the main
 * thread, like the stores themselves.
 */
void kernel_refresh_recents(struct kernel *kernel, const struct chain *chain);

/*
 * Copy at most `most` more keys of each of those stores, and remove some that belong to no store.
 * Return whether all is done. To be called at intervals.
 */
bool kernel_step_recents(struct kernel *kernel, size_t most);

/*
 * Activate the chain prepared last. A query gets the reply of the previous or of the new chain, and
 * after the return that of the new one. `gate` is as for kernel_renew_lease(), valid from the
 * switch on; NULL: the lease begins with kernel_renew_lease(). Return 0, or -1 and `error` with the
 * previous chain active.
 */
int kernel_switch_chain(struct kernel *kernel, const struct kernel_chain *prepared,
			const struct candidate *gate, struct error *error);

/*
 * Renew the lease and store the gates' candidate, as returned by chain_gate(), effective from the
 * next packet on. Call it well within the lease, and at once when a gate changes.
 */
void kernel_renew_lease(struct kernel *kernel, struct candidate gate);

/*
 * Store the active chain's decision for a URL of `length` bytes, 1 to PREFIX_URL_MAX, until
 * `expires` (clock_kernel_ns(); 0: until the chain is replaced). `source` as in struct query, used
 * if the chain remembers by source. Errors are ignored: the query is passed to the daemon again.
 */
void kernel_remember(struct kernel *kernel, const char *url, size_t length,
		     const struct in6_addr *source, struct candidate decided, uint64_t expires);

/*
 * Reply `drain` to every query from the next packet on, or pass all of them (DRAIN_SILENCE); 0:
 * rules and chain decide again. Return 0, or -1 and `error`.
 */
int kernel_drain(struct kernel *kernel, uint32_t drain, struct error *error);

/* Drain likewise from the first chain on, and end what an earlier daemon has left. */
void kernel_begin_drain(struct kernel *kernel, uint32_t drain);

/* Return the generation of the chain activated last. */
uint32_t kernel_generation(const struct kernel *kernel);

/*
 * Record queries for kernel_trace_read() until that time, in nanoseconds of the monotonic clock; 0:
 * stop. To be renewed while a client traces, so that a daemon that dies leaves no cost behind.
 */
void kernel_trace_until(struct kernel *kernel, uint64_t until);

/* Deactivate the chain: the kernel replies by rules only. Return 0, or -1 and `error`. */
int kernel_disable_chain(struct kernel *kernel, struct error *error);

/* How the kernel came to a decision. */
struct kernel_reason {
	bool remembered; /* by what the daemon has decided for this URL before */
	/*
	 * Rank of the first policy that the kernel cannot evaluate for this URL, or RANK_NONE. It may
	 * lie before the chain's horizon: a URL whose host the kernel cannot read.
	 */
	uint32_t horizon;
};

/*
 * Decide as the XDP program would for a well-formed query for this URL, with the maps as they are.
 * `length` is in bytes, 1 to 16359. Return 0, or -1 and `error`.
 */
int kernel_explain(const struct kernel *kernel, const char *url, size_t length,
		   const struct in6_addr *source, struct decision *decision,
		   struct kernel_reason *reason, struct error *error);

#endif
