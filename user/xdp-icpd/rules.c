// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests that concern many rules are handled in slices, so that they delay nothing else. They end
 * when the peer disconnects, except for a change that has begun to write. There is one change at a
 * time; the others wait.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "xdp-icpd/daemon.h"
#include "xdp-icpd/rules.h"
#include "lib/escape.h"
#include "lib/event.h"
#include "icp/opcode.h"
#include "server/rule_change.h"

#define READ_STEP 256 /* rules of a request read per event */
#define RULE_SIZE 128 /* approximate size of a rule in a response without its prefix, in bytes */

/* A request that takes several events. */
struct rules_job {
	struct daemon *daemon;
	struct control_request *request;
	struct event *step;
	json_t *rules;		    /* to change, or those listed so far */
	struct rules_cursor cursor; /* of a list */
	size_t bytes;		    /* listed by this step */

	struct rule_change *change; /* NULL: a list */
	TAILQ_ENTRY(rules_job) link;
	size_t next;   /* rule to read from the request */
	size_t loaded; /* rules that are to be inserted or changed */
};

/* Run the step once all pending events have been handled. */
static void job_schedule(struct rules_job *job)
{
	static const struct timeval at_once = { 0 };

	event_add(job->step, &at_once);
}

/* Free the job; the response has been sent. The next change begins. */
static void job_free(struct rules_job *job)
{
	struct rules_jobs *changes = &job->daemon->rule_changes;

	if (job->change) {
		TAILQ_REMOVE(changes, job, link);
		if (!TAILQ_EMPTY(changes))
			job_schedule(TAILQ_FIRST(changes));
	}
	rule_change_free(job->change);
	event_drop(job->step);
	json_decref(job->rules);
	free(job);
}

/* Send the response (takes the reference; NULL: out of memory, or the peer is gone) and free the job. */
static void job_end(struct rules_job *job, json_t *reply)
{
	control_reply(job->request, reply);
	job_free(job);
}

static void job_refuse(struct rules_job *job, enum control_status status, const char *text)
{
	control_refuse(job->request, status, "%s", text);
	job_free(job);
}

static void job_cancel(void *context)
{
	struct rules_job *job = context;

	if (!job->change || !rule_change_writes(job->change))
		job_end(job, NULL);
}

/* Takes the references to `rules` and `change`. */
static void job_begin(struct daemon *daemon, struct control_request *request, json_t *rules,
		      struct rule_change *change, event_callback_fn step)
{
	struct rules_job *job = calloc(1, sizeof(*job));

	if (!job) {
		json_decref(rules);
		rule_change_free(change);
		control_reply(request, NULL);
		return;
	}
	job->daemon = daemon;
	job->request = request;
	job->rules = rules;
	job->change = change;
	if (change)
		TAILQ_INSERT_TAIL(&daemon->rule_changes, job, link);
	job->step = evtimer_new(daemon->base, step, job);
	if (!job->step || !rules) {
		job_end(job, NULL);
		return;
	}
	control_on_close(request, job_cancel, job);
	if (!change || job == TAILQ_FIRST(&daemon->rule_changes))
		job_schedule(job);
}

/* --- list */

static int list_rule(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	const char *name = opcode_name(verdict);
	struct rules_job *job = context;

	job->bytes += RULE_SIZE + length;
	/* A verdict inserted by bpftool may be any number. */
	json_array_append_new(job->rules,
			      json_pack("{s:o, s:o}", "prefix", control_bytes(prefix, length),
					"verdict",
					icp_is_verdict(verdict) && name ? json_string(name)
									: json_integer(verdict)));
	return 0;
}

static void list_step(evutil_socket_t fd, short what, void *context)
{
	struct rules_job *job = context;
	struct error error;

	job->bytes = 0;
	if (rules_step(job->daemon->server.rules, &job->cursor, list_rule, job, &error))
		job_refuse(job, CONTROL_STATUS_FAILED, error.text);
	else if (!control_reserve(job->request, job->bytes))
		job_refuse(job, CONTROL_STATUS_OVER_QUOTA,
			   "there are more rules than can be listed at once; `bpftool map dump` "
			   "lists the pinned map");
	else if (job->cursor.done)
		job_end(job, json_pack("{s:O}", "rules", job->rules));
	else
		job_schedule(job);
}

void get_rules(void *context, struct control_request *request)
{
	job_begin(context, request, json_array(), NULL, list_step);
}

/* --- change */

/* Add a rule of the request to the change. */
static int read_rule(struct rules_job *job, const json_t *rule, struct error *error)
{
	const char *escaped = json_string_value(json_object_get(rule, "prefix"));
	const json_t *verdict = json_object_get(rule, "verdict");
	const char *name = json_string_value(verdict);
	enum icp_opcode opcode = name ? verdict_from_name(name, strlen(name)) : ICP_OP_INVALID;
	size_t length;
	char *prefix;
	int result;

	if (!escaped)
		return error_set(error, "a rule needs a prefix");
	if (opcode == ICP_OP_INVALID && !json_is_null(verdict))
		return error_set(error,
				 "verdict %s: unknown; it can be " VERDICT_NAMES
				 ", or null to remove the rule",
				 name ? name : "missing");
	prefix = unescape(escaped, strlen(escaped), &length);
	if (!prefix)
		return error_set(error, "out of memory");
	/* What was inserted by hand can be removed. */
	if (name && icp_url_form((const __u8 *)prefix, length, ICP_MESSAGE_MAX) != ICP_FORM_QUERY)
		result =
			error_set(error, "prefix %s: a URL has no white space and no NUL", escaped);
	else
		result = rule_change_add(job->change, prefix, length, opcode, error);
	free(prefix);
	job->loaded += name != NULL;
	return result;
}

/* Read the next rules of the request. Return 0, or -1 and `error`. */
static int read_rules(struct rules_job *job, struct error *error)
{
	size_t count = json_array_size(job->rules), end = job->next + READ_STEP;

	while (job->next < count && job->next < end)
		if (read_rule(job, json_array_get(job->rules, job->next++), error))
			return count > 1 ? error_prefix(error,
							"rule %zu of %zu, nothing is changed: ",
							job->next, count)
					 : -1;
	return 0;
}

static enum rule_change_state write_rules(struct rules_job *job, struct error *error)
{
	enum rule_change_state state;

	server_pause(&job->daemon->server);
	state = rule_change_step(job->change, error);
	server_resume(&job->daemon->server);
	return state;
}

static void end_change(struct rules_job *job, enum rule_change_state state,
		       const struct error *error)
{
	if (state == RULE_CHANGE_DONE)
		job_end(job, json_pack("{s:I, s:I}", "loaded", (json_int_t)job->loaded, "removed",
				       (json_int_t)rule_change_removed(job->change)));
	else
		job_refuse(job,
			   state == RULE_CHANGE_MISSING ? CONTROL_STATUS_NOT_FOUND
							: CONTROL_STATUS_REFUSED,
			   error->text);
}

static void change_step(evutil_socket_t fd, short what, void *context)
{
	enum rule_change_state state = RULE_CHANGE_RUNS;
	struct rules_job *job = context;
	struct error error;

	if (job->next == json_array_size(job->rules))
		state = write_rules(job, &error);
	else if (read_rules(job, &error))
		state = RULE_CHANGE_FAILED;
	if (state == RULE_CHANGE_RUNS)
		job_schedule(job);
	else
		end_change(job, state, &error);
}

/* Takes the reference to `rules`. */
static void begin_change(struct daemon *daemon, struct control_request *request, json_t *rules,
			 bool replace)
{
	struct rule_change *change = rule_change_new(daemon->server.rules, replace);

	if (change) {
		job_begin(daemon, request, rules, change, change_step);
		return;
	}
	json_decref(rules);
	control_reply(request, NULL);
}

static void read_body(struct daemon *daemon, struct control_request *request, bool replace)
{
	json_t *rules = json_object_get(control_body(request), "rules");

	if (json_is_array(rules))
		begin_change(daemon, request, json_incref(rules), replace);
	else
		control_refuse(
			request, CONTROL_STATUS_BAD_REQUEST,
			"\"rules\" is missing; it must be a list of {\"prefix\", \"verdict\"}");
}

void get_rules_change(void *context, struct control_request *request)
{
	const struct daemon *daemon = context;
	const struct rules_job *job = TAILQ_FIRST(&daemon->rule_changes);
	size_t all = 0, written = job ? rule_change_written(job->change, &all) : 0;

	control_reply(request, json_pack("{s:b, s:I, s:I}", "runs", job != NULL, "written",
					 (json_int_t)written, "all", (json_int_t)all));
}

void post_rules(void *context, struct control_request *request)
{
	read_body(context, request, false);
}

void put_rules(void *context, struct control_request *request)
{
	read_body(context, request, true);
}

void delete_rule(void *context, struct control_request *request)
{
	const char *escaped = control_argument(request, "prefix");
	size_t length = 0;
	char *prefix;

	if (!escaped) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "the argument `prefix` is missing");
		return;
	}
	prefix = unescape(escaped, strlen(escaped), &length);
	begin_change(context, request,
		     prefix ? json_pack("[{s:o, s:n}]", "prefix", control_bytes(prefix, length),
					"verdict")
			    : NULL,
		     false);
	free(prefix);
}

void daemon_finish_rules(struct daemon *daemon)
{
	struct rules_job *next;
	struct error error;

	for (struct rules_job *job = TAILQ_FIRST(&daemon->rule_changes); job; job = next) {
		enum rule_change_state state = RULE_CHANGE_FAILED;

		next = TAILQ_NEXT(job, link);
		error_write(&error, "the daemon is ending, nothing is changed");
		if (rule_change_writes(job->change))
			while ((state = write_rules(job, &error)) == RULE_CHANGE_RUNS)
				;
		end_change(job, state, &error);
	}
}
