// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xdp-icpd/daemon.h"
#include "xdp-icpd/census.h"
#include "xdp-icpd/chain.h"
#include "xdp-icpd/clusters.h"
#include "xdp-icpd/drain.h"
#include "xdp-icpd/metrics.h"
#include "xdp-icpd/public.h"
#include "xdp-icpd/reload.h"
#include "xdp-icpd/rules.h"
#include "xdp-icpd/states.h"
#include "xdp-icpd/trace.h"
#include "chain/evaluation.h"
#include "helper/child.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/notify.h"
#include "icp/opcode.h"

/* --- signals */

static void on_reload(evutil_socket_t number, short what, void *context)
{
	daemon_reload_on_signal(context);
}

unsigned long daemon_generation(const struct daemon *daemon)
{
	return daemon->xdp.kernel ? kernel_generation(daemon->xdp.kernel) : daemon->generation;
}

static void end(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;

	event_base_loopbreak(daemon->base);
}

#define STOP_TIME 30000 /* milliseconds that the end may take once the drain is over */

/*
 * Does the kernel keep the chain? Not if the host is drained: without a daemon the drain could not
 * be ended, and the chain's verdicts are not what the operator wants.
 */
static bool keeps_chain(const struct daemon *daemon)
{
	return daemon->xdp.has_chain && daemon->config->on_exit == CONFIG_ON_EXIT_KEEP &&
	       !daemon->server.responder.drain;
}

/* Drain first, if configured; a second signal ends at once. */
static void on_end(evutil_socket_t number, short what, void *context)
{
	struct daemon *daemon = context;
	unsigned int wait = keeps_chain(daemon) ? 0 : daemon->config->drain_time; /* milliseconds */
	const struct timeval drain_time = clock_timeval(wait);
	struct error error;

	notify_send("STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu", (wait + STOP_TIME) * 1000ull);
	if (wait && !daemon->ending) {
		daemon->ending = true;
		log_write(LOG_NOTICE, "draining for %u ms on SIG%s, then exiting", wait,
			  sigabbrev_np(number));
		daemon_leave_clusters(daemon);
		if (!daemon->server.responder.drain &&
		    daemon_drain(daemon, ICP_OP_MISS_NOFETCH, &error))
			log_write(LOG_ERR, "%s", error.text);
		if (event_base_once(daemon->base, -1, EV_TIMEOUT, end, daemon, &drain_time) == 0)
			return;
	}
	log_write(LOG_NOTICE, "exiting on SIG%s", sigabbrev_np(number));
	end(-1, what, daemon);
}

void daemon_hold_hang_up(int how)
{
	sigset_t hang_up;

	sigemptyset(&hang_up);
	sigaddset(&hang_up, SIGHUP);
	sigprocmask(how, &hang_up, NULL);
}

static int watch_signals(struct daemon *daemon)
{
	daemon->signals[0] = evsignal_new(daemon->base, SIGHUP, on_reload, daemon);
	daemon->signals[1] = evsignal_new(daemon->base, SIGTERM, on_end, daemon);
	daemon->signals[2] = evsignal_new(daemon->base, SIGINT, on_end, daemon);
	for (int i = 0; i < 3; i++)
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL))
			return -1;
	daemon_hold_hang_up(SIG_UNBLOCK);
	return 0;
}

/* --- start and end */

int daemon_begin(struct daemon *daemon, const struct compiled *compiled, struct error *error)
{
	const struct config *config = daemon->config;
	struct kernel *kernel = daemon->xdp.kernel;
	struct server *server = &daemon->server;

	daemon_note_chain(daemon, compiled);
	if (server_set_rules(server,
			     kernel ? rules_pinned(kernel_rules(kernel))
				    : rules_local(config->rules_max),
			     error))
		return -1;
	server->responder.on_decision = memory_store;
	server->responder.context = &daemon->memory;
	server->responder.chain = daemon->chain;
	server->responder.answer_request_zero = config->answer_request_zero;
	daemon_begin_drain(daemon);
	if (watch_signals(daemon))
		return error_set(error, "out of memory");
	if (chain_start(daemon->chain, daemon->base, daemon_policy_changed, daemon, error) ||
	    daemon_open_changes(daemon, error) || daemon_start_heartbeat(daemon, error) ||
	    server_start(server, daemon->base, error))
		return -1;
	if (kernel && (daemon_start_chain(daemon, compiled, error) ||
		       xdp_watch_network(&daemon->xdp, config->listen, config->listen_count,
					 daemon->base, error)))
		return -1;
	daemon_log_states(daemon);
	return 0;
}

static void on_watchdog(evutil_socket_t fd, short what, void *context)
{
	notify_send("WATCHDOG=1");
}

static void start_watchdog(struct daemon *daemon)
{
	unsigned int interval = notify_watchdog_interval(); /* milliseconds */
	const struct timeval time = clock_timeval(interval);

	if (!interval)
		return;
	daemon->watchdog = event_new(daemon->base, -1, EV_PERSIST, on_watchdog, daemon);
	if (!daemon->watchdog || event_add(daemon->watchdog, &time))
		log_write(LOG_ERR, "out of memory, the service manager will miss its messages");
}

void daemon_run(struct daemon *daemon)
{
	start_watchdog(daemon);
	notify_send("READY=1");
	event_base_dispatch(daemon->base);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
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
	event_drop(limit);
}

void daemon_stop(struct daemon *daemon)
{
	struct error error;

	daemon_stop_clusters(daemon, !keeps_chain(daemon));
	daemon_finish_rules(daemon);
	daemon_cancel_changes(daemon);
	/* A request must find the chain, and not change what the kernel is left with. */
	daemon_trace_end(daemon);
	control_close(daemon->control);
	control_close(daemon->metrics);
	daemon_trace_end(daemon); /* traces that began while the servers closed */
	daemon_set_remembering(daemon, false);
	/* A daemon that failed to start leaves the chain of its predecessor alone. */
	if (daemon->xdp.has_chain && !keeps_chain(daemon) &&
	    kernel_disable_chain(daemon->xdp.kernel, &error))
		log_write(LOG_ERR, "%s", error.text);
	daemon_leave_drain(daemon);
	server_drain(&daemon->server);
	finish_pending(daemon);
	server_close(&daemon->server);
	evaluations_stop();
	metrics_free(daemon);
	public_free(&daemon->public_view);
	census_end(daemon);
	xdp_unwatch_network(&daemon->xdp);
	event_drop(daemon->heartbeat);
	event_drop(daemon->recents);
	event_drop(daemon->log_later);
	event_drop(daemon->watchdog);
	for (int i = 0; i < 3; i++)
		event_drop(daemon->signals[i]);
	/* A further signal must not end the process before its children have ended. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	kernel_tallies_free(daemon->kernel_tallies);
	server_free(&daemon->server);
	if (daemon->xdp.has_chain)
		kernel_unpin_unused(daemon->xdp.kernel, daemon->xdp.pin_dir);
	kernel_close(daemon->xdp.kernel);
	pin_dir_close(daemon->xdp.pin_dir);
	chain_free(daemon->chain);
	daemon_free_changes(daemon);
	config_free(daemon->config);
	if (daemon->base) {
		helper_children_finish(daemon->base);
		/* A pending callback holds a reference to what has been freed. */
		event_base_loop(daemon->base, EVLOOP_NONBLOCK);
		event_base_free(daemon->base);
	}
}
