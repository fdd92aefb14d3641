/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pinned maps and their directory. The directory belongs to the daemon's user, who can replace
 * a pin at any moment while root works there. So nothing is done by name: each name is opened
 * without following links, its type and owner are checked, and everything else uses that
 * descriptor.
 */
#ifndef XDP_ICP_KERNEL_PINS_H
#define XDP_ICP_KERNEL_PINS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "xdp/kernel.h"
#include "xdp/rules.h"

/* The pinned maps, in the order of pin_names. */
enum pin {
	PIN_ABI,
	PIN_RULES,
	PIN_INTERFACES,
	PIN_DESTINATIONS,
	PIN_CONTROL,
	PIN_CHAIN,
	PIN_PREFIXES,
	PIN_TEXTS,
	PIN_ANSWERS,
	PIN_AUTOMATA,
	PIN_PARTITIONS,
	PIN_RECENT,
	PIN_SOURCES,
	PIN_VERDICTS,
	PIN_WATCH,
	PIN_COUNTERS,
	PIN_DECIDED,
	PIN_TRACE,
	PIN_MAX
};

/* No dots: a bpffs rejects such names (EPERM), those of directories too. */
extern const char *const pin_names[PIN_MAX];

struct pin_dir {
	int fd;	      /* open for reading, so that it can be locked */
	int parent;   /* the directory above */
	int turn;     /* the same, locked: see pin_dir_take_turn(); -1: not taken */
	bool gave_up; /* the wait for its turn timed out */
	bool locked;  /* by this process: no other may change the maps */
	char *path;   /* as configured, for messages */
	char *name;   /* within `parent` */
	uid_t user;   /* the owner that pins may have, besides root */
};

/* Return the file descriptor of a map, owned by `kernel`. */
int kernel_pin(const struct kernel *kernel, enum pin pin);

/*
 * Open a map of any ABI version. Return a file descriptor, or -1 and errno. ELOOP: it is not a pin
 * of its own, or belongs to a user other than root or the owner of the directory.
 */
int pin_open_any(const struct pin_dir *dir, enum pin pin);

/* Like pin_open_any(), for this ABI version. EPROTO: its keys or values have another size. */
int pin_open(const struct pin_dir *dir, enum pin pin);

/* Like pin_open(), with `error`. */
int pin_open_report(const struct pin_dir *dir, enum pin pin, struct error *error);

/* Set the error of a pin that could not be opened, by errno. Return -1. */
int pin_report(const struct pin_dir *dir, enum pin pin, struct error *error);

/* Check the ABI version of the pinned maps. Return 0, or -1 and `error`. */
int pin_check_abi(const struct pin_dir *dir, struct error *error);

/*
 * Pin a map (file descriptor) under its name, unless it is pinned there already. Return 0 or
 * -errno.
 */
int pin_create(const struct pin_dir *dir, enum pin pin, int map);

/*
 * Give the pin of this map (file descriptor) to a user, with mode 0600. Return 0 or -errno; -ELOOP:
 * another map is pinned there.
 */
int pin_chown(const struct pin_dir *dir, enum pin pin, int map, uid_t uid, gid_t gid);

/* Open the directory NAME-new beside this one; it may be created. Return NULL and `error`. */
struct pin_dir *pin_dir_sibling(const struct pin_dir *dir, bool create, struct error *error);

/* Create and lock it again if it has been removed since. Return 0, or -1 and `error`. */
int pin_dir_renew(struct pin_dir *dir, uid_t user, struct error *error);

/* Remove all pins, not the directory. */
void pins_remove(const struct pin_dir *dir);

/* Remove the directory and that of libxdp, if they are empty. */
void pin_dir_remove(const struct pin_dir *dir);

/*
 * Move all pins, replacing existing ones, and remove the directory `from`. Return 0, or -1 and `error`.
 * As long as some are missing, `abi` is.
 */
int pins_move(const struct pin_dir *from, const struct pin_dir *to, struct error *error);

/* Wrap the file descriptor of a rules map, which is closed with it. Return NULL without memory. */
struct pinned_rules *pinned_rules_adopt(int fd);

/* Open the pinned rules. Return 0, or -1 and `error`. */
int pinned_rules_at(const struct pin_dir *dir, struct pinned_rules **rules, struct error *error);

/* Copy all rules to another map, unchanged. Return 0, or -1 and `error`. */
int pinned_rules_copy(const struct pinned_rules *from, const struct pinned_rules *to,
		      struct error *error);

/* Return the id and the capacity of a map (file descriptor), or 0 if it cannot be read. */
uint32_t map_id(int fd);
uint32_t map_entries(int fd);

/* Return the sizes of the pinned maps, 0 for those that are missing or do not fit together. */
struct kernel_sizes pin_sizes(const struct pin_dir *dir);

/*
 * Return the id of the XDP program (or dispatcher) on an interface, 0 if there is none. Needs no
 * privileges.
 */
uint32_t attached_id(unsigned int ifindex);

#endif
