/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel_*.c files share among themselves: they alone know libbpf, libxdp and the
 * skeleton.
 */
#ifndef XDP_ICP_KERNEL_PINS_H
#define XDP_ICP_KERNEL_PINS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"
#include "pinned_rules.h"

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

void pin_path(char path[PATH_MAX], const char *pin_dir, enum pin pin);

/* The same of an open kernel, whose it stays. */
int kernel_pin(const struct kernel *kernel, enum pin pin);

/* A file descriptor, or -1 and errno. */
int pin_open(const char *pin_dir, enum pin pin);

/* The same with an error for a person. */
int pin_open_told(const char *pin_dir, enum pin pin, struct error *error);

/* Is what is pinned there of this ABI version? Returns 0, or -1 and `error`. */
int pin_check_abi(const char *pin_dir, struct error *error);

/* Wraps the file descriptor of a rules map, which is then closed with it. NULL: no memory. */
struct pinned_rules *pinned_rules_adopt(int fd);

/* Puts all rules of one map into another, as they are. Returns 0, or -1 and `error`. */
int pinned_rules_copy(const struct pinned_rules *from, const struct pinned_rules *to,
		      struct error *error);

/* Removes all pins and the directory. */
void pins_remove(const char *pin_dir);

/* Moves all pins, each in the place of the one that is there. */
void pins_move(const char *from, const char *to);

/* Does a daemon use the pins there? It holds a lock on the directory. */
bool pins_are_locked(const char *pin_dir);

/* Of a map by its file descriptor; 0 if it cannot be asked. */
uint32_t map_id(int fd);
uint32_t map_entries(int fd);

/* The sizes that pinned maps have; 0 for those that are not there. */
struct kernel_sizes pin_sizes(const char *pin_dir);

/* What an interface itself says it carries, 0 for nothing; needs no rights. */
uint32_t attached_id(unsigned int ifindex);

/* Sends the libraries' messages to the log, and forgets the last cause. */
void libraries_open(void);

/* The cause that the kernel named last for a refusal; empty if it named none. */
extern char kernel_cause[256];

#endif
