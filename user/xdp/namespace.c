// SPDX-License-Identifier: GPL-2.0-or-later
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

enum kernel_result kernel_check_namespace(const struct pin_dir *dir, struct error *error)
{
	struct map_control control = { 0 };
	uint64_t own = network_namespace();
	uint32_t key = 0;
	int fd;

	if (!own || !is_in_use(dir))
		return KERNEL_OK;
	fd = pin_open(dir, PIN_CONTROL);
	if (fd < 0)
		return KERNEL_OK; /* none yet, or of another version: reported elsewhere */
	bpf_map_lookup_elem(fd, &key, &control);
	close(fd);
	if (!control.namespace || control.namespace == own)
		return KERNEL_OK;
	error_set(error,
		  "%s: the daemon that uses these maps runs in another network namespace; run "
		  "`nsenter --net=/proc/PID/ns/net xdp-icp-load ...` with its process id, or set "
		  "pin_dir to another directory here",
		  dir->path);
	return KERNEL_OCCUPIED;
}
