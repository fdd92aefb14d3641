// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "xdp/pins.h"
#include "xdp/shared_map.h"

int shared_map_open(struct shared_map *map, int fd, size_t value, uint32_t least)
{
	size_t page = sysconf(_SC_PAGESIZE), size;
	uint32_t entries = map_entries(fd);
	void *memory;
	int err;

	if (entries < least)
		return -EINVAL;
	size = (entries * value + page - 1) / page * page;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	if (madvise(memory, size, MADV_DONTFORK)) {
		err = -errno;
		munmap(memory, size);
		return err;
	}
	*map = (struct shared_map){ memory, size, value, entries };
	return 0;
}

void shared_map_close(struct shared_map *map)
{
	if (map->memory)
		munmap(map->memory, map->size);
	*map = (struct shared_map){ 0 };
}

uint32_t shared_map_first(const struct shared_map *map, uint32_t half)
{
	return half * (map->entries / 2);
}

void *shared_map_half(const struct shared_map *map, uint32_t half)
{
	return (char *)map->memory + shared_map_first(map, half) * map->value;
}
