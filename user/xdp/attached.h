/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XDP programs that an interface carries, alone or behind the libxdp dispatcher. */
#ifndef XDP_ICP_ATTACHED_H
#define XDP_ICP_ATTACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xdp/libxdp.h>

#define PROGRAM_NAME "xdp_icp"

bool program_uses_map(uint32_t program, uint32_t map);

/*
 * Return a file descriptor of the program's map of this name and with keys and values of these sizes,
 * or -1.
 */
int program_map(uint32_t program, const char *name, uint32_t key_size, uint32_t value_size);

struct attached {
	struct xdp_multiprog *all; /* NULL: none */
	struct xdp_program *ours;  /* in `all`; NULL: not attached */
	bool native;
	bool dispatcher;
};

/*
 * Read the programs of an interface. `controls` are the `count` ids of control maps that identify a
 * program as ours; 0 matches none. Call attached_close() in any case.
 */
void attached_read(struct attached *attached, unsigned int ifindex, const uint32_t *controls,
		   size_t count);
void attached_close(struct attached *attached);

/* Return the program behind this one, or with NULL the first; NULL: there is none. */
struct xdp_program *attached_next(const struct attached *attached, struct xdp_program *program);

/*
 * Detach our program from behind the dispatcher, or whatever holds the interface alone. Return 0 or
 * -errno.
 */
int attached_detach(const struct attached *attached, unsigned int ifindex);

#endif
