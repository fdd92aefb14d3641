// SPDX-License-Identifier: GPL-2.0-or-later
/* Tells what it has of the process that loads it: the terminal, and a descriptor 77. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xdp_icp_plugin.h>

static int can_type(int fd)
{
	return ioctl(fd, TIOCSTI, "x") == 0;
}

static int can_read(int fd)
{
	return isatty(fd) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
}

static int tell(size_t count, const char *const *arguments, void **state, char *error,
		size_t error_size)
{
	int terminal = open("/dev/tty", O_RDWR | O_NOCTTY);
	int typed = 0, read = 0;

	*state = NULL;
	for (int stream = 0; stream <= STDERR_FILENO; stream++) {
		typed += can_type(stream);
		read += can_read(stream);
	}
	snprintf(error, error_size, "terminal %s, writes %s, types %d, reads %d, descriptor %s",
		 terminal < 0 ? "none" : "controlling", isatty(STDERR_FILENO) ? "yes" : "no", typed,
		 read, fcntl(77, F_GETFD) < 0 ? "none" : "open");
	if (terminal >= 0)
		close(terminal);
	return 1;
}

static enum xdp_icp_plugin_verdict check(void *state, const struct xdp_icp_plugin_query *query)
{
	return XDP_ICP_PLUGIN_NOTHING;
}

const struct xdp_icp_plugin xdp_icp_plugin = {
	XDP_ICP_PLUGIN_ABI, XDP_ICP_PLUGIN_OTHER, 0, tell, check, NULL,
};
