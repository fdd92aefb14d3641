/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An array map in the daemon's memory, shared with the program. It stays mapped as long as the map
 * is open, because the first access to each page costs more than writing to it.
 */
#ifndef XDP_ICP_KERNEL_SHARED_MAP_H
#define XDP_ICP_KERNEL_SHARED_MAP_H

#include <stddef.h>
#include <stdint.h>

struct shared_map {
	void *memory; /* NULL: not open */
	size_t size;  /* bytes of it */
	size_t value; /* bytes of an entry */
	uint32_t entries;
};

/*
 * Map an array (file descriptor) whose values have `value` bytes. Child processes do not inherit
 * it. Returns 0, or -errno with nothing to be closed; -EINVAL: it has fewer than `least` entries.
 */
int shared_map_open(struct shared_map *map, int fd, size_t value, uint32_t least);
void shared_map_close(struct shared_map *map); /* if it is open */

/* Return the index of the first entry of a half, 0 or 1, and that entry. */
uint32_t shared_map_first(const struct shared_map *map, uint32_t half);
void *shared_map_half(const struct shared_map *map, uint32_t half);

#endif
