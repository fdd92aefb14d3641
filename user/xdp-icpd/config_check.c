// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * As root only the configuration itself is read (config.h). Whatever it names is read, loaded and
 * run as `user`, as at a start: nothing is done with more rights, and nothing is written.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "automaton/pack.h"
#include "chain/compile.h"
#include "chain/shadow.h"
#include "chain/unasked.h"
#include "config/cluster_config.h"
#include "config/dropin.h"
#include "config/saved_drain.h"
#include "helper/child.h"
#include "lib/escape.h"
#include "lib/event.h"
#include "lib/plural.h"
#include "lib/privileges.h"
#include "lib/shell_quote.h"
#include "xdp-icpd/config_check.h"
#include "xdp-icpd/daemon.h"

static void __attribute__((format(printf, 2, 3))) print(FILE *stream, const char *format, ...)
{
	struct error text;
	char line[ESCAPE_MAX * sizeof(text.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text.text, sizeof(text.text), format, args);
	va_end(args);
	escape_line(text.text, line, sizeof(line));
	fprintf(stream, "%s\n", line);
}

/* --- the chain */

static void print_horizon(const struct chain *chain, const struct compiled *compiled)
{
	if (compiled->horizon != RANK_NONE)
		print(stdout,
		      "policy '%s' and all policies after it are evaluated by the daemon: %s",
		      chain_policy(chain, compiled->horizon)->name, compiled->horizon_reason.text);
}

/*
 * Check the files and the directory of a cluster. Return 0, or -1 and `error` if one that it needs
 * is missing.
 */
static int check_cluster(const struct cluster_settings *settings, struct error *error)
{
	char quoted[SHELL_QUOTE_SIZE(PATH_MAX)];

	if (etcd_check_files(&settings->etcd, error))
		return error_prefix(error, "cluster '%s': ", settings->name);
	if (access(settings->state, W_OK | X_OK))
		print(stdout,
		      "cluster '%s': its map cannot be kept for the next start: state '%s': %s; as "
		      "root: install -d -o %u %s",
		      settings->name, settings->state, strerror(errno), geteuid(),
		      shell_quote(settings->state, quoted));
	if (settings->isolated_misses)
		print(stdout,
		      "cluster '%s': the kernel replies by its partition only while the daemon "
		      "lives (when_isolated)",
		      settings->name);
	return 0;
}

static int check_clusters(const struct config *config, struct error *error)
{
	int result = 0;

	for (size_t i = 0; i < config->cluster_count && result == 0; i++) {
		struct cluster_settings *settings =
			cluster_config_read(config->clusters[i], config, error);

		result = settings ? check_cluster(settings, error) : -1;
		cluster_config_free(settings);
	}
	return result;
}

static void print_room(const struct config *config, const struct compiled *compiled)
{
	const struct kernel_sizes sizes = kernel_sizes_for(config, compiled);

	if (config->mode == CONFIG_MODE_OFF)
		return;
	print(stdout,
	      "room in the kernel: %zu of %u lines for " TEXTS_NAME
	      ", %zu of %u networks, %zu of %u groups of automata",
	      compiled->lines, sizes.prefixes, compiled->source_count, sizes.sources,
	      compiled->group_count, AUTOMATON_GROUPS);
	if (compiled->recent_count)
		print(stdout,
		      "room in the kernel for keys seen lately: %zu of %u, which take %.1f MiB",
		      compiled->recent_entries, sizes.recents,
		      (double)kernel_recent_bytes(sizes.recents) / (1 << 20));
}

/* The maps of a running daemon, which a reload cannot enlarge. */
static void print_loaded_room(const struct config *config, const struct compiled *compiled)
{
	struct pin_dir *dir;
	struct kernel *kernel;
	struct kernel_sizes sizes;
	struct error ignored;

	/* Root would change the mode of the directory. */
	if (config->mode == CONFIG_MODE_OFF || geteuid() == 0)
		return;
	dir = pin_dir_open(config->pin_dir, geteuid(), &ignored);
	kernel = dir ? kernel_open(dir, &ignored) : NULL;
	if (kernel) {
		sizes = kernel_sizes(kernel);
		print(stdout,
		      "the maps in %s have room for %u lines, %u networks and %u keys seen "
		      "lately%s",
		      config->pin_dir, sizes.prefixes, sizes.sources, sizes.recents,
		      compiled->lines > sizes.prefixes || compiled->source_count > sizes.sources ||
				      compiled->recent_entries > sizes.recents
			      ? ": too few for a reload, restart the daemon"
			      : "");
	}
	kernel_close(kernel);
	pin_dir_close(dir);
}

static int print_shadows(const struct chain *chain, struct error *error)
{
	size_t count = chain_count(chain), reached = chain_reached(chain);
	struct shadow *shadows = calloc(count + 1, sizeof(*shadows));
	int result = shadows ? chain_find_shadows(chain, shadows, error)
			     : error_set(error, "out of memory");

	if (reached < count && result == 0)
		print(stdout,
		      "policy '%s' gives a verdict to every URL: '%s' and all policies after it "
		      "are never "
		      "asked",
		      chain_policy(chain, reached - 1)->name, chain_policy(chain, reached)->name);
	for (size_t rank = 0; rank < reached && result == 0; rank++) {
		const struct shadow *shadow = &shadows[rank];

		if (shadow->count)
			print(stdout,
			      "policy '%s': %zu of %zu entries %s never reached: '%s' is already "
			      "decided "
			      "by policy '%s'",
			      chain_policy(chain, rank)->name, shadow->count, shadow->entries,
			      plural(shadow->count, "is", "are"), shadow->first, shadow->by->name);
	}
	free(shadows);
	return result;
}

static void print_unasked(const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		struct unasked unasked;

		policy_find_unasked(policy, &unasked);
		if (unasked.count)
			print(stdout,
			      "policy '%s': %zu of %zu entries %s no URL in the form in which "
			      "caches "
			      "ask for it: '%s': %s",
			      policy->name, unasked.count, unasked.entries,
			      plural(unasked.count, "matches", "match"), unasked.first,
			      unasked.why);
	}
}

/* --- helpers */

#define TRIAL_URL "http://xdp-icp.invalid/"
#define TRIAL_TIME 5	   /* seconds for all of them together */
#define TRIAL_PAUSE 100000 /* microseconds before a helper without a reply is asked again */

struct trials;

/* A policy that asks child processes, which are started as by the daemon. */
struct trial {
	struct policy_request request;
	struct trials *all;
	const struct policy *policy;
	bool asked, replied;
};

struct trials {
	struct trial *list;
	size_t count, open; /* open: without a reply */
	struct event_base *base;
};

static void trial_done(struct policy_request *request, struct policy_match match)
{
	struct trial *trial = (struct trial *)request;

	trial->asked = false;
	if (match.gave_up)
		return;
	trial->replied = true;
	if (--trial->all->open == 0)
		event_base_loopbreak(trial->all->base);
}

static void ask_all(evutil_socket_t fd, short what, void *context)
{
	static const struct query query = {
		.url = TRIAL_URL,
		.length = sizeof(TRIAL_URL) - 1,
		.source = IN6ADDR_LOOPBACK_INIT,
	};
	struct trials *trials = context;

	for (size_t i = 0; i < trials->count; i++) {
		struct trial *trial = &trials->list[i];

		if (!trial->replied && !trial->asked)
			trial->asked =
				trial->policy->kind->ask(trial->policy, &query, &trial->request);
	}
}

static void on_interrupt(evutil_socket_t number, short what, void *context)
{
	event_base_loopbreak(context);
}

/* Start the children of all policies that have some. Return 0, or -1 and `error`. */
static int start_trials(struct trials *trials, const struct chain *chain, struct error *error)
{
	trials->base = event_base_new();
	trials->list = calloc(chain_count(chain) + 1, sizeof(*trials->list));
	if (!trials->base || !trials->list)
		return error_set(error, "out of memory");
	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		struct policy *policy = chain_policy(chain, rank);

		if (!policy->kind->ask)
			continue;
		if (policy->kind->start(policy, trials->base, NULL, NULL, error))
			return -1;
		trials->list[trials->count++] = (struct trial){
			.request.done = trial_done,
			.all = trials,
			.policy = policy,
		};
	}
	trials->open = trials->count;
	return 0;
}

/* Ask until all have replied, the time is over, or a signal ends it. Return 0, or -1 and `error`. */
static int run_trials(struct trials *trials, struct error *error)
{
	static const struct timeval all = { .tv_sec = TRIAL_TIME };
	static const struct timeval pause = { .tv_usec = TRIAL_PAUSE };
	struct event *again = event_new(trials->base, -1, EV_PERSIST, ask_all, trials);
	struct event *interrupt = evsignal_new(trials->base, SIGINT, on_interrupt, trials->base);
	struct event *end = evsignal_new(trials->base, SIGTERM, on_interrupt, trials->base);
	int result = -1;

	if (again && interrupt && end && event_add(again, &pause) == 0 &&
	    event_add(interrupt, NULL) == 0 && event_add(end, NULL) == 0 &&
	    event_base_loopexit(trials->base, &all) == 0) {
		ask_all(-1, 0, trials);
		result = event_base_dispatch(trials->base);
	}
	event_drop(again);
	event_drop(interrupt);
	event_drop(end);
	return result ? error_set(error, "out of memory") : 0;
}

static void report_trials(const struct trials *trials)
{
	struct policy_state state;

	for (size_t i = 0; i < trials->count; i++) {
		const struct policy *policy = trials->list[i].policy;

		policy->kind->tell_state(policy, &state);
		if (trials->list[i].replied)
			print(stdout, "policy '%s': replies (%s)", policy->name, state.why);
		else
			print(stderr,
			      "policy '%s': neither a verdict nor - for " TRIAL_URL
			      " within %d s (%s); a helper that runs has to flush each line",
			      policy->name, TRIAL_TIME, state.why);
	}
}

/*
 * See whether the children of the policies reply. Takes over the chain, whose children have ended by
 * the return. Return 0, or -1 after reporting what is wrong.
 */
static int try_helpers(struct chain *chain)
{
	struct trials trials = { 0 };
	struct error error;
	int result = start_trials(&trials, chain, &error);

	if (result == 0 && trials.count)
		result = run_trials(&trials, &error);
	if (result)
		print(stderr, "%s", error.text);
	else
		report_trials(&trials);
	if (trials.open)
		result = -1;
	chain_free(chain); /* completes the requests that are open */
	free(trials.list);
	if (trials.base) {
		helper_children_finish(trials.base);
		event_base_free(trials.base);
	}
	return result;
}

/* --- all of it */

static int become_user(const struct config *config, const char *path, struct error *error)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return 0;
	return user_find(config->user, &uid, &gid, error) ||
			       daemon_become(config, path, uid, gid, error)
		       ? -1
		       : 0;
}

int config_check(const char *path)
{
	struct compiled *compiled = NULL;
	struct config *config = NULL;
	struct chain *chain = NULL;
	struct error error;
	uint32_t drain;
	int result = -1;

	if (config_load_file(path, NULL, &config, &error) == 0 &&
	    become_user(config, path, &error) == 0 &&
	    config_load_drop_ins(path, config, &error) == 0 &&
	    saved_drain_read(path, &drain, &error) == 0 &&
	    chain_create(config, &chain, &error) == 0 &&
	    chain_compile_within(chain, daemon_room_max(config, config->prefixes_max), &compiled,
				 &error) == 0 &&
	    daemon_check_room(config, compiled, &error) == 0) {
		size_t policies = chain_count(chain), texts = chain_text_count(chain);

		print(stdout, "%s: %zu %s, %zu %s", path, policies,
		      plural(policies, "policy", "policies"), texts,
		      plural(texts, "prefix", "prefixes"));
		if (drain)
			print(stdout,
			      "a drain is kept in %s.d: %s to every query from the start on, until "
			      "`icpctl undrain`",
			      path, drain_name(drain));
		print_horizon(chain, compiled);
		print_room(config, compiled);
		print_loaded_room(config, compiled);
		print_unasked(chain);
		result = check_clusters(config, &error) || print_shadows(chain, &error) ? -1 : 0;
	}
	compiled_free(compiled);
	if (result)
		print(stderr, "%s", error.text);
	fflush(stdout);
	if (result == 0)
		result = try_helpers(chain);
	else
		chain_free(chain);
	config_free(config);
	return result;
}
