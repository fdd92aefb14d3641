/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binding the control socket in the file system, and removing it. */
#ifndef XDP_ICP_CONTROL_SOCKET_H
#define XDP_ICP_CONTROL_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#include "lib/error.h"

struct control_socket {
	int fd; /* bound, not listening, not blocking; -1: not bound yet */
	struct sockaddr_un address;
	dev_t device; /* with `inode`: identifies our file */
	ino_t inode;
};

/*
 * The part that needs root: create missing directories within directories that only root can write,
 * the last one owned by `uid`, and bind the socket for `uid` where only root can. Do nothing
 * elsewhere: root does not work in directories of other users. Returns 0, or -1 with an error that
 * names the path and the remedy.
 */
int control_socket_prepare(struct control_socket *name, const char *path, uid_t uid, gid_t gid,
			   struct error *error);

/*
 * Bind a stream socket of mode 0660, unless control_socket_prepare() has. Creates missing
 * directories (0755) and removes a stale socket at the path. Returns 0, or -1 as above.
 */
int control_socket_bind(struct control_socket *name, const char *path, struct error *error);

/* Remove the socket from the file system, unless the path names another file now. */
void control_socket_unlink(const struct control_socket *name);

#endif
