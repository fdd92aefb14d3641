// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Startup. As root only the configuration itself is read, which must be root's: the drop-ins beside
 * it, and the lists, scripts and plugins that they name, may be written by `user`. So a child is
 * forked that keeps the privileges and loads the program; then this process becomes `user`, reads
 * the rest, builds the chain, and sends the child the required map sizes (load_pair.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xdp-icpd/clusters.h"
#include "xdp-icpd/commands.h"
#include "xdp-icpd/public.h"
#include "chain/compile.h"
#include "control/tcp.h"
#include "xdp-icpd/daemon.h"
#include "config/dropin.h"
#include "config/saved_drain.h"
#include "xdp/load_pair.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/plural.h"
#include "lib/privileges.h"

struct start {
	bool root; /* started as root */
	uid_t uid; /* the user to become */
	gid_t gid;
	struct socket_file control;
	int metrics;  /* the socket; -1: none, or passed on */
	pid_t loader; /* the child; 0: none */
	int channel;  /* to it */
	struct compiled *compiled;
};

/* --- a program left by an earlier daemon */

static int disable_program(struct pin_dir *dir, struct error *error)
{
	struct kernel *kernel = NULL;
	int result;

	pin_dir_take_turn(dir); /* a loader has them locked during its turn */
	if (pin_dir_lock(dir, error) == 0)
		kernel = kernel_open(dir, error);
	result = !kernel || kernel_disable_chain(kernel, error) ||
		 kernel_set_destinations(kernel, NULL, 0, error);
	kernel_close(kernel);
	pin_dir_end_turn(dir);
	return result ? -1 : 0;
}

/*
 * A program that is still attached must not continue with another chain than this daemon's. Return 0,
 * or -1 and `error`.
 */
static int disable_stale_program(const struct daemon *daemon, struct error *error)
{
	struct pin_dir *dir = daemon->xdp.pin_dir, *opened = NULL;
	int result = 0;

	if (!dir)
		dir = opened = pin_dir_open(daemon->config->pin_dir, PIN_DIR_ANY_USER, error);
	if (dir && !pin_dir_is_empty(dir))
		result = disable_program(dir, error);
	else if (!dir && errno != ENOENT)
		result = -1;
	pin_dir_close(opened);
	return result;
}

/* Without privileges nothing can be done but that. */
static void try_to_disable_stale_program(const struct daemon *daemon)
{
	struct error error;

	if (disable_stale_program(daemon, &error))
		log_write(LOG_ERR,
			  "a program that is still attached may reply by another chain: %s",
			  error.text);
}

static void fall_back_to_userspace(struct daemon *daemon, const char *reason)
{
	pin_dir_close(daemon->xdp.pin_dir);
	daemon->xdp.pin_dir = NULL;
	snprintf(daemon->xdp.userspace_reason, sizeof(daemon->xdp.userspace_reason), "%s", reason);
	log_write(daemon->config->mode == CONFIG_MODE_OFF ? LOG_NOTICE : LOG_WARNING,
		  "mode userspace, the daemon replies alone: %s", reason);
}

/* --- the child that loads */

static enum kernel_result load_interfaces(const struct daemon *daemon, const struct start *start,
					  const struct kernel_sizes *sizes, struct error *error)
{
	const struct config *config = daemon->config;
	enum kernel_result worst = KERNEL_OK;
	size_t loaded = 0;
	char texts[sizeof(error->text)] = "";

	for (size_t i = 0; i < config->interface_count; i++) {
		const struct kernel_load load = {
			.pin_dir = daemon->xdp.pin_dir,
			.interface = config->interfaces[i],
			.mode = config->mode,
			.sizes = *sizes,
			.owner = start->uid,
			.group = start->gid,
		};
		enum kernel_result result = kernel_load(&load, error);

		if (result == KERNEL_OK) {
			loaded++;
			continue;
		}
		/* Errors of the configuration, and a mode that must not degrade, are fatal. */
		if (result == KERNEL_NO_DEVICE || config->mode == CONFIG_MODE_NATIVE)
			return result;
		worst = result;
		snprintf(texts, sizeof(texts), "%s", error->text);
	}
	if (worst != KERNEL_OK && loaded)
		log_write(LOG_WARNING, "%s; the daemon replies there", texts);
	return loaded ? KERNEL_OK : worst;
}

/*
 * Detach programs that reply by another chain than this daemon's, unless the pins below `pin_dir`
 * (may be NULL) lead to them.
 */
static enum kernel_result detach_abandoned(const struct config *config, const char *pin_dir,
					   struct error *error)
{
	const struct kernel_listen listen = {
		.addresses = config->listen,
		.count = config->listen_count,
		.is_bound = true,
	};

	return kernel_detach_abandoned(pin_dir, NULL, &listen, error);
}

/* Likewise all programs, because this daemon will reply alone. */
static enum kernel_result disable_programs(const struct daemon *daemon, struct error *error)
{
	struct error failure;

	if (disable_stale_program(daemon, &failure) == 0)
		return KERNEL_OK;
	log_write(LOG_NOTICE, "%s", failure.text);
	return detach_abandoned(daemon->config, NULL, error);
}

/* Without `interfaces` the daemon uses what xdp-icp-load has made, if it can. */
static enum kernel_result check_pins(const struct daemon *daemon, const struct start *start,
				     struct error *error)
{
	struct pin_dir *dir = pin_dir_open(daemon->config->pin_dir, start->uid, error);
	bool are_there = dir ? !pin_dir_is_empty(dir) : errno != ENOENT;
	struct kernel *kernel = dir && are_there ? kernel_open(dir, error) : NULL;
	bool fits = kernel || !are_there;

	kernel_close(kernel);
	pin_dir_close(dir);
	return fits ? KERNEL_OK : KERNEL_FAILED;
}

/* Load, or make sure that no program replies in the place of the daemon. */
static enum kernel_result load_or_disable(const struct daemon *daemon, const struct start *start,
					  const struct kernel_sizes *sizes, struct error *error)
{
	const struct config *config = daemon->config;
	enum kernel_result result = detach_abandoned(config, config->pin_dir, error);
	struct error failure;

	if (result != KERNEL_OK)
		return result;
	if (config->mode == CONFIG_MODE_OFF)
		return disable_programs(daemon, error);
	result = daemon->xdp.pin_dir ? load_interfaces(daemon, start, sizes, error)
				     : check_pins(daemon, start, error);
	/* A start that fails leaves the former chain alone. */
	if (result == KERNEL_OK || result == KERNEL_NO_DEVICE || config->mode == CONFIG_MODE_NATIVE)
		return result;
	if (disable_programs(daemon, &failure) == KERNEL_OK)
		return result;
	*error = failure;
	return KERNEL_ABANDONED;
}

/* Load, or with mode off disable, as soon as the parent sends the sizes; exit if it ends. */
static void __attribute__((noreturn))
run_loader(const struct daemon *daemon, const struct start *start)
{
	enum kernel_result result;
	struct kernel_sizes sizes;
	struct error error;

	/* The parent handles Ctrl-C; this process ends with it. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	result = load_receive(start->channel, &sizes, &error);
	if (result == KERNEL_OK)
		result = load_or_disable(daemon, start, &sizes, &error);
	if (daemon->xdp.pin_dir)
		pin_dir_hand_over(daemon->xdp.pin_dir, start->uid, start->gid);
	load_send(start->channel, result, NULL, &error);
	_exit(EXIT_SUCCESS);
}

/*
 * Close the channel and wait for the child, if there is one, to exit. Return whether it exited with
 * status 0, and was not killed.
 */
static bool end_loader(struct start *start)
{
	int status = 0;

	if (!start->loader)
		return true;
	close(start->channel);
	while (waitpid(start->loader, &status, 0) < 0 && errno == EINTR)
		;
	start->loader = 0;
	return status == 0;
}

/* Create or open the directory to load into. Return 0, or -1 and `error`. */
static int open_pins(struct daemon *daemon, const struct start *start, struct error *error)
{
	const struct config *config = daemon->config;
	int result;

	if (config->mode == CONFIG_MODE_OFF || !config->interface_count)
		return 0;
	daemon->xdp.pin_dir = pin_dir_create(config->pin_dir, start->uid, error);
	if (!daemon->xdp.pin_dir)
		return errno == ENOENT ? 0 : -1; /* no BPF file system: open_kernel() reports it */
	/* From here on only this daemon uses the maps. A loader that had them has ended its turn. */
	result = pin_dir_lock(daemon->xdp.pin_dir, error);
	pin_dir_end_turn(daemon->xdp.pin_dir);
	return result;
}

static int start_loader(struct daemon *daemon, struct start *start, struct error *error)
{
	pid_t pid;

	if (open_pins(daemon, start, error))
		return -1;
	pid = load_fork(&start->channel, error);
	if (pid < 0)
		return -1;
	if (pid == 0)
		run_loader(daemon, start);
	start->loader = pid;
	return 0;
}

static enum kernel_result load(const struct daemon *daemon, struct start *start,
			       struct error *error)
{
	const struct kernel_sizes sizes = kernel_sizes_for(daemon->config, start->compiled);
	enum kernel_result result;

	load_send(start->channel, KERNEL_OK, &sizes, NULL);
	result = load_receive(start->channel, NULL, error);
	/* It alone could tell what has become of a program that was there. */
	if (!end_loader(start) && result == KERNEL_FAILED)
		return KERNEL_ABANDONED;
	return result;
}

/* --- step by step */

int daemon_become(const struct config *config, const char *config_path, uid_t uid, gid_t gid,
		  struct error *error)
{
	if (privileges_drop(uid, gid, error) ||
	    environment_reduce(config->variables.names, config->variables.count, error))
		return -1;
	if (access(config_path, R_OK))
		log_write(LOG_WARNING, "%s: user %s cannot read it (%s), a reload will fail",
			  config_path, config->user, strerror(errno));
	return 0;
}

size_t daemon_room_max(const struct config *config, size_t lines)
{
	return lines && config->cluster_count && config->mode != CONFIG_MODE_OFF ? lines : SIZE_MAX;
}

int daemon_check_room(const struct config *config, const struct compiled *compiled,
		      struct error *error)
{
	if (config->mode == CONFIG_MODE_OFF || !config->prefixes_max ||
	    compiled->lines <= config->prefixes_max)
		return 0;
	return error_set(error,
			 "the chain has %zu " TEXTS_NAME " of %zu lines of %u bytes, and "
			 "prefixes_max is %u; raise it to at least %zu, for the next start",
			 compiled->count, compiled->lines, PREFIX_LINE, config->prefixes_max,
			 compiled->lines);
}

/* The steps that need root. Nothing that `user` may write is read. */
static int start_as_root(struct daemon *daemon, struct start *start, struct error *error)
{
	const struct config *config = daemon->config;

	if (socket_file_prepare(&start->control, &control_socket, config->control, start->uid,
				start->gid, error))
		return -1;
	if (start_loader(daemon, start, error))
		return -1;
	return daemon_become(config, daemon->config_path, start->uid, start->gid, error);
}

/*
 * Load the program and open its maps, or fall back to userspace. Return 0, or -1 and `error` if the
 * daemon must not run without.
 */
static int open_kernel(struct daemon *daemon, struct start *start, struct error *error)
{
	const struct config *config = daemon->config;
	const struct compiled *compiled = start->compiled;
	enum kernel_result result = KERNEL_OK;
	bool loads = daemon->xdp.pin_dir;

	if (daemon_check_room(config, compiled, error))
		return -1;
	if (start->loader)
		result = load(daemon, start, error);
	if (result == KERNEL_NO_DEVICE || result == KERNEL_ABANDONED)
		return -1;
	if (config->mode == CONFIG_MODE_OFF) {
		if (!start->root)
			try_to_disable_stale_program(daemon);
		fall_back_to_userspace(daemon, "mode is off");
		return 0;
	}
	if (result == KERNEL_OK && !loads)
		daemon->xdp.pin_dir = pin_dir_open(config->pin_dir, start->uid, error);
	if (result == KERNEL_OK && daemon->xdp.pin_dir) {
		/* A loader has them locked during its turn. */
		if (!loads)
			pin_dir_take_turn(daemon->xdp.pin_dir);
		/* Held while this daemon runs; fails if another daemon uses the maps. */
		if (pin_dir_lock(daemon->xdp.pin_dir, error))
			return -1;
		pin_dir_end_turn(daemon->xdp.pin_dir);
		daemon->xdp.kernel = kernel_open(daemon->xdp.pin_dir, error);
	}
	if (daemon->xdp.kernel)
		return 0;
	if (config->mode == CONFIG_MODE_NATIVE)
		return -1;
	if (!config->interface_count)
		error_prefix(error, "no `interfaces` are configured, and ");
	else if (!loads && !start->root)
		error_prefix(error, "`interfaces` needs root to load, and ");
	/* The child has, if it could not load. */
	if (!start->root || result == KERNEL_OK)
		try_to_disable_stale_program(daemon);
	fall_back_to_userspace(daemon, error->text);
	return 0;
}

/* Compile the chain for maps that have room for so many lines, as daemon_room_max(). */
static int compile_chain(const struct daemon *daemon, struct start *start, size_t lines,
			 struct error *error)
{
	compiled_free(start->compiled);
	start->compiled = NULL;
	return chain_compile_within(daemon->chain, daemon_room_max(daemon->config, lines),
				    &start->compiled, error);
}

/* Maps that xdp-icp-load has made may have less room than the chain takes. */
static int fit_chain(const struct daemon *daemon, struct start *start, struct error *error)
{
	size_t room = daemon->xdp.kernel ? kernel_sizes(daemon->xdp.kernel).prefixes : SIZE_MAX;

	return start->compiled->lines > room ? compile_chain(daemon, start, room, error) : 0;
}

static int start_up(struct daemon *daemon, struct start *start, struct error *error)
{
	const struct config *config = daemon->config;

	start->root = geteuid() == 0;
	if (start->root && user_find(config->user, &start->uid, &start->gid, error))
		return -1;
	/* First what can fail without having changed anything. */
	if (server_open(&daemon->server, config->listen, config->listen_count, config->workers,
			config->metrics.ss_family != AF_UNSPEC, error))
		return -1;
	if (config->metrics.ss_family != AF_UNSPEC) {
		start->metrics = control_tcp_bind(&config->metrics, "metrics", error);
		if (start->metrics < 0)
			return -1;
	}
	if (start->root && start_as_root(daemon, start, error))
		return -1;

	/* From here on unprivileged: what works now works at a reload too. */
	daemon->base = event_base_new();
	/* Gates have priority 0 (gate.h), everything else 1. */
	if (!daemon->base || event_base_priority_init(daemon->base, 2))
		return error_set(error, "out of memory");
	if (config_load_drop_ins(daemon->config_path, daemon->config, error) ||
	    saved_drain_read(daemon->config_path, &daemon->saved_drain, error) ||
	    daemon_start_clusters(daemon, error) || chain_create(config, &daemon->chain, error) ||
	    compile_chain(daemon, start, config->prefixes_max, error))
		return -1;
	if (socket_file_bind(&start->control, &control_socket, config->control, error))
		return -1;
	daemon->control =
		control_open(daemon->base, &start->control, daemon_resources, daemon, error);
	start->control.fd = -1;
	if (!daemon->control)
		return -1;
	if (start->metrics >= 0) {
		daemon->metrics = control_open_tcp(daemon->base, start->metrics, "metrics",
						   public_resources, daemon, error);
		start->metrics = -1;
		if (!daemon->metrics)
			return -1;
	}
	if (open_kernel(daemon, start, error) || fit_chain(daemon, start, error))
		return -1;
	return daemon_begin(daemon, start->compiled, error);
}

int daemon_start(struct daemon *daemon, const char *config_path, struct error *error)
{
	struct start start = {
		.uid = geteuid(), .gid = getegid(), .control.fd = -1, .metrics = -1
	};
	int result;

	*daemon = (struct daemon){ .config_path = config_path, .xdp.network_fd = -1 };
	TAILQ_INIT(&daemon->rule_changes);
	daemon_hold_hang_up(SIG_BLOCK);
	daemon->started = clock_ns(CLOCK_MONOTONIC);
	daemon->started_at = clock_ns(CLOCK_REALTIME) / 1e9;
	if (config_load_file(config_path, NULL, &daemon->config, error))
		return -1;
	log_set_json(daemon->config->log_json);
	result = start_up(daemon, &start, error);
	end_loader(&start);
	if (start.control.fd >= 0) {
		socket_file_unlink(&start.control);
		close(start.control.fd);
	}
	if (start.metrics >= 0)
		close(start.metrics);
	compiled_free(start.compiled);
	if (result) {
		/* The lease in the file may be that of another daemon, which runs. */
		daemon_stop_clusters(daemon, false);
		daemon_stop(daemon);
		return -1;
	}
	log_write(LOG_NOTICE, "xdp-icpd %s is ready, mode %s, %zu %s", XDP_ICP_VERSION,
		  xdp_mode(&daemon->xdp), chain_count(daemon->chain),
		  plural(chain_count(daemon->chain), "policy", "policies"));
	return 0;
}
