// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests that concern many rules are handled in slices, so that they delay nothing else. They end
 * when the peer disconnects.
 */
#include <stdlib.h>
#include <string.h>

#include "xdp-icpd/daemon.h"
#include "xdp-icpd/rules.h"
#include "lib/escape.h"
#include "icp/opcode.h"

#define LOAD_STEP 64  /* rules inserted per event */
#define RULE_SIZE 128 /* approximate size of a rule in a response without its prefix, in bytes */

/* A request that takes several events. */
struct rules_job {
	struct daemon *daemon;
	struct control_request *request;
	struct event *step;
	json_t *rules; /* to load, or those listed so far */
	size_t next;   /* to load */
	struct rules_cursor cursor;
	size_t bytes; /* listed by this step */
};

/* Free the job; the response has been sent. */
static void job_free(struct rules_job *job)
{
	if (job->step)
		event_free(job->step);
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
	job_end(context, NULL);
}

/* Run the step once all pending events have been handled. */
static void job_schedule(struct rules_job *job)
{
	static const struct timeval at_once = { 0 };

	event_add(job->step, &at_once);
}

/* Takes the reference to `rules`. */
static void job_begin(struct daemon *daemon, struct control_request *request, json_t *rules,
		      event_callback_fn step)
{
	struct rules_job *job = calloc(1, sizeof(*job));

	if (!job) {
		json_decref(rules);
		control_reply(request, NULL);
		return;
	}
	job->daemon = daemon;
	job->request = request;
	job->rules = rules;
	job->step = evtimer_new(daemon->base, step, job);
	if (!job->step || !rules) {
		job_end(job, NULL);
		return;
	}
	control_on_close(request, job_cancel, job);
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

	(void)fd;
	(void)what;
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
	job_begin(context, request, json_array(), list_step);
}

/* --- add and remove */

/* Return the bytes of an escaped prefix, for free(), or NULL and `error`. */
static char *read_prefix(const char *escaped, size_t *length, struct error *error)
{
	char *prefix = unescape(escaped, strlen(escaped), length);

	if (!prefix) {
		error_set(error, "out of memory");
	} else if (icp_url_form((const __u8 *)prefix, *length, ICP_MESSAGE_MAX) != ICP_FORM_QUERY) {
		error_set(error, "prefix %s: a URL has no white space and no NUL", escaped);
		free(prefix);
		return NULL;
	}
	return prefix;
}

/* The workers must be paused. */
static int put_rule(struct daemon *daemon, const json_t *rule, struct error *error)
{
	const char *escaped = json_string_value(json_object_get(rule, "prefix"));
	const char *name = json_string_value(json_object_get(rule, "verdict"));
	enum icp_opcode verdict = name ? verdict_from_name(name, strlen(name)) : ICP_OP_INVALID;
	size_t length;
	char *prefix;
	int result;

	if (!escaped)
		return error_set(error, "a rule needs a prefix");
	if (verdict == ICP_OP_INVALID)
		return error_set(error, "verdict %s: unknown; it is one of " VERDICT_NAMES,
				 name ? name : "missing");
	prefix = read_prefix(escaped, &length, error);
	if (!prefix)
		return -1;
	result = rules_put(daemon->server.rules, prefix, length, verdict, error);
	free(prefix);
	return result;
}

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
	if (result && count > 1)
		error_prefix(&error, "rule %zu of %zu (those before it are loaded): ", job->next,
			     count);
	if (result)
		job_refuse(job, CONTROL_STATUS_REFUSED, error.text);
	else if (job->next == count)
		job_end(job, json_pack("{s:I}", "loaded", (json_int_t)count));
	else
		job_schedule(job);
}

void post_rules(void *context, struct control_request *request)
{
	json_t *rules = json_object_get(control_body(request), "rules");

	if (json_is_array(rules))
		job_begin(context, request, json_incref(rules), load_step);
	else
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "no \"rules\", a list of {\"prefix\", \"verdict\"}");
}

void delete_rule(void *context, struct control_request *request)
{
	const char *escaped = control_argument(request, "prefix");
	struct daemon *daemon = context;
	struct error error = { "no argument `prefix`" };
	size_t length;
	char *prefix = escaped ? read_prefix(escaped, &length, &error) : NULL;
	int result;

	if (!prefix) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "%s", error.text);
		return;
	}
	server_pause(&daemon->server);
	result = rules_remove(daemon->server.rules, prefix, length, &error);
	server_resume(&daemon->server);
	free(prefix);
	if (result < 0)
		control_refuse(request, CONTROL_STATUS_REFUSED, "%s", error.text);
	else if (result > 0)
		control_refuse(request, CONTROL_STATUS_NOT_FOUND,
			       "no such rule; `icpctl rules list` shows what there is");
	else
		control_reply(request, json_object());
}
