/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pinned maps, and the directory that they are in. The directory belongs to the daemon's user,
 * who can put anything in the place of a pin while root works there. So nothing is done by name:
 * each name is opened without following links, what it is is checked, and all else goes through
 * that descriptor.
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
	PIN_SOURCES,
	PIN_VERDICTS,
	PIN_WATCH,
	PIN_COUNTERS,
	PIN_TRACE,
	PIN_MAX
};

/* None has a dot, nor may a directory above them: a bpffs takes no such names (EPERM). */
extern const char *const pin_names[PIN_MAX];

struct pin_dir {
	int fd;	     /* readable, so that it can be locked */
	int parent;  /* the directory that it is in */
	bool locked; /* by us: no other process may use the maps as its own */
	char *path;  /* as the configuration has it, for messages */
	char *name;  /* within `parent` */
	uid_t user;  /* whose pins may be in it, besides root's */
};

/* Returns the map's file descriptor in an open kernel, which keeps it. */
int kernel_pin(const struct kernel *kernel, enum pin pin);

/*
 * Opens a map whatever its ABI version: a file descriptor, or -1 and errno. ELOOP: what is there is
 * no pin of its own, or belongs to another user than root or the directory's owner.
 */
int pin_open_any(const struct pin_dir *dir, enum pin pin);

/* The same for this ABI version. EPROTO: its keys or values have another size. */
int pin_open(const struct pin_dir *dir, enum pin pin);

/* The same with an error for a person. */
int pin_open_told(const struct pin_dir *dir, enum pin pin, struct error *error);

/* Is what is pinned there of this ABI version? Returns 0, or -1 and `error`. */
int pin_check_abi(const struct pin_dir *dir, struct error *error);

/* Pins a map (file descriptor) under its name, unless it is pinned there. Returns 0 or -errno. */
int pin_make(const struct pin_dir *dir, enum pin pin, int map);

/*
 * Gives the pin of this map (file descriptor) to a user, mode 0600. Returns 0 or -errno; -ELOOP:
 * something else is pinned there.
 */
int pin_give(const struct pin_dir *dir, enum pin pin, int map, uid_t uid, gid_t gid);

/* Opens the empty directory NAME-new beside this one, which is made. NULL and `error`. */
struct pin_dir *pin_dir_make_beside(const struct pin_dir *dir, struct error *error);

/* Removes all pins; the directory stays. */
void pins_remove(const struct pin_dir *dir);

/* Removes the directory if it is empty, and libxdp's. */
void pin_dir_remove(const struct pin_dir *dir);

/* Moves all pins, each in the place of the one that is there. */
void pins_move(const struct pin_dir *from, const struct pin_dir *to);

/* Wraps the file descriptor of a rules map, which is then closed with it. NULL: no memory. */
struct pinned_rules *pinned_rules_adopt(int fd);

/* The same for the rules that are pinned there. Returns 0, or -1 and `error`. */
int pinned_rules_at(const struct pin_dir *dir, struct pinned_rules **rules, struct error *error);

/* Puts all rules of one map into another, as they are. Returns 0, or -1 and `error`. */
int pinned_rules_copy(const struct pinned_rules *from, const struct pinned_rules *to,
		      struct error *error);

/* Of a map by its file descriptor; 0 if it cannot be asked. */
uint32_t map_id(int fd);
uint32_t map_entries(int fd);

/* The sizes that pinned maps have; 0 for those that are not there. */
struct kernel_sizes pin_sizes(const struct pin_dir *dir);

/* What an interface itself says it carries, 0 for nothing; needs no rights. */
uint32_t attached_id(unsigned int ifindex);

#endif
