// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "chain/image.h"
#include "xdp/pins.h"
#include "xdp/skeleton.h"

#define RECENTS_LEAST 100000 /* keys, for a policy that is added later */

static uint32_t size_of(size_t entries)
{
	return entries < CONFIG_ENTRIES_MAX ? entries : CONFIG_ENTRIES_MAX;
}

/* Return the size of a map for a chain that takes this many entries. */
static uint32_t room_for(size_t entries, uint32_t least)
{
	return 2 * entries < least ? least : size_of(2 * entries);
}

struct kernel_sizes kernel_sizes_for(const struct config *config, const struct compiled *compiled)
{
	size_t lines = compiled->lines, sources = compiled->source_count;
	size_t recents = compiled->recent_entries;
	struct kernel_sizes sizes = {
		.rules = config->rules_max,
		.prefixes = config->prefixes_max,
		.recents = recents < RECENTS_LEAST ? RECENTS_LEAST : size_of(recents),
		.sources = room_for(sources, 1024),
		.verdicts = config->verdicts_max,
		.prefixes_needed = config->prefixes_max,
		.sources_needed = size_of(sources + sources / 4),
		.recents_needed = size_of(recents),
	};

	if (sizes.prefixes == 0) {
		sizes.prefixes = room_for(lines, config->cluster_count ? 65536 : 4096);
		sizes.prefixes_needed = size_of(lines + lines / 4);
	}
	return sizes;
}

size_t kernel_recent_bytes(uint32_t keys)
{
	return RECENT_SLOTS(RECENT_HOMES((size_t)keys)) * sizeof(struct recent_slot);
}

static void size_maps(struct xdp_icp *skeleton, const struct kernel_sizes *sizes)
{
	bpf_map__set_max_entries(skeleton->maps.rules, sizes->rules);
	bpf_map__set_max_entries(skeleton->maps.prefixes, 2 * chain_image_buckets(sizes->prefixes));
	bpf_map__set_max_entries(skeleton->maps.texts, 2 * sizes->prefixes);
	bpf_map__set_max_entries(skeleton->maps.recent, RECENT_SLOTS(RECENT_HOMES(sizes->recents)));
	bpf_map__set_max_entries(skeleton->maps.sources, 2 * sizes->sources);
	bpf_map__set_max_entries(skeleton->maps.verdicts, sizes->verdicts);
}

static struct bpf_map *map_of(const struct xdp_icp *skeleton, enum pin pin)
{
	return bpf_object__find_map_by_name(skeleton->obj, pin_names[pin]);
}

int skeleton_map(const struct xdp_icp *skeleton, enum pin pin)
{
	return bpf_map__fd(map_of(skeleton, pin));
}

/* Reuse a pinned map. Not by libbpf itself, which opens pins by path and follows links. */
static int adopt(struct xdp_icp *skeleton, const struct pin_dir *dir, enum pin pin,
		 struct error *error)
{
	int fd = pin_open(dir, pin);
	int err;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return pin_report(dir, pin, error);
	err = bpf_map__reuse_fd(map_of(skeleton, pin), fd); /* duplicates fd */
	close(fd);
	return err ? error_set(error, "%s/%s: cannot be used: %s", dir->path, pin_names[pin],
			       strerror(-err))
		   : 0;
}

/* A file of types that has none. -1: there is no memory for it. */
static int open_empty_types(void)
{
	struct btf *types = btf__new_empty();
	uint32_t size;
	const void *data = types ? btf__raw_data(types, &size) : NULL;
	int file = data ? memfd_create("types", MFD_CLOEXEC) : -1;

	if (file >= 0 && write(file, data, size) != (ssize_t)size) {
		close(file);
		file = -1;
	}
	btf__free(types);
	return file;
}

const struct bpf_object_open_opts *skeleton_options(void)
{
	static struct bpf_object_open_opts options = { .sz = sizeof(options) };
	static char path[32];

	if (!options.btf_custom_path && access("/sys/kernel/btf/vmlinux", F_OK)) {
		int file = open_empty_types();

		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
		options.btf_custom_path = file < 0 ? NULL : path;
	}
	return &options;
}

struct xdp_icp *skeleton_open(const struct pin_dir *dir, const struct kernel_sizes *sizes,
			      bool native, struct error *error)
{
	struct xdp_icp *skeleton = xdp_icp__open_opts(skeleton_options());

	if (!skeleton) {
		error_set(error, "the XDP program cannot be read: %s", strerror(errno));
		return NULL;
	}
	skeleton->rodata->generic_mode = !native;
	size_maps(skeleton, sizes);
	for (int pin = 0; pin < PIN_MAX; pin++) {
		if (adopt(skeleton, dir, pin, error) == 0)
			continue;
		xdp_icp__destroy(skeleton);
		return NULL;
	}
	return skeleton;
}
