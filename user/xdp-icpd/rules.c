// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests that concern many rules are handled in slices, so that they delay nothing else. They end
 * when the peer disconnects.
 */
#include <stdlib.h>
#include <string.h>

#include "xdp-icpd/rules.h"
#include "lib/escape.h"
#include "icp/opcode.h"

#define LOAD_STEP 64  /* rules inserted per event */
#define RULE_SIZE 128 /* approximate size of a rule in a response without its prefix, in bytes */

/* A request that takes several events. */
struct rules_job {
	struct daemon *daemon;
	struct control_deferred *deferred;
	struct event *step;
	json_t *rules; /* to load, or those listed so far */
	size_t next;   /* to load */
	struct rules_cursor cursor;
	size_t bytes; /* listed by this step */
};

/*
 * Send the response (takes the reference; NULL: out of memory, or the peer is gone) and free the
 * job.
 */
static void job_end(struct rules_job *job, json_t *reply)
{
	if (job->step)
		event_free(job->step);
	json_decref(job->rules);
	control_complete(job->deferred, reply);
	free(job);
}

static void job_cancel(void *context)
{
	job_end(context, NULL);
}

/* Run the step once all pending events have been handled. */
static void job_schedule(struct rules_job *job)
{
	static const struct timeval at_once = { 0 };

	event_add(job->step, &at_once);
}

/* Takes the reference to `rules`. The response is deferred, or {"ok": false} without memory. */
static json_t *job_begin(struct daemon *daemon, const struct control_peer *peer, json_t *rules,
			 event_callback_fn step)
{
	struct control_deferred *deferred = control_defer(peer);
	struct rules_job *job = deferred ? calloc(1, sizeof(*job)) : NULL;

	if (!job) {
		json_decref(rules);
		if (deferred)
			control_complete(deferred, NULL);
		return NULL;
	}
	job->daemon = daemon;
	job->deferred = deferred;
	job->rules = rules;
	job->step = evtimer_new(daemon->base, step, job);
	if (!job->step || !rules) {
		job_end(job, NULL);
		return NULL;
	}
	control_on_close(deferred, job_cancel, job);
	job_schedule(job);
	return NULL;
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

	(void)fd;
	(void)what;
	job->bytes = 0;
	if (rules_step(job->daemon->server.rules, &job->cursor, list_rule, job, &error))
		job_end(job, control_refusal("%s", error.text));
	else if (!control_reserve(job->deferred, job->bytes))
		job_end(job, control_refusal("there are more rules than can be listed at once; "
					     "`bpftool map dump` lists the pinned map"));
	else if (job->cursor.done)
		job_end(job, json_pack("{s:b, s:O}", "ok", 1, "rules", job->rules));
	else
		job_schedule(job);
}

json_t *command_rules_list(struct daemon *daemon, const json_t *request,
			   const struct control_peer *peer)
{
	(void)request;
	return job_begin(daemon, peer, json_array(), list_step);
}

/* --- add, del */

/* A rule in a request. */
struct rule_request {
	char *prefix; /* for free() */
	size_t length;
	enum icp_opcode verdict; /* ICP_OP_INVALID: none given */
};

static int read_rule(const json_t *object, bool needs_verdict, struct rule_request *rule,
		     struct error *error)
{
	const json_t *prefix = json_object_get(object, "prefix");
	const char *verdict = json_string_value(json_object_get(object, "verdict"));

	*rule = (struct rule_request){ 0 };
	if (!json_is_string(prefix))
		return error_set(error, "a rule needs a prefix");
	if (verdict)
		rule->verdict = verdict_from_name(verdict, strlen(verdict));
	if (needs_verdict && rule->verdict == ICP_OP_INVALID)
		return error_set(error, "verdict %s: unknown; it is one of " VERDICT_NAMES,
				 verdict ? verdict : "missing");
	rule->prefix =
		unescape(json_string_value(prefix), json_string_length(prefix), &rule->length);
	if (!rule->prefix)
		return error_set(error, "out of memory");
	if (icp_url_form((const __u8 *)rule->prefix, rule->length, ICP_MESSAGE_MAX) !=
	    ICP_FORM_QUERY) {
		free(rule->prefix);
		rule->prefix = NULL;
		return error_set(error, "prefix %s: a URL has no white space and no NUL",
				 json_string_value(prefix));
	}
	return 0;
}

/* The workers must be paused. */
static int put_rule(struct daemon *daemon, const json_t *object, struct error *error)
{
	struct rule_request rule;
	int result;

	if (read_rule(object, true, &rule, error))
		return -1;
	result = rules_put(daemon->server.rules, rule.prefix, rule.length, rule.verdict, error);
	free(rule.prefix);
	return result;
}

json_t *command_rules_add(struct daemon *daemon, const json_t *request,
			  const struct control_peer *peer)
{
	struct error error;
	int result;

	(void)peer;
	server_pause(&daemon->server);
	result = put_rule(daemon, request, &error);
	server_resume(&daemon->server);
	if (result)
		return control_refusal("%s", error.text);
	return json_pack("{s:b}", "ok", 1);
}

json_t *command_rules_del(struct daemon *daemon, const json_t *request,
			  const struct control_peer *peer)
{
	struct rule_request rule;
	struct error error;
	int result;

	(void)peer;
	if (read_rule(request, false, &rule, &error))
		return control_refusal("%s", error.text);
	server_pause(&daemon->server);
	result = rules_remove(daemon->server.rules, rule.prefix, rule.length, &error);
	server_resume(&daemon->server);
	free(rule.prefix);
	if (result < 0)
		return control_refusal("%s", error.text);
	if (result > 0)
		return control_refusal("no such rule; `icpctl rules list` shows what there is");
	return json_pack("{s:b}", "ok", 1);
}

/* --- load */

static void load_step(evutil_socket_t fd, short what, void *context)
{
	struct rules_job *job = context;
	size_t count = json_array_size(job->rules), end = job->next + LOAD_STEP;
	struct error error;
	int result = 0;

	(void)fd;
	(void)what;
	server_pause(&job->daemon->server);
	while (!result && job->next < count && job->next < end)
		result = put_rule(job->daemon, json_array_get(job->rules, job->next++), &error);
	server_resume(&job->daemon->server);
	if (result)
		job_end(job, control_refusal("rule %zu of %zu: %s (those before it are loaded)",
					     job->next, count, error.text));
	else if (job->next == count)
		job_end(job, json_pack("{s:b, s:I}", "ok", 1, "loaded", (json_int_t)count));
	else
		job_schedule(job);
}

json_t *command_rules_load(struct daemon *daemon, const json_t *request,
			   const struct control_peer *peer)
{
	json_t *rules = json_object_get(request, "rules");

	if (!json_is_array(rules))
		return control_refusal("rules-load: no rules");
	return job_begin(daemon, peer, json_incref(rules), load_step);
}
