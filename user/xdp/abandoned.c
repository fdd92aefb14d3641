// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program whose maps are pinned elsewhere or nowhere continues to reply by the chain of a daemon
 * that is gone, and cannot be found through the pins. It is recognised by the addresses that it
 * replies for: no two daemons share an address, because the second could not bind its sockets to
 * it.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "xdp/attached.h"
#include "xdp/bpflog.h"
#include "xdp/destinations.h"
#include "xdp/pins.h"
#include "lib/log.h"
#include "lib/shell_quote.h"

#define PROGRAMS_MAX 16 /* behind a dispatcher; libxdp has room for 10 */

/* The id of the control map that is pinned below `pin_dir` (may be NULL); 0: there is none. */
static uint32_t own_control(const char *pin_dir)
{
	struct error ignored;
	struct pin_dir *dir = pin_dir ? pin_dir_open(pin_dir, PIN_DIR_ANY_USER, &ignored) : NULL;
	int fd = dir ? pin_open_any(dir, PIN_CONTROL) : -1;
	uint32_t id = fd < 0 ? 0 : map_id(fd);

	if (fd >= 0)
		close(fd);
	pin_dir_close(dir);
	return id;
}

/* Does the program reply for one of the addresses on this interface? -1: it cannot be told. */
static int replies_for(uint32_t program, unsigned int ifindex, const struct kernel_listen *listen)
{
	int fd = program_map(program, pin_names[PIN_DESTINATIONS], sizeof(struct destination_key),
			     sizeof(struct destination));
	struct destination_key key, next, *previous = NULL;
	bool found = false;

	if (fd < 0)
		return -1;
	for (uint32_t left = map_entries(fd);
	     left && !found && bpf_map_get_next_key(fd, previous, &next) == 0; left--) {
		key = next;
		previous = &key;
		found = key.ifindex == ifindex &&
			destination_is_listened_on(&key, listen->addresses, listen->count);
	}
	close(fd);
	return found;
}

static bool is_free(const struct sockaddr_storage *address)
{
	bool v6 = address->ss_family == AF_INET6;
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
	bool is_bound;

	if (fd < 0)
		return false;
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	is_bound = bind(fd, (const struct sockaddr *)address,
			v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) == 0 ||
		   errno == EADDRNOTAVAIL;
	close(fd);
	return is_bound;
}

/* Is it certain that the daemon of the program is gone? */
static bool is_gone(const struct kernel_listen *listen)
{
	if (listen->is_bound)
		return true;
	for (size_t i = 0; i < listen->count; i++)
		if (!is_free(&listen->addresses[i]))
			return false;
	return true;
}

/*
 * Has a daemon given it a chain? One that was loaded by hand and never had a daemon replies by
 * rules alone, and a loader must not take its place unasked.
 */
static bool had_daemon(uint32_t program)
{
	struct map_chain *active = malloc(sizeof(*active));
	struct map_control control;
	int control_fd =
		program_map(program, pin_names[PIN_CONTROL], sizeof(uint32_t), sizeof(control));
	int chain_fd =
		program_map(program, pin_names[PIN_CHAIN], sizeof(uint32_t), sizeof(*active));
	uint32_t zero = 0;
	bool is_known = active && bpf_map_lookup_elem(control_fd, &zero, &control) == 0 &&
			bpf_map_lookup_elem(chain_fd, &control.active, active) == 0;
	bool had = !is_known || active->generation != 0;

	if (control_fd >= 0)
		close(control_fd);
	if (chain_fd >= 0)
		close(chain_fd);
	free(active);
	return had;
}

/* Must the program be detached? 1 yes, 0 no, -1: its addresses cannot be read. */
static int is_abandoned(uint32_t program, const char *pin_dir, unsigned int ifindex,
			const struct kernel_listen *listen)
{
	int replies = replies_for(program, ifindex, listen);
	uint32_t own;

	if (!replies || !is_gone(listen) || (!listen->is_bound && !had_daemon(program)))
		return 0;
	own = own_control(pin_dir); /* read last: another loader may just have pinned it */
	return own && program_uses_map(program, own) ? 0 : replies;
}

/* Detach one such program. Return KERNEL_OK and `*more`, or KERNEL_ABANDONED and `error`. */
static enum kernel_result detach_one(const char *pin_dir, const char *interface,
				     unsigned int ifindex, const struct kernel_listen *listen,
				     bool *more, struct error *error)
{
	char reason[128] = "whose addresses cannot be read", quoted[SHELL_QUOTE_SIZE(IF_NAMESIZE)];
	struct xdp_program *program = NULL;
	int abandoned = 0, err = 0;
	struct attached attached;
	uint32_t id;

	attached_read(&attached, ifindex, NULL, 0);
	id = attached_id(ifindex);
	if (!attached.all && id && !own_control(pin_dir))
		log_write(
			LOG_WARNING,
			"interface %s: carries XDP program %u, which this process may not inspect "
			"without CAP_SYS_ADMIN; if it is a leftover " PROGRAM_NAME
			", it may reply by another chain",
			interface, id);
	while (!abandoned && (program = attached_next(&attached, program))) {
		id = xdp_program__id(program);
		if (strcmp(xdp_program__name(program), PROGRAM_NAME) == 0)
			abandoned = is_abandoned(id, pin_dir, ifindex, listen);
	}
	attached.ours = program;
	if (abandoned > 0) {
		err = attached_detach(&attached, ifindex);
		snprintf(reason, sizeof(reason), "and cannot be detached: %s", strerror(-err));
	}
	if (abandoned < 0 || err)
		error_set(error,
			  "interface %s: carries an " PROGRAM_NAME
			  " (id %u) of another daemon, %s; "
			  "`ip link set dev %s %s off` detaches it",
			  interface, id, reason, shell_quote(interface, quoted),
			  attached.native ? "xdpdrv" : "xdpgeneric");
	else if (abandoned)
		log_write(LOG_NOTICE,
			  "interface %s: detached the XDP program %s (id %u), which replied for "
			  "addresses of `listen` by the chain of a daemon that is gone, whose maps "
			  "are pinned elsewhere or nowhere",
			  interface, PROGRAM_NAME, id);
	*more = abandoned && attached.dispatcher;
	attached_close(&attached);
	return abandoned < 0 || err ? KERNEL_ABANDONED : KERNEL_OK;
}

static enum kernel_result detach_all(const char *pin_dir, const char *interface,
				     unsigned int ifindex, const struct kernel_listen *listen,
				     struct error *error)
{
	enum kernel_result result = KERNEL_OK;
	bool more = attached_id(ifindex);

	for (int i = 0; i < PROGRAMS_MAX && more && result == KERNEL_OK; i++)
		result = detach_one(pin_dir, interface, ifindex, listen, &more, error);
	return result;
}

enum kernel_result kernel_detach_abandoned(const char *pin_dir, const char *interface,
					   const struct kernel_listen *listen, struct error *error)
{
	struct if_nameindex *list = if_nameindex();
	enum kernel_result result = KERNEL_OK;

	bpf_log_init();
	for (size_t i = 0; list && list[i].if_index && result == KERNEL_OK; i++)
		if (!interface || strcmp(interface, list[i].if_name) == 0)
			result = detach_all(pin_dir, list[i].if_name, list[i].if_index, listen,
					    error);
	if (list)
		if_freenameindex(list);
	return result;
}
