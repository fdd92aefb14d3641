// SPDX-License-Identifier: GPL-2.0-or-later
#include "chain/compile.h"
#include "xdp-icpd/chain.h"
#include "xdp-icpd/recent.h"
#include "xdp-icpd/states.h"
#include "xdp-icpd/trace.h"
#include "lib/clock.h"
#include "lib/log.h"

/* --- the next chain */

static bool is_cancelled(const atomic_bool *cancel)
{
	return cancel && *cancel;
}

int next_chain_build(struct next_chain *next, const struct config *config, struct kernel *kernel,
		     const atomic_bool *cancel, struct error *error)
{
	size_t lines_max = daemon_room_max(config, kernel ? kernel_sizes(kernel).prefixes : 0);

	*next = (struct next_chain){ 0 };
	if (chain_create(config, &next->chain, error))
		return -1;
	if (!is_cancelled(cancel) &&
	    chain_compile_within(next->chain, lines_max, &next->compiled, error))
		goto fail;
	if (!is_cancelled(cancel) && kernel && daemon_check_room(config, next->compiled, error))
		goto fail;
	if (!is_cancelled(cancel) && kernel &&
	    kernel_prepare_chain(kernel, next->compiled, config->answer_request_zero, config->lease,
				 &next->prepared, error))
		goto fail;
	if (!is_cancelled(cancel))
		return 0;
	error_set(error, "the daemon is ending, nothing is changed");
fail:
	next_chain_free(next);
	return -1;
}

void next_chain_free(struct next_chain *next)
{
	compiled_free(next->compiled);
	chain_free(next->chain);
	*next = (struct next_chain){ 0 };
}

/* --- leases and gates */

static void renew_leases(struct daemon *daemon)
{
	server_renew_lease(&daemon->server, daemon->config->lease);
	if (daemon->xdp.has_chain)
		kernel_renew_lease(daemon->xdp.kernel, chain_gate(daemon->chain));
}

static void on_heartbeat(evutil_socket_t fd, short what, void *context)
{
	renew_leases(context);
}

/* The lease survives three missed heartbeats. */
static void set_heartbeat(struct daemon *daemon)
{
	const struct timeval time = clock_timeval(daemon->config->lease / 4);

	event_add(daemon->heartbeat, &time);
}

int daemon_start_heartbeat(struct daemon *daemon, struct error *error)
{
	daemon->heartbeat = event_new(daemon->base, -1, EV_PERSIST, on_heartbeat, daemon);
	if (!daemon->heartbeat)
		return error_set(error, "out of memory");
	set_heartbeat(daemon);
	renew_leases(daemon);
	return 0;
}

void daemon_policy_changed(void *context, struct policy *policy)
{
	struct daemon *daemon = context;

	if (policy->kind->basis == POLICY_BASIS_HOST) {
		/* The kernel first: logging may be slow. */
		renew_leases(daemon);
		server_pause(&daemon->server);
		server_resume(&daemon->server);
	}
	daemon_log_state(daemon, policy);
}

/* --- remembered decisions */

void daemon_set_remembering(struct daemon *daemon, bool enabled)
{
	server_pause(&daemon->server);
	daemon->memory.enabled = enabled;
	server_resume(&daemon->server);
}

/* --- from one chain to the next */

void daemon_note_chain(struct daemon *daemon, const struct compiled *compiled)
{
	/*
	 * Operators of other members may be the cause: warn once, but not at each of their changes.
	 */
	bool warns = compiled->lacks_room && !daemon->horizon.lacks_room;

	daemon->generation++;
	daemon->horizon = (struct horizon){ compiled->horizon, compiled->horizon_reason,
					    compiled->lacks_room };
	if (compiled->horizon != RANK_NONE)
		log_write(warns ? LOG_WARNING : LOG_INFO,
			  "policy '%s' and all policies after it are evaluated by the daemon: %s",
			  chain_policy(daemon->chain, compiled->horizon)->name,
			  compiled->horizon_reason.text);
}

/* While the workers pause: the kernel's chain is now this daemon's. */
static void set_kernel_chain(struct daemon *daemon, const struct compiled *compiled)
{
	daemon->xdp.has_chain = true;
	daemon->memory.enabled = true;
	daemon->memory.kernel = daemon->xdp.kernel;
	daemon->memory.chain = daemon->chain;
	daemon->memory.horizon = compiled->horizon;
}

int daemon_start_chain(struct daemon *daemon, const struct compiled *compiled, struct error *error)
{
	const struct config *config = daemon->config;
	const struct candidate gate = chain_gate(daemon->chain);
	struct kernel *kernel = daemon->xdp.kernel;
	struct kernel_chain prepared;

	daemon->kernel_tallies =
		kernel_tallies_new(kernel, &daemon->server.tallies, daemon->base, error);
	if (!daemon->kernel_tallies ||
	    kernel_prepare_chain(kernel, compiled, config->answer_request_zero, config->lease,
				 &prepared, error) ||
	    kernel_tallies_expect(daemon->kernel_tallies, prepared.slot, daemon->chain, error))
		return -1;
	prepared.recents_of = daemon->chain;
	if (kernel_switch_chain(kernel, &prepared, &gate, error))
		return -1;
	daemon->xdp.has_chain = true; /* to be closed at the end, even if the start fails now */
	if (daemon_start_recents(daemon, error))
		return -1;
	server_pause(&daemon->server);
	set_kernel_chain(daemon, compiled);
	server_resume(&daemon->server);
	return 0;
}

/* Activate the chain in the kernel. Its lease begins with the switch. */
static int switch_kernel(struct daemon *daemon, struct next_chain *next, struct error *error)
{
	const struct candidate gate = chain_gate(next->chain);

	if (kernel_tallies_expect(daemon->kernel_tallies, next->prepared.slot, next->chain, error))
		return -1;
	next->prepared.recents_of = next->chain;
	if (kernel_switch_chain(daemon->xdp.kernel, &next->prepared, &gate, error))
		return -1;
	daemon_copy_recents(daemon);
	return 0;
}

int daemon_switch_chain(struct daemon *daemon, struct next_chain *next, struct config *config,
			struct error *error)
{
	struct chain *former = daemon->chain;
	bool remembers = daemon->memory.enabled;

	chain_inherit(next->chain, former);
	if (chain_start(next->chain, daemon->base, daemon_policy_changed, daemon, error))
		return -1;
	daemon_trace_flush(daemon);
	daemon_set_remembering(daemon, false);
	if (daemon->xdp.kernel && switch_kernel(daemon, next, error)) {
		daemon_set_remembering(daemon, remembers);
		return -1;
	}
	server_pause(&daemon->server);
	daemon->chain = next->chain;
	daemon_note_chain(daemon, next->compiled);
	daemon->config = config;
	log_set_json(config->log_json);
	daemon->server.responder.chain = daemon->chain;
	daemon->server.responder.answer_request_zero = config->answer_request_zero;
	if (daemon->xdp.kernel)
		set_kernel_chain(daemon, next->compiled);
	server_resume(&daemon->server);
	set_heartbeat(daemon);
	renew_leases(daemon);
	next->chain = former;
	daemon_log_states(daemon);
	return 0;
}
