/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's place in the file system: how the daemon takes it and leaves it. */
#ifndef XDP_ICP_CONTROL_SOCKET_H
#define XDP_ICP_CONTROL_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#include "error.h"

struct control_socket {
	struct sockaddr_un address;
	dev_t device; /* with `inode`: the file that is ours */
	ino_t inode;
};

/*
 * Binds a stream socket, not yet listening, not blocking, of mode 0660. Creates missing directories
 * (0755), and removes a socket in its place on which nobody answers.
 * Returns the socket, or -1 with an error that names the path and the remedy.
 */
int control_socket_bind(struct control_socket *name, const char *path, struct error *error);

/* Removes the socket from the file system, unless another has taken its place. */
void control_socket_unlink(const struct control_socket *name);

#endif
