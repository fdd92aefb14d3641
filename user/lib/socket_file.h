/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix sockets in the file system: binding them, and removing them. */
#ifndef XDP_ICP_SOCKET_FILE_H
#define XDP_ICP_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "lib/error.h"

/* What a socket is for. Texts are literals, for messages. */
struct socket_use {
	const char *name;    /* such as "control socket" */
	const char *setting; /* that has its path */
	int type;	     /* SOCK_STREAM or SOCK_DGRAM */
	mode_t mode;	     /* of the file */
};

struct socket_file {
	int fd; /* bound, not listening, not blocking; -1: not bound yet */
	struct sockaddr_un address;
	dev_t device; /* with `inode`: identifies our file */
	ino_t inode;
};

/*
 * The part that needs root: create missing directories within directories that only root can write
 * to, the last one owned by `uid`, and bind the socket for `uid` where only root can. Does nothing
 * elsewhere: root does not work in directories of other users. Returns 0, or -1 with an error that
 * names the path and the remedy.
 */
int socket_file_prepare(struct socket_file *name, const struct socket_use *use, const char *path,
			uid_t uid, gid_t gid, struct error *error);

/*
 * Bind a socket, unless socket_file_prepare() has. Creates missing directories (0755) and removes a
 * stale socket at the path. Returns 0, or -1 as above.
 */
int socket_file_bind(struct socket_file *name, const struct socket_use *use, const char *path,
		     struct error *error);

/* Does the path still name this socket? */
bool socket_file_is_there(const struct socket_file *name);

/* Remove the socket from the file system, unless the path names another file now. */
void socket_file_unlink(const struct socket_file *name);

#endif
