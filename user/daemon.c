// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "compiler.h"
#include "daemon.h"
#include "daemon_chain.h"
#include "daemon_changes.h"
#include "daemon_trace.h"
#include "drop_ins.h"
#include "evaluation.h"
#include "helper_child.h"
#include "log.h"
#include "privileges.h"
#include "verdict.h"

size_t daemon_interfaces(const struct daemon *daemon, struct kernel_interface *interfaces,
			 size_t max)
{
	size_t count = daemon->kernel ? kernel_interfaces(daemon->kernel, interfaces, max) : 0;

	return count < max ? count : max;
}

const char *daemon_mode(const struct daemon *daemon)
{
	struct kernel_interface interfaces[DAEMON_INTERFACES_MAX];
	size_t count = daemon_interfaces(daemon, interfaces, DAEMON_INTERFACES_MAX);
	const char *mode = "userspace";

	for (size_t i = 0; i < count; i++) {
		if (interfaces[i].attached && interfaces[i].native)
			return "native";
		if (interfaces[i].attached)
			mode = "generic";
	}
	return mode;
}

/* --- signals */

static void on_reload(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	daemon_reload_on_signal(context);
}

int daemon_drain(struct daemon *daemon, uint32_t drain, struct error *error)
{
	/* The kernel first where answers end, here first where they begin: silence has no gap. */
	if (daemon->kernel && kernel_drain(daemon->kernel, drain, error))
		return -1;
	daemon_pause(daemon);
	daemon->responder.drain = drain;
	daemon_resume(daemon);
	if (!drain)
		log_write(LOG_NOTICE, "no longer drains");
	else if (drain == DRAIN_SILENCE)
		log_write(LOG_NOTICE, "drains: no query is answered");
	else
		log_write(LOG_NOTICE, "drains: %s to every query", opcode_name(drain));
	return 0;
}

static void end(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;

	(void)fd;
	(void)what;
	event_base_loopbreak(daemon->base);
}

/* Drains first, where that is configured; a second signal ends at once. */
static void on_end(evutil_socket_t number, short what, void *context)
{
	struct daemon *daemon = context;
	unsigned int wait = daemon->config->drain_time;
	const struct timeval drain_time = { .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };
	struct error error;

	if (wait && !daemon->ending) {
		daemon->ending = true;
		log_write(LOG_NOTICE, "drains for %u ms on %s, then ends", wait, strsignal(number));
		if (!daemon->responder.drain && daemon_drain(daemon, ICP_OP_MISS_NOFETCH, &error))
			log_write(LOG_ERR, "%s", error.text);
		if (event_base_once(daemon->base, -1, EV_TIMEOUT, end, daemon, &drain_time) == 0)
			return;
	}
	log_write(LOG_NOTICE, "ends on %s", strsignal(number));
	end(-1, what, daemon);
}

static int watch_signals(struct daemon *daemon)
{
	daemon->signals[0] = evsignal_new(daemon->base, SIGHUP, on_reload, daemon);
	daemon->signals[1] = evsignal_new(daemon->base, SIGTERM, on_end, daemon);
	daemon->signals[2] = evsignal_new(daemon->base, SIGINT, on_end, daemon);
	for (int i = 0; i < 3; i++)
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL))
			return -1;
	return 0;
}

/* --- start */

static int open_listeners(struct daemon *daemon, struct error *error)
{
	size_t count = daemon->config->listen_count;

	daemon->listeners = calloc(count, sizeof(struct listener *));
	if (!daemon->listeners)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < count; i++) {
		daemon->listeners[i] = listener_open(&daemon->config->listen[i], error);
		if (!daemon->listeners[i])
			return -1;
	}
	if (workers_wanted(daemon->config->workers) == 1)
		return 0;
	daemon->workers = workers_open(daemon->listeners, count,
				       workers_wanted(daemon->config->workers), error);
	return daemon->workers ? 0 : -1;
}

static int start_answering(struct daemon *daemon, struct error *error)
{
	if (daemon->workers)
		return workers_start(daemon->workers, daemon->base, &daemon->responder, error);
	for (size_t i = 0; i < daemon->config->listen_count; i++)
		if (listener_start(daemon->listeners[i], daemon->base, &daemon->responder))
			return error_set(error, "out of memory");
	return 0;
}

void daemon_pause(struct daemon *daemon)
{
	if (daemon->workers)
		workers_pause(daemon->workers);
}

void daemon_resume(struct daemon *daemon)
{
	if (daemon->workers)
		workers_resume(daemon->workers);
}

void daemon_counters(struct daemon *daemon, uint64_t counters[ICP_COUNTER_MAX])
{
	for (int i = 0; i < ICP_COUNTER_MAX; i++)
		counters[i] += daemon->responder.counters[i];
	if (daemon->workers)
		workers_counters(daemon->workers, counters);
}

/* A program that was left attached must not go on with a chain that is not this daemon's. */
static void silence_kernel(const char *pin_dir)
{
	enum kernel_result result;
	struct error error;
	struct kernel *kernel;
	char abi[PATH_MAX];

	snprintf(abi, sizeof(abi), "%s/abi", pin_dir);
	if (access(abi, F_OK) && errno == ENOENT)
		return; /* there is none */
	kernel = kernel_open(pin_dir, true, &result, &error);
	if (!kernel && result == KERNEL_OCCUPIED)
		return; /* somebody else's, who looks after it */
	if (!kernel || kernel_close_chain(kernel, &error) ||
	    kernel_set_destinations(kernel, NULL, 0, &error))
		log_write(LOG_ERR,
			  "a program that is still attached may answer by another chain: %s",
			  error.text);
	kernel_close(kernel);
}

static void userspace(struct daemon *daemon, const char *reason)
{
	silence_kernel(daemon->config->pin_dir);
	snprintf(daemon->userspace_reason, sizeof(daemon->userspace_reason), "%s", reason);
	log_write(daemon->config->mode == CONFIG_MODE_OFF ? LOG_NOTICE : LOG_WARNING,
		  "mode userspace, the daemon answers alone: %s", reason);
}

static enum kernel_result load_interfaces(struct daemon *daemon, const struct compiled *compiled,
					  uid_t uid, gid_t gid, struct error *error)
{
	static const enum kernel_mode modes[] = {
		[CONFIG_MODE_AUTO] = KERNEL_AUTO,
		[CONFIG_MODE_NATIVE] = KERNEL_NATIVE,
		[CONFIG_MODE_GENERIC] = KERNEL_GENERIC,
	};
	const struct config *config = daemon->config;
	enum kernel_result worst = KERNEL_OK;
	size_t loaded = 0;
	char texts[sizeof(error->text)] = "";

	for (size_t i = 0; i < config->interface_count; i++) {
		const struct kernel_load load = {
			.pin_dir = config->pin_dir,
			.interface = config->interfaces[i],
			.mode = modes[config->mode],
			.sizes = kernel_sizes_for(config, compiled),
			.owner = uid,
			.group = gid,
		};
		enum kernel_result result = kernel_load(&load, error);

		if (result == KERNEL_OK) {
			loaded++;
			continue;
		}
		/* What can be mended in the configuration alone, and what must not degrade. */
		if (result == KERNEL_NO_DEVICE || config->mode == CONFIG_MODE_NATIVE)
			return result;
		worst = result;
		snprintf(texts, sizeof(texts), "%s", error->text);
	}
	if (worst != KERNEL_OK && loaded)
		log_write(LOG_WARNING, "%s; there the daemon answers", texts);
	return loaded ? KERNEL_OK : worst;
}

/* Gets hold of the kernel's maps if there is a way. -1: must not go on without. */
static int open_kernel(struct daemon *daemon, const struct compiled *compiled, uid_t uid, gid_t gid,
		       struct error *error)
{
	const struct config *config = daemon->config;
	enum kernel_result result = KERNEL_OK;
	bool root = geteuid() == 0;

	if (config->mode == CONFIG_MODE_OFF) {
		userspace(daemon, "mode is off");
		return 0;
	}
	if (config->prefixes_max && compiled->lines > config->prefixes_max)
		return error_set(error,
				 "the chain has %zu prefixes, and prefixes_max is %u; raise it",
				 compiled->count, config->prefixes_max);
	if (root && config->interface_count) {
		struct kernel *held;

		/* Nothing is done to maps that another daemon holds. */
		held = kernel_open(config->pin_dir, true, &result, error);
		if (!held && result == KERNEL_OCCUPIED)
			return -1;
		kernel_close(held);
		result = load_interfaces(daemon, compiled, uid, gid, error);
	}
	if (result == KERNEL_OK)
		daemon->kernel = kernel_open(config->pin_dir, true, &result, error);
	if (daemon->kernel)
		return 0;
	if (result == KERNEL_OCCUPIED && strstr(error->text, config->pin_dir) == error->text)
		return -1;
	if (result == KERNEL_NO_DEVICE || config->mode == CONFIG_MODE_NATIVE)
		return -1;
	if (!config->interface_count)
		error_prefix(error, "no `interfaces` are configured, and ");
	else if (!root)
		error_prefix(error, "`interfaces` needs root to load, and ");
	userspace(daemon, error->text);
	return 0;
}

/* The directory of the control socket, so that its owner may remove the socket at the end. */
static void make_control_directory(const char *path, uid_t uid, gid_t gid)
{
	char *copy = strdup(path);
	const char *directory = copy ? dirname(copy) : ".";

	if (mkdir(directory, 0755) == 0 && chown(directory, uid, gid))
		log_write(LOG_WARNING, "%s: %s", directory, strerror(errno));
	free(copy);
}

static int open_control(struct daemon *daemon, uid_t uid, gid_t gid, struct error *error)
{
	const char *path = daemon->config->control;

	if (geteuid() == 0)
		make_control_directory(path, uid, gid);
	daemon->control = control_open(daemon->base, path, commands_answer, daemon, error);
	if (!daemon->control)
		return -1;
	if (geteuid() == 0 && chown(path, uid, gid))
		return error_set(error, "%s: %s", path, strerror(errno));
	return 0;
}

static int start(struct daemon *daemon, struct next_chain *first, struct error *error)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0 && user_find(daemon->config->user, &uid, &gid, error))
		return -1;
	daemon->base = event_base_new();
	/* Gates come first (gate.h), all else has the priority 1. */
	if (!daemon->base || event_base_priority_init(daemon->base, 2) || watch_signals(daemon))
		return error_set(error, "out of memory");
	/* First what may fail without having changed anything. */
	if (open_listeners(daemon, error) || open_control(daemon, uid, gid, error))
		return -1;
	if (open_kernel(daemon, first->compiled, uid, gid, error))
		return -1;
	daemon->rules = daemon->kernel ? rules_pinned(kernel_rules(daemon->kernel))
				       : rules_own(daemon->config->rules_max);
	if (!daemon->rules)
		return error_set(error, "out of memory");
	daemon->trace_log = trace_log_new();
	if (!daemon->trace_log)
		return error_set(error, "out of memory");
	daemon->responder.rules = daemon->rules;
	daemon->responder.trace_log = daemon->trace_log;
	daemon->responder.decided = daemon_remember;
	daemon->responder.context = daemon;
	if (geteuid() == 0 && uid != 0 && privileges_drop(uid, gid, error))
		return -1;

	/* From here on without rights: what works now works at a reload too. */
	if (chain_start(daemon->chain, daemon->base, daemon_policy_changed, daemon, error) ||
	    daemon_open_changes(daemon, error) || daemon_start_heartbeat(daemon, error) ||
	    start_answering(daemon, error))
		return -1;
	if (daemon->kernel) {
		if (daemon_watch_network(daemon, error) ||
		    daemon_start_chain(daemon, first->compiled, error))
			return -1;
		daemon_follow_network(daemon);
	}
	return 0;
}

int daemon_start(struct daemon *daemon, const char *config_path, struct error *error)
{
	struct next_chain first;
	int result;

	*daemon = (struct daemon){ .config_path = config_path, .network_fd = -1 };
	clock_gettime(CLOCK_MONOTONIC, &daemon->started);
	if (config_load(config_path, &daemon->config, error))
		return -1;
	if (next_chain_build(&first, daemon->config, NULL, NULL, error)) {
		config_free(daemon->config);
		return -1;
	}
	daemon->chain = first.chain;
	daemon->responder.chain = first.chain;
	daemon->responder.answer_request_zero = daemon->config->answer_request_zero;
	result = start(daemon, &first, error);
	compiled_free(first.compiled);
	if (result) {
		daemon_stop(daemon);
		return -1;
	}
	log_write(LOG_NOTICE, "xdp-icpd %s answers, mode %s, %zu policies", XDP_ICP_VERSION,
		  daemon_mode(daemon), chain_count(daemon->chain));
	return 0;
}

void daemon_run(struct daemon *daemon)
{
	event_base_dispatch(daemon->base);
}

static void on_over(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	*(bool *)context = true;
}

/* Lets the policies that are waited for answer, for a while. */
static void finish_pending(struct daemon *daemon)
{
	static const struct timeval a_while = { .tv_sec = 1 };
	struct event *limit;
	bool over = false;

	if (!evaluations_pending())
		return;
	limit = evtimer_new(daemon->base, on_over, &over);
	if (!limit || event_add(limit, &a_while))
		over = true;
	while (evaluations_pending() && !over && event_base_loop(daemon->base, EVLOOP_ONCE) == 0)
		;
	if (limit)
		event_free(limit);
}

void daemon_stop(struct daemon *daemon)
{
	struct error error;

	daemon_end_changes(daemon);
	daemon_stop_remembering(daemon);
	/* A daemon that could not start leaves standing what the one before it left. */
	if (daemon->kernel_has_chain && kernel_close_chain(daemon->kernel, &error))
		log_write(LOG_ERR, "%s", error.text);
	/* Without a daemon nobody could end it; rules count again. */
	if (daemon->responder.drain && daemon->kernel && kernel_drain(daemon->kernel, 0, &error))
		log_write(LOG_ERR, "%s", error.text);
	if (daemon->workers)
		workers_end(daemon->workers);
	for (size_t i = 0;
	     !daemon->workers && daemon->listeners && i < daemon->config->listen_count; i++)
		if (daemon->listeners[i])
			listener_drain(daemon->listeners[i]);
	finish_pending(daemon);
	for (size_t i = 0; daemon->listeners && i < daemon->config->listen_count; i++)
		listener_close(daemon->listeners[i]);
	free(daemon->listeners);
	workers_free(daemon->workers);
	evaluations_end();
	daemon_trace_end(daemon);
	trace_log_free(daemon->trace_log);
	control_close(daemon->control);
	daemon_unwatch_network(daemon);
	if (daemon->heartbeat)
		event_free(daemon->heartbeat);
	for (int i = 0; i < 3; i++)
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	rules_free(daemon->rules);
	if (daemon->kernel_has_chain)
		kernel_leave(daemon->kernel, daemon->config->pin_dir);
	kernel_close(daemon->kernel);
	chain_free(daemon->chain);
	daemon_free_changes(daemon);
	config_free(daemon->config);
	if (daemon->base) {
		helper_children_finish(daemon->base);
		event_base_free(daemon->base);
	}
}
