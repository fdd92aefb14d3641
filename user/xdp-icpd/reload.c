// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes of the chain while the daemon runs: reloads, and icpctl policy. Building and freeing a
 * chain may take seconds, in which the event loop has to serve gates and queries. So a thread does
 * both; it runs only while there is work. The main thread starts and activates the chain in
 * between:
 *
 *	main thread	dequeue the oldest change
 *	thread		read the configuration, build the chain beside the active one,
 *			write or remove the policy's file
 *	main thread	start the chain, switch to it
 *	thread		free the previous chain; if the switch failed, undo the file's change
 *	main thread	call back
 *
 * There is one change at a time and one thread, which the main thread joins before it uses the
 * results: no lock is needed.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "xdp-icpd/chain.h"
#include "xdp-icpd/clusters.h"
#include "xdp-icpd/reload.h"
#include "config/dropin.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/plural.h"
#include "lib/thread.h"

/* Seconds before a failed rebuild for a cluster's map is tried again; doubled each time. */
#define REBUILD_PAUSE 2
#define REBUILD_PAUSE_MAX 64

enum change_kind {
	CHANGE_RELOAD,
	CHANGE_PUT,
	CHANGE_REMOVE,
	CHANGE_REBUILD
};
enum change_stage {
	STAGE_BUILD,
	STAGE_CLEAN_UP,
	STAGE_DONE
};

struct change {
	TAILQ_ENTRY(change) link;
	enum change_kind kind;
	char *name;		  /* of the policy to remove */
	struct policy_spec *spec; /* to insert, or to restore; the configuration's once active */
	bool save;
	change_done done; /* NULL: none */
	void *context;

	enum change_stage stage; /* the next step of the thread */
	bool failed;		 /* `error` is set */
	struct error error;

	/* What is being built; once active, what it has replaced. */
	struct next_chain next;
	struct config *config;	       /* of a reload */
	struct policy_spec **policies; /* the new list, for a change of one */
	size_t policy_count;
	struct policy_spec *former; /* the policy that is replaced or removed, or NULL */
	struct drop_in *file;	    /* of the policy, for `save`, else NULL */
	bool saved;		    /* the file has been changed */
	bool active;
	char restart[CONFIG_NAMES_SIZE]; /* options of a reload that only a restart changes */
};

TAILQ_HEAD(change_list, change);

/* A chain to be freed by the thread. */
struct released {
	SLIST_ENTRY(released) link;
	struct chain *chain;
};

SLIST_HEAD(released_list, released);

struct changes {
	struct daemon *daemon;
	struct log_limit failures; /* of reloads and rebuilds */
	struct change_list waiting;
	size_t waiting_count;
	struct change *current;
	struct released_list released;
	atomic_bool cancel;   /* the daemon ends */
	struct event *on_due; /* to try a rebuild that has failed once more */
	time_t pause;	      /* seconds before that; 0: the last one succeeded */

	pthread_t thread;
	bool running, joinable;
	struct released_list to_free; /* owned by the thread, as is `current`, while it runs */
	atomic_bool done;	      /* the thread has ended, or is about to */
	int wake;		      /* eventfd, readable: the main thread has work */
	struct event *on_wake;
};

/* --- in the thread */

/* List the future policies: those of the configuration with one change. */
static int list_policies(const struct config *config, struct change *change)
{
	const char *name = change->spec ? change->spec->name : change->name;
	size_t count = config->policy_count;
	struct policy_spec **former = policy_specs_find(config->policies, count, name);
	size_t place = former ? (size_t)(former - config->policies) : count;

	if (former)
		change->former = *former;
	else if (!change->spec && !(change->file && drop_in_existed(change->file)))
		return error_set(&change->error,
				 "there is no policy '%s'; `icpctl policy list` lists them", name);
	change->policies = calloc(count + 1, sizeof(struct policy_spec *));
	if (!change->policies)
		return error_set(&change->error, "out of memory");
	if (count)
		memcpy(change->policies, config->policies, count * sizeof(struct policy_spec *));
	if (change->spec) {
		change->policies[place] = change->spec;
		change->policy_count = change->former ? count : count + 1;
	} else if (change->former) {
		change->policies[place] = change->policies[count - 1];
		change->policy_count = count - 1;
	} else {
		change->policy_count = count;
	}
	return 0;
}

/* Open the policy's file. What a removal restores is what a reload would find without the file. */
static int open_file(const struct changes *changes, struct change *change)
{
	const char *name = change->spec ? change->spec->name : change->name;

	change->file = drop_in_open(changes->daemon->config_path, name, &change->error);
	if (!change->file)
		return -1;
	return change->kind == CHANGE_REMOVE
		       ? drop_in_beneath(change->file, changes->daemon->config, &change->spec,
					 &change->error)
		       : 0;
}

/* A policy that nothing overrides can only be removed where it is defined. */
static int check_override(const struct change *change, struct error *error)
{
	if (change->kind != CHANGE_REMOVE || !change->spec || drop_in_existed(change->file) ||
	    (change->former && change->former->at_run_time))
		return 0;
	return error_set(error,
			 "policy '%s' is defined in %s: remove it there, and reload; or remove it "
			 "until the next reload, without --save",
			 change->name, change->spec->where);
}

/* Make the change permanent, before it is active. It is durable when this returns. */
static int save(struct change *change)
{
	struct error *error = &change->error;
	int result;

	if (change->kind == CHANGE_PUT)
		result = drop_in_save(change->file, change->spec, error);
	else if (drop_in_existed(change->file))
		result = drop_in_remove(change->file, error);
	else
		return 0;
	change->saved = result == 0;
	return result ? error_prefix(error, "not saved, nothing is changed: ") : 0;
}

static int build(const struct changes *changes, struct change *change)
{
	const struct daemon *daemon = changes->daemon;
	struct config config = *daemon->config;

	if (change->kind == CHANGE_RELOAD) {
		if (config_load(daemon->config_path, daemon->config, &change->config,
				&change->error))
			return -1;
		return next_chain_build(&change->next, change->config, daemon->xdp.kernel,
					&changes->cancel, &change->error);
	}
	if (change->kind == CHANGE_REBUILD)
		return next_chain_build(&change->next, &config, daemon->xdp.kernel,
					&changes->cancel, &change->error);
	if (change->save && open_file(changes, change))
		return -1;
	if (list_policies(&config, change) ||
	    (change->save && check_override(change, &change->error)))
		return -1;
	config.policies = change->policies;
	config.policy_count = change->policy_count;
	if (next_chain_build(&change->next, &config, daemon->xdp.kernel, &changes->cancel,
			     &change->error))
		return -1;
	if (!change->save || save(change) == 0)
		return 0;
	next_chain_free(&change->next);
	return -1;
}

static void clean_up(struct change *change)
{
	struct error error;

	if (change->saved && !change->active && drop_in_undo(change->file, &error))
		error_prefix(&change->error, "the file is changed nevertheless (%s): ", error.text);
	drop_in_free(change->file);
	policy_spec_free(change->active ? change->former : change->spec);
	free(change->policies);
	config_free(change->config);
	compiled_free(change->next.compiled);
}

static void free_released(struct released_list *list)
{
	struct released *released;

	while ((released = SLIST_FIRST(list))) {
		SLIST_REMOVE_HEAD(list, link);
		chain_release(released->chain);
		free(released);
	}
}

static void work(struct changes *changes)
{
	struct change *change = changes->current;

	if (change && change->stage == STAGE_BUILD) {
		change->failed = build(changes, change) != 0;
		change->stage = STAGE_CLEAN_UP;
	} else if (change) {
		clean_up(change);
		change->stage = STAGE_DONE;
	}
	free_released(&changes->to_free);
	/* What a large chain has taken while it was built is not kept for the next one. */
	malloc_trim(0);
	changes->done = true;
	eventfd_write(changes->wake, 1);
}

static void *run(void *context)
{
	pthread_setname_np(pthread_self(), "chains");
	work(context);
	return NULL;
}

/* --- in the main thread */

static void start_thread(struct changes *changes)
{
	changes->to_free = changes->released;
	SLIST_INIT(&changes->released);
	changes->running = true;
	changes->done = false;
	changes->joinable = thread_start(&changes->thread, NULL, run, changes) == 0;
	/* Fall back to this thread. */
	if (!changes->joinable)
		work(changes);
}

static void join_thread(struct changes *changes)
{
	if (changes->joinable)
		pthread_join(changes->thread, NULL);
	changes->running = false;
}

/* Replaces chain_release() in the main thread, which must not block. */
static void on_release(void *context, struct chain *chain)
{
	struct changes *changes = context;
	struct released *released = changes->cancel ? NULL : malloc(sizeof(*released));

	if (!released) {
		chain_release(chain);
		return;
	}
	released->chain = chain;
	SLIST_INSERT_HEAD(&changes->released, released, link);
	eventfd_write(changes->wake, 1);
}

static void log_change(struct daemon *daemon, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_RELOAD:
		log_write(LOG_NOTICE, "reloaded %s: %zu %s", daemon->config_path,
			  chain_count(daemon->chain),
			  plural(chain_count(daemon->chain), "policy", "policies"));
		break;
	case CHANGE_PUT:
		log_write(LOG_NOTICE, "policy '%s' %s", change->spec->name,
			  change->former ? "replaced" : "added");
		break;
	case CHANGE_REMOVE:
		if (change->spec)
			log_write(LOG_NOTICE, "policy '%s' is again the one defined at %s",
				  change->name, change->spec->where);
		else
			log_write(LOG_NOTICE, "policy '%s' removed", change->name);
		break;
	case CHANGE_REBUILD:
		log_write(LOG_INFO, "the chain was rebuilt for a new cluster map");
		break;
	}
}

/* Move the new configuration to the daemon, and the old one to the change. */
static void exchange_config(struct config *config, struct config *former, struct change *change)
{
	if (change->kind == CHANGE_RELOAD) {
		config_keep_startup_options(config, former, change->restart);
		if (*change->restart)
			log_write(LOG_WARNING, "%s: the change takes effect at the next start",
				  change->restart);
		change->config = former;
	} else if (change->kind != CHANGE_REBUILD) {
		struct policy_spec **policies = former->policies;

		former->policies = change->policies;
		former->policy_count = change->policy_count;
		change->policies = policies;
	}
}

static int activate(struct changes *changes, struct change *change)
{
	struct daemon *daemon = changes->daemon;
	struct config *former = daemon->config;
	struct config *config = change->config ? change->config : former;
	int result;

	chain_set_release(change->next.chain, on_release, changes);
	result = daemon_switch_chain(daemon, &change->next, config, &change->error);
	if (result == 0) {
		change->active = true;
		event_del(changes->on_due); /* it has the clusters' last maps */
		changes->pause = 0;
		exchange_config(config, former, change);
		if (change->kind == CHANGE_RELOAD) {
			daemon->reloads++;
			daemon->last_reload = time(NULL);
			daemon->last_reload_error.text[0] = '\0';
			daemon_sync_clusters(daemon);
		}
		log_change(daemon, change);
		/* Evaluations may still hold references. */
		chain_unref(change->next.chain);
	} else {
		chain_free(change->next.chain);
	}
	change->next.chain = NULL;
	return result;
}

/* Note and log that a reload failed. Clients may ask for reloads in a loop. */
static void reload_failed(struct changes *changes, const struct error *error)
{
	struct daemon *daemon = changes->daemon;
	char more[LOG_LIMIT_TEXT];

	daemon->last_reload = time(NULL);
	daemon->last_reload_error = *error;
	if (log_limit_allows(&changes->failures, 10, more))
		log_write(LOG_ERR, "reload failed, nothing is changed: %s%s", error->text, more);
}

/* The cause may be temporary: a lack of memory, or a file that is being replaced. */
static void rebuild_failed(struct changes *changes, const struct error *error)
{
	char more[LOG_LIMIT_TEXT];
	struct timeval pause;

	changes->pause = changes->pause ? 2 * changes->pause : REBUILD_PAUSE;
	if (changes->pause > REBUILD_PAUSE_MAX)
		changes->pause = REBUILD_PAUSE_MAX;
	pause = (struct timeval){ .tv_sec = changes->pause };
	event_add(changes->on_due, &pause);
	if (log_limit_allows(&changes->failures, 10, more))
		log_write(LOG_ERR,
			  "cannot rebuild the chain for a new cluster map, next try in %ld s: %s%s",
			  (long)changes->pause, error->text, more);
}

static void complete(struct changes *changes, struct change *change)
{
	const struct change_notes notes = {
		.restored = change->active && change->kind == CHANGE_REMOVE && change->spec
				    ? change->spec->where
				    : NULL,
		.restart = *change->restart ? change->restart : NULL,
	};

	if (change->failed && change->kind == CHANGE_RELOAD)
		reload_failed(changes, &change->error);
	if (change->failed && change->kind == CHANGE_REBUILD && !changes->cancel)
		rebuild_failed(changes, &change->error);
	if (change->done)
		change->done(change->context, changes->daemon, &notes,
			     change->failed ? &change->error : NULL);
	free(change->name);
	free(change);
}

/* Continue after the thread has ended. */
static void proceed(struct changes *changes)
{
	struct change *change = changes->current;

	join_thread(changes);
	if (change && change->stage == STAGE_DONE) {
		changes->current = NULL;
		complete(changes, change);
	} else if (change && !change->failed) {
		change->failed = activate(changes, change) != 0;
	}
}

static struct change *next_waiting(struct changes *changes)
{
	struct change *change = TAILQ_FIRST(&changes->waiting);

	if (change) {
		TAILQ_REMOVE(&changes->waiting, change, link);
		changes->waiting_count--;
	}
	return change;
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct changes *changes = context;
	eventfd_t value;

	eventfd_read(fd, &value);
	if (changes->running && !changes->done)
		return;
	if (changes->running)
		proceed(changes);
	if (!changes->current)
		changes->current = next_waiting(changes);
	if (changes->current || !SLIST_EMPTY(&changes->released))
		start_thread(changes);
}

/* --- what can be asked for */

static struct change *add(struct daemon *daemon, enum change_kind kind, struct error *error)
{
	struct changes *changes = daemon->changes;
	struct change *change = NULL;

	if (changes->cancel)
		error_set(error, "the daemon is ending");
	else if (changes->waiting_count >= CHANGES_MAX && kind != CHANGE_REBUILD)
		error_set(error, "%d changes of the chain are already waiting; try again later",
			  CHANGES_MAX);
	else if (!(change = calloc(1, sizeof(*change))))
		error_set(error, "out of memory");
	if (!change)
		return NULL;
	change->kind = kind;
	/* Processed by the event loop, after the caller has filled it in. */
	eventfd_write(changes->wake, 1);
	TAILQ_INSERT_TAIL(&changes->waiting, change, link);
	changes->waiting_count++;
	return change;
}

struct change *daemon_reload(struct daemon *daemon, struct error *error)
{
	struct change *change = add(daemon, CHANGE_RELOAD, error);

	if (!change)
		reload_failed(daemon->changes, error);
	return change;
}

struct change *daemon_put_policy(struct daemon *daemon, struct policy_spec *spec, bool save_it,
				 struct error *error)
{
	struct change *change = add(daemon, CHANGE_PUT, error);

	if (change) {
		change->spec = spec;
		change->save = save_it;
	}
	return change;
}

struct change *daemon_remove_policy(struct daemon *daemon, const char *name, bool save_it,
				    struct error *error)
{
	char *copy = strdup(name);
	struct change *change = copy ? add(daemon, CHANGE_REMOVE, error) : NULL;

	if (change) {
		change->name = copy;
		change->save = save_it;
		return change;
	}
	if (!copy)
		error_set(error, "out of memory");
	free(copy);
	return NULL;
}

void daemon_rebuild(struct daemon *daemon)
{
	const struct change *change;
	struct error error;

	TAILQ_FOREACH (change, &daemon->changes->waiting, link)
		if (change->kind == CHANGE_REBUILD)
			return;
	if (!add(daemon, CHANGE_REBUILD, &error))
		rebuild_failed(daemon->changes, &error);
}

void change_then(struct change *change, change_done done, void *context)
{
	change->done = done;
	change->context = context;
}

void daemon_reload_on_signal(struct daemon *daemon)
{
	const struct change *last = TAILQ_LAST(&daemon->changes->waiting, change_list);
	struct error error;

	if (last && last->kind == CHANGE_RELOAD)
		return; /* it has not read the configuration yet */
	daemon_reload(daemon, &error);
}

static void on_due(evutil_socket_t fd, short what, void *context)
{
	struct changes *changes = context;

	daemon_rebuild(changes->daemon);
}

/* --- the beginning and the end */

int daemon_open_changes(struct daemon *daemon, struct error *error)
{
	struct changes *changes = calloc(1, sizeof(*changes));

	if (!changes)
		return error_set(error, "out of memory");
	daemon->changes = changes;
	changes->daemon = daemon;
	TAILQ_INIT(&changes->waiting);
	SLIST_INIT(&changes->released);
	changes->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (changes->wake < 0)
		return error_set(error, "eventfd: %s", strerror(errno));
	changes->on_wake =
		event_new(daemon->base, changes->wake, EV_READ | EV_PERSIST, on_wake, changes);
	changes->on_due = evtimer_new(daemon->base, on_due, changes);
	if (!changes->on_due || !changes->on_wake || event_add(changes->on_wake, NULL))
		return error_set(error, "out of memory");
	chain_set_release(daemon->chain, on_release, changes);
	return 0;
}

static void cancel(struct changes *changes, struct change *change)
{
	if (change->stage != STAGE_DONE) {
		if (!change->active && !change->failed) {
			chain_free(change->next.chain);
			change->failed = true;
			error_set(&change->error, "the daemon is ending, nothing is changed");
		}
		clean_up(change);
	}
	complete(changes, change);
}

void daemon_cancel_changes(struct daemon *daemon)
{
	struct changes *changes = daemon->changes;
	struct change *change;

	if (!changes)
		return;
	changes->cancel = true;
	event_del(changes->on_due);
	if (changes->running)
		join_thread(changes);
	if (changes->current)
		cancel(changes, changes->current);
	changes->current = NULL;
	while ((change = next_waiting(changes)))
		cancel(changes, change);
	free_released(&changes->released);
}

void daemon_free_changes(struct daemon *daemon)
{
	struct changes *changes = daemon->changes;

	if (!changes)
		return;
	event_drop(changes->on_wake);
	event_drop(changes->on_due);
	if (changes->wake >= 0)
		close(changes->wake);
	free(changes);
	daemon->changes = NULL;
}
