// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xdp-icpd/daemon.h"
#include "xdp-icpd/chain.h"
#include "xdp-icpd/reload.h"
#include "xdp-icpd/trace.h"
#include "chain/evaluation.h"
#include "helper/child.h"
#include "lib/log.h"
#include "icp/opcode.h"

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

/* Drain first, if configured; a second signal ends at once. */
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

/* --- start and end */

static int start_listeners(struct daemon *daemon, struct error *error)
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

int daemon_begin(struct daemon *daemon, const struct compiled *compiled, struct error *error)
{
	daemon->rules = daemon->kernel ? rules_pinned(kernel_rules(daemon->kernel))
				       : rules_local(daemon->config->rules_max);
	if (!daemon->rules)
		return error_set(error, "out of memory");
	daemon->trace_log = trace_log_new();
	if (!daemon->trace_log || watch_signals(daemon))
		return error_set(error, "out of memory");
	daemon->responder.rules = daemon->rules;
	daemon->responder.trace_log = daemon->trace_log;
	daemon->responder.on_decision = daemon_remember;
	daemon->responder.context = daemon;
	daemon->responder.chain = daemon->chain;
	daemon->responder.answer_request_zero = daemon->config->answer_request_zero;
	if (chain_start(daemon->chain, daemon->base, daemon_policy_changed, daemon, error) ||
	    daemon_open_changes(daemon, error) || daemon_start_heartbeat(daemon, error) ||
	    start_listeners(daemon, error))
		return -1;
	if (daemon->kernel) {
		if (daemon_watch_network(daemon, error) ||
		    daemon_start_chain(daemon, compiled, error))
			return -1;
		daemon_update_destinations(daemon);
	}
	return 0;
}

void daemon_run(struct daemon *daemon)
{
	event_base_dispatch(daemon->base);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	*(bool *)context = true;
}

/* Let pending evaluations complete, for at most a second. */
static void finish_pending(struct daemon *daemon)
{
	static const struct timeval timeout = { .tv_sec = 1 };
	struct event *limit;
	bool timed_out = false;

	if (!evaluations_pending())
		return;
	limit = evtimer_new(daemon->base, on_timeout, &timed_out);
	if (!limit || event_add(limit, &timeout))
		timed_out = true;
	while (evaluations_pending() && !timed_out &&
	       event_base_loop(daemon->base, EVLOOP_ONCE) == 0)
		;
	if (limit)
		event_free(limit);
}

void daemon_stop(struct daemon *daemon)
{
	struct error error;

	daemon_cancel_changes(daemon);
	daemon_stop_remembering(daemon);
	/* A daemon that failed to start leaves the chain of its predecessor alone. */
	if (daemon->kernel_has_chain && kernel_disable_chain(daemon->kernel, &error))
		log_write(LOG_ERR, "%s", error.text);
	/* Without a daemon a drain could not be ended. */
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
	evaluations_stop();
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
		kernel_unpin_unused(daemon->kernel, daemon->pin_dir);
	kernel_close(daemon->kernel);
	pin_dir_close(daemon->pin_dir);
	chain_free(daemon->chain);
	daemon_free_changes(daemon);
	config_free(daemon->config);
	if (daemon->base) {
		helper_children_finish(daemon->base);
		event_base_free(daemon->base);
	}
}
