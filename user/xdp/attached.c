// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "xdp/attached.h"

#define MAPS_MAX 64 /* of a program; ours has fewer */

/* Store the ids of a program's maps, and return their number. */
static uint32_t program_maps(uint32_t program, uint32_t maps[MAPS_MAX])
{
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)maps };
	uint32_t size = sizeof(info), count = 0;
	int fd = bpf_prog_get_fd_by_id(program);

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
		count = info.nr_map_ids < MAPS_MAX ? info.nr_map_ids : MAPS_MAX;
	close(fd);
	return count;
}

bool program_uses_map(uint32_t program, uint32_t map)
{
	uint32_t maps[MAPS_MAX], count = program_maps(program, maps);
	bool uses = false;

	for (uint32_t i = 0; i < count; i++)
		uses = uses || maps[i] == map;
	return uses;
}

int program_map(uint32_t program, const char *name, uint32_t key_size, uint32_t value_size)
{
	uint32_t maps[MAPS_MAX], count = program_maps(program, maps);

	for (uint32_t i = 0; i < count; i++) {
		struct bpf_map_info info = { 0 };
		uint32_t size = sizeof(info);
		int fd = bpf_map_get_fd_by_id(maps[i]);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strcmp(info.name, name) == 0 &&
		    info.key_size == key_size && info.value_size == value_size)
			return fd;
		close(fd);
	}
	return -1;
}

struct xdp_program *attached_next(const struct attached *attached, struct xdp_program *program)
{
	if (!attached->all)
		return NULL;
	if (attached->dispatcher)
		return xdp_multiprog__next_prog(program, attached->all);
	return program ? NULL : xdp_multiprog__main_prog(attached->all);
}

void attached_read(struct attached *attached, unsigned int ifindex, const uint32_t *controls,
		   size_t count)
{
	struct xdp_program *program = NULL;

	*attached = (struct attached){ .all = xdp_multiprog__get_from_ifindex(ifindex) };
	if (libxdp_get_error(attached->all)) {
		attached->all = NULL;
		return;
	}
	attached->native = xdp_multiprog__attach_mode(attached->all) == XDP_MODE_NATIVE;
	attached->dispatcher = !xdp_multiprog__is_legacy(attached->all);
	while ((program = attached_next(attached, program)))
		for (size_t i = 0; i < count; i++)
			if (controls[i] && program_uses_map(xdp_program__id(program), controls[i]))
				attached->ours = program;
}

void attached_close(struct attached *attached)
{
	if (attached->all)
		xdp_multiprog__close(attached->all);
}

int attached_detach(const struct attached *attached, unsigned int ifindex)
{
	if (attached->ours && attached->dispatcher)
		return xdp_program__detach(attached->ours, ifindex,
					   attached->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	return attached->all ? xdp_multiprog__detach(attached->all) : 0;
}
