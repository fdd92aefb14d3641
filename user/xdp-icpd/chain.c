// SPDX-License-Identifier: GPL-2.0-or-later
#include "chain/compile.h"
#include "xdp-icpd/chain.h"
#include "xdp-icpd/trace.h"
#include "lib/log.h"

#define REMEMBERED_PER_SECOND 10000 /* decisions */

/* --- the next chain */

static bool is_cancelled(const atomic_bool *cancel)
{
	return cancel && *cancel;
}

int next_chain_build(struct next_chain *next, const struct config *config,
		     const struct kernel *kernel, const atomic_bool *cancel, struct error *error)
{
	*next = (struct next_chain){ 0 };
	if (chain_create(config, &next->chain, error))
		return -1;
	if (!is_cancelled(cancel) && chain_compile(next->chain, &next->compiled, error))
		goto fail;
	if (!is_cancelled(cancel) && kernel &&
	    kernel_prepare_chain(kernel, next->compiled, config->answer_request_zero, config->lease,
				 &next->prepared, error))
		goto fail;
	if (!is_cancelled(cancel))
		return 0;
	error_set(error, "the daemon ends, nothing is changed");
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
	if (daemon->workers)
		workers_renew_lease(daemon->workers, daemon->config->lease);
	if (daemon->kernel_has_chain)
		kernel_renew_lease(daemon->kernel, chain_gate(daemon->chain));
}

static void on_heartbeat(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	renew_leases(context);
}

/* The lease survives three missed heartbeats. */
static void set_heartbeat(struct daemon *daemon)
{
	const unsigned int interval = daemon->config->lease / 4; /* milliseconds */
	const struct timeval time = { .tv_sec = interval / 1000,
				      .tv_usec = interval % 1000 * 1000 };

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

void daemon_policy_changed(void *context, const struct policy *policy)
{
	/* The kernel first: logging may be slow. */
	renew_leases(context);
	daemon_pause(context);
	daemon_resume(context);
	log_write(LOG_INFO, "policy '%s' matches %s", policy->name,
		  policy_match(policy, &(struct query){ .url = "" }).verdict == ICP_OP_INVALID
			  ? "no longer"
			  : "now");
}

/* --- remembered decisions */

/* No worker may store a decision of one chain under another. */
static void set_remembering(struct daemon *daemon, bool remembers)
{
	daemon_pause(daemon);
	daemon->remembers = remembers;
	daemon_resume(daemon);
}

void daemon_stop_remembering(struct daemon *daemon)
{
	set_remembering(daemon, false);
}

/*
 * Skip what the kernel can decide itself. The rate is limited, so that a flood of URLs that never
 * come again does not keep the daemon busy.
 */
void daemon_remember(void *context, const struct query *query,
		     const struct chain_decision *decision)
{
	struct daemon *daemon = context;
	struct timespec now;

	if (!decision->cacheable || decision->chain != daemon->chain || !daemon->remembers ||
	    decision->rank < daemon->horizon)
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != daemon->remembering_since) {
		daemon->remembering_since = now.tv_sec;
		daemon->remembered = 0;
	}
	if (daemon->remembered++ >= REMEMBERED_PER_SECOND)
		return;
	kernel_remember(
		daemon->kernel, query->url, query->length, &query->source,
		candidate_of(decision->rank, decision->verdict.opcode, decision->verdict.cost),
		decision->expires);
}

/* --- from one chain to the next */

/* While the workers pause: the kernel's chain is now this daemon's. */
static void set_kernel_chain(struct daemon *daemon, const struct compiled *compiled)
{
	daemon->kernel_has_chain = true;
	daemon->remembers = true;
	daemon->horizon = compiled->horizon;
}

int daemon_start_chain(struct daemon *daemon, const struct compiled *compiled, struct error *error)
{
	const struct config *config = daemon->config;
	const struct candidate gate = chain_gate(daemon->chain);

	if (kernel_set_chain(daemon->kernel, compiled, config->answer_request_zero, config->lease,
			     &gate, error))
		return -1;
	daemon_pause(daemon);
	set_kernel_chain(daemon, compiled);
	daemon_resume(daemon);
	return 0;
}

/* Activate the chain in the kernel. Its lease begins with the switch. */
static int switch_kernel(struct daemon *daemon, const struct next_chain *next, struct error *error)
{
	const struct candidate gate = chain_gate(next->chain);

	return kernel_switch_chain(daemon->kernel, &next->prepared, &gate, error);
}

int daemon_switch_chain(struct daemon *daemon, struct next_chain *next, struct config *config,
			struct error *error)
{
	struct chain *former = daemon->chain;
	bool remembers = daemon->remembers;

	chain_inherit(next->chain, former);
	if (chain_start(next->chain, daemon->base, daemon_policy_changed, daemon, error))
		return -1;
	daemon_trace_flush(daemon);
	daemon_stop_remembering(daemon);
	if (daemon->kernel && switch_kernel(daemon, next, error)) {
		set_remembering(daemon, remembers);
		return -1;
	}
	daemon_pause(daemon);
	daemon->chain = next->chain;
	daemon->config = config;
	daemon->responder.chain = daemon->chain;
	daemon->responder.answer_request_zero = config->answer_request_zero;
	if (daemon->kernel)
		set_kernel_chain(daemon, next->compiled);
	daemon_resume(daemon);
	set_heartbeat(daemon);
	renew_leases(daemon);
	next->chain = former;
	return 0;
}
