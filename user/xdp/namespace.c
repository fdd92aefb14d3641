// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "xdp/namespace.h"
#include "xdp/pins.h"

uint64_t network_namespace(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size))
		cookie = 0;
	close(fd);
	return cookie;
}

static bool is_in_use(const struct pin_dir *dir)
{
	if (dir->locked)
		return false;
	if (flock(dir->fd, LOCK_SH | LOCK_NB))
		return true;
	flock(dir->fd, LOCK_UN);
	return false;
}

/* Is the program attached by one of the records? Its id is, as long as it is attached somewhere. */
static bool is_attached(const struct pin_dir *dir)
{
	int fd = pin_open(dir, PIN_INTERFACES), program = -1;
	uint32_t *previous = NULL, key;
	bool attached = false;

	while (fd >= 0 && !attached && bpf_map_get_next_key(fd, previous, &key) == 0) {
		struct attachment note;

		previous = &key;
		if (bpf_map_lookup_elem(fd, &key, &note))
			continue;
		program = bpf_prog_get_fd_by_id(note.program_id);
		attached = program >= 0 || errno == EPERM;
		if (program >= 0)
			close(program);
	}
	if (fd >= 0)
		close(fd);
	return attached;
}

enum kernel_result kernel_check_namespace(const struct pin_dir *dir, struct error *error)
{
	struct map_control control = { 0 };
	uint64_t own = network_namespace();
	uint32_t key = 0;
	int fd = pin_open(dir, PIN_CONTROL);

	if (fd < 0)
		return KERNEL_OK; /* none yet, or of another version: reported elsewhere */
	bpf_map_lookup_elem(fd, &key, &control);
	close(fd);
	if (!own || !control.namespace || control.namespace == own)
		return KERNEL_OK;
	if (is_in_use(dir))
		error_set(error,
			  "%s: the daemon that uses these maps runs in another network namespace; "
			  "run `nsenter --net=/proc/PID/ns/net xdp-icp-load ...` with its process "
			  "id, or set pin_dir to another directory here",
			  dir->path);
	else if (is_attached(dir))
		error_set(error,
			  "%s: the program with these maps is attached in another network "
			  "namespace; run xdp-icp-load there, or set pin_dir to another directory "
			  "here",
			  dir->path);
	else
		return KERNEL_OK;
	return KERNEL_OCCUPIED;
}

void kernel_note_namespace(int fd)
{
	struct map_control control;
	uint32_t key = 0;

	if (bpf_map_lookup_elem(fd, &key, &control))
		return;
	control.namespace = network_namespace();
	bpf_map_update_elem(fd, &key, &control, BPF_ANY);
}
