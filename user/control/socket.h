/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's place in the file system: how the daemon takes it and leaves it. */
#ifndef XDP_ICP_CONTROL_SOCKET_H
#define XDP_ICP_CONTROL_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#include "lib/error.h"

struct control_socket {
	int fd; /* bound, not listening, not blocking; -1: not bound yet */
	struct sockaddr_un address;
	dev_t device; /* with `inode`: the file that is ours */
	ino_t inode;
};

/*
 * What root has to do before it becomes the daemon's user: makes missing directories below those
 * that only root can write, the last of them for `uid`, and binds the socket for it where only root
 * can. Elsewhere it does nothing: root does not work in directories of others. Returns 0, or -1
 * with an error that names the path and the remedy.
 */
int control_socket_prepare(struct control_socket *name, const char *path, uid_t uid, gid_t gid,
			   struct error *error);

/*
 * Binds a stream socket of mode 0660, if control_socket_prepare() has not. Makes missing directories
 * (0755), and removes a socket in its place on which nobody answers. Returns 0, or -1 as above.
 */
int control_socket_bind(struct control_socket *name, const char *path, struct error *error);

/* Removes the socket from the file system, unless another has taken its place. */
void control_socket_unlink(const struct control_socket *name);

#endif
