// SPDX-License-Identifier: GPL-2.0-or-later
/* An array map in memory (xdp/shared_map.h). */
#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"
#include "xdp/shared_map.h"

#define ENTRIES 2000u /* more than a page */

static int make_map(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shared_test", sizeof(uint32_t),
				sizeof(uint64_t), ENTRIES, &options);

	assert_true(fd >= 0);
	return fd;
}

/* What is written to a half is what the program reads there. */
TEST(halves)
{
	struct shared_map map;
	int fd = make_map();

	assert_int_equal(shared_map_open(&map, fd, sizeof(uint64_t), ENTRIES), 0);
	for (uint32_t half = 0; half < 2; half++) {
		uint32_t first = shared_map_first(&map, half);
		uint64_t value;

		assert_int_equal(first, half * ENTRIES / 2);
		*(uint64_t *)shared_map_half(&map, half) = 7 + half;
		assert_int_equal(bpf_map_lookup_elem(fd, &first, &value), 0);
		assert_int_equal(value, 7 + half);
	}
	shared_map_close(&map);
	assert_null(map.memory);
	shared_map_close(&map);
	close(fd);
}

TEST(a_map_that_is_too_small)
{
	struct shared_map map;
	int fd = make_map();

	assert_int_equal(shared_map_open(&map, fd, sizeof(uint64_t), ENTRIES + 1), -EINVAL);
	close(fd);
}

/* A helper gets nothing of it, and a fork need not copy its page tables. */
TEST(children_do_not_have_it)
{
	struct shared_map map;
	int fd = make_map(), status;
	unsigned char pages[2];
	pid_t child;

	assert_int_equal(shared_map_open(&map, fd, sizeof(uint64_t), ENTRIES), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(mincore(map.memory, 1, pages) == -1 && errno == ENOMEM ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(mincore(map.memory, 1, pages), 0);
	shared_map_close(&map);
	close(fd);
}
