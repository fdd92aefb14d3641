// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "kernel_pins.h"
#include "kernel_skeleton.h"

struct kernel_sizes kernel_sizes_for(const struct config *config, const struct compiled *compiled)
{
	struct kernel_sizes sizes = {
		.rules = config->rules_max,
		.prefixes = config->prefixes_max,
		.sources = compiled->source_count < 512 ? 1024 : 2 * compiled->source_count,
		.verdicts = config->verdicts_max,
	};

	if (sizes.prefixes == 0)
		sizes.prefixes =
			compiled->lines < 3277 ? 4096 : compiled->lines + compiled->lines / 4;
	return sizes;
}

static void size_maps(struct xdp_icp *skeleton, const struct kernel_sizes *sizes)
{
	bpf_map__set_max_entries(skeleton->maps.rules, sizes->rules);
	bpf_map__set_max_entries(skeleton->maps.prefixes,
				 2 * prefix_tree_buckets(sizes->prefixes + 1));
	bpf_map__set_max_entries(skeleton->maps.texts, 2 * sizes->prefixes);
	bpf_map__set_max_entries(skeleton->maps.sources, 2 * sizes->sources);
	bpf_map__set_max_entries(skeleton->maps.verdicts, sizes->verdicts);
}

struct xdp_icp *skeleton_open(const char *pin_dir, const struct kernel_sizes *sizes, bool native,
			      struct error *error)
{
	struct xdp_icp *skeleton = xdp_icp__open();

	if (!skeleton) {
		error_set(error, "the XDP program cannot be read: %s", strerror(errno));
		return NULL;
	}
	skeleton->rodata->generic_mode = !native;
	size_maps(skeleton, sizes);
	for (int pin = 0; pin < PIN_MAX; pin++) {
		char path[PATH_MAX];

		pin_path(path, pin_dir, pin);
		bpf_map__set_pin_path(bpf_object__find_map_by_name(skeleton->obj, pin_names[pin]),
				      path);
	}
	return skeleton;
}
