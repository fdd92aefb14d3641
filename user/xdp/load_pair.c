// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp/load_pair.h"

struct message {
	uint32_t result; /* enum kernel_result */
	struct kernel_sizes sizes;
	struct error error;
};

pid_t load_fork(int *channel, struct error *error)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return error_set(error, "cannot make a pair of sockets: %s", strerror(errno));
	pid = fork();
	if (pid < 0) {
		close(ends[0]);
		close(ends[1]);
		return error_set(error, "cannot start a process: %s", strerror(errno));
	}
	*channel = ends[pid == 0];
	close(ends[pid != 0]);
	return pid;
}

void load_send(int channel, enum kernel_result result, const struct kernel_sizes *sizes,
	       const struct error *error)
{
	struct message message;

	memset(&message, 0, sizeof(message));
	message.result = result;
	if (sizes)
		message.sizes = *sizes;
	if (result != KERNEL_OK)
		memcpy(message.error.text, error->text,
		       strnlen(error->text, sizeof(message.error.text) - 1));
	while (send(channel, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static bool is_size(uint32_t entries)
{
	return entries >= 1 && entries <= CONFIG_ENTRIES_MAX;
}

enum kernel_result load_receive(int channel, struct kernel_sizes *sizes, struct error *error)
{
	struct message message;
	ssize_t length;

	do
		length = recv(channel, &message, sizeof(message), MSG_TRUNC);
	while (length < 0 && errno == EINTR);
	if (length != sizeof(message) || message.result > KERNEL_ABANDONED) {
		error_set(error,
			  "the other process of the start has ended; see the log for the cause");
		return KERNEL_FAILED;
	}
	if (message.result != KERNEL_OK) {
		message.error.text[sizeof(message.error.text) - 1] = '\0';
		*error = message.error;
		return message.result;
	}
	if (!sizes)
		return KERNEL_OK;
	if (!is_size(message.sizes.rules) || !is_size(message.sizes.prefixes) ||
	    !is_size(message.sizes.sources) || !is_size(message.sizes.recents) ||
	    !is_size(message.sizes.verdicts)) {
		error_set(error, "the chain needs a map of no entries or of more than %u",
			  CONFIG_ENTRIES_MAX);
		return KERNEL_FAILED;
	}
	*sizes = message.sizes;
	return KERNEL_OK;
}
