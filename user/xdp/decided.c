// SPDX-License-Identifier: GPL-2.0-or-later
/* The map `decided`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "xdp/pins.h"

#define BATCH 64u /* entries read by one system call */

static void add_cpus(struct decided *sum, const struct decided *values, int cpus)
{
	memset(sum, 0, sizeof(*sum));
	for (int cpu = 0; cpu < cpus; cpu++)
		for (unsigned int i = 0; i < DECIDED_VERDICTS; i++)
			sum->verdicts[i] += values[cpu].verdicts[i];
}

int kernel_decided(const struct kernel *kernel, uint32_t first, uint32_t count,
		   struct decided *sums)
{
	int cpus = libbpf_num_possible_cpus();
	struct decided *values = cpus > 0 ? calloc(BATCH * cpus, sizeof(*values)) : NULL;
	uint32_t keys[BATCH], before = first - 1;
	int err = values ? 0 : -ENOMEM;

	while (count && !err) {
		uint32_t n = count < BATCH ? count : BATCH;

		/* The batch begins behind the key `before`; ENOENT: it has reached the end. */
		if (bpf_map_lookup_batch(kernel_pin(kernel, PIN_DECIDED), first ? &before : NULL,
					 &before, keys, values, &n, NULL) &&
		    errno != ENOENT)
			err = -errno;
		else if (n == 0)
			err = -ENOENT;
		for (uint32_t i = 0; i < n && !err; i++)
			add_cpus(sums++, &values[i * cpus], cpus);
		if (!err) {
			first += n;
			count -= n;
		}
	}
	free(values);
	return err;
}
