// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key of the URL was handled by this server within the last `window`, according to an access
 * log that is followed, a datagram from an application, or `icpctl recent`.
 *
 * When the daemon starts, the last part of a log whose lines have a time is read; the contents of
 * other logs are skipped. The entries of a store depend on the settings `key`, `query` and
 * `window`: a reload that changes neither these nor the number of keys keeps the store.
 */
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/event.h"
#include "lib/plural.h"
#include "policy/key.h"
#include "policy/kinds.h"
#include "policy/kinds/recent.h"
#include "recent/feed.h"
#include "recent/follower.h"
#include "recent/line.h"

#define ENTRIES_DEFAULT 100000
#define LOGS_MAX 16
#define EXPIRED_AT_ONCE 500 /* keys that are removed in a turn */
#define EXPIRY 1000	    /* ms between turns, if nothing is left to remove */
#define EXPIRY_MORE 5	    /* ms, else */

#define SECOND 1000000000ull

#define KEY_WORDS (RECENT_URL_MAX / ICP_WORD + 2)

struct recent {
	struct policy *policy;
	struct url_key_form form;
	unsigned int window; /* seconds */
	long entries_max;
	struct recent_store *store;
	struct line_format *format;
	struct follower *logs[LOGS_MAX];
	size_t log_count;
	char *feed_path; /* NULL: none */
	struct feed_settings feed_settings;
	struct feed *feed;
	struct event *expiry;
	policy_changed changed;
	void *context;
	time_t since; /* of the state */
	uint64_t requests, skipped;
	uint64_t evicted; /* by former stores */
};

/* --- keys */

static void take_word(void *context, __u64 word)
{
	text_word **next = context;

	*(*next)++ = word_little(word);
}

/* Read the key of a URL of `length` bytes into `words`, KEY_WORDS of them. */
static struct recent_key key_of(const struct recent *recent, const char *url, size_t length,
				text_word *words)
{
	struct url_key key = url_key_of(&recent->form, url, length);
	size_t size = key.end - key.begin;
	text_word *next = words;

	words[size / ICP_WORD] = 0;
	words[size / ICP_WORD + 1] = 0;
	url_key_read(&key, (const __u8 *)url, length, take_word, &next);
	return (struct recent_key){ words, size };
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct recent *recent = policy->state;
	text_word words[KEY_WORDS];
	struct recent_key key = key_of(recent, query->url, query->length, words);
	bool has = recent_store_has(recent->store, key, clock_kernel_ns());

	return (struct policy_match){ .verdict = has ? policy->verdict : ICP_OP_INVALID };
}

/* Note a URL that was seen some seconds ago. Returns false if there is no memory. */
static bool note(const struct recent *recent, const char *url, size_t length, unsigned int age)
{
	uint64_t now = clock_kernel_ns();
	text_word words[KEY_WORDS];

	if (age >= recent->window)
		return true;
	return recent_store_put(recent->store, key_of(recent, url, length, words),
				now + (recent->window - age) * SECOND, now);
}

/* --- feeds */

/*
 * A line without a time counts as new: of such logs, only new lines are read (follower_settings).
 */
static unsigned int age_of(const struct recent *recent, const struct line_request *request)
{
	time_t now = time(NULL);

	if (!line_format_has_time(recent->format) || request->time >= now)
		return 0;
	return now - request->time < RECENT_WINDOW_MAX ? now - request->time : RECENT_WINDOW_MAX;
}

static void on_line(void *context, char *line, size_t length)
{
	struct recent *recent = context;
	struct line_request request;

	switch (line ? line_read(recent->format, line, length, &request) : LINE_NONSENSE) {
	case LINE_NONSENSE:
		recent->skipped++;
		break;
	case LINE_FAILED:
		break;
	case LINE_REQUEST:
		recent->requests++;
		note(recent, request.url, request.length, age_of(recent, &request));
		break;
	}
}

/* A newline at the end is no part of the URL: many tools write one. */
static void on_datagram(void *context, const char *text, size_t length)
{
	struct recent *recent = context;

	if (length && text[length - 1] == '\n')
		length--;
	if (!line_is_url(text, length)) {
		recent->skipped++;
		return;
	}
	recent->requests++;
	note(recent, text, length, 0);
}

static void on_log_changed(void *context)
{
	struct recent *recent = context;

	recent->since = time(NULL);
	recent->changed(recent->context, recent->policy);
}

static void on_expiry(evutil_socket_t fd, short what, void *context)
{
	struct recent *recent = context;
	struct timeval wait = { .tv_sec = EXPIRY / 1000 };

	if (recent_store_expire(recent->store, clock_kernel_ns(), EXPIRED_AT_ONCE) ==
	    EXPIRED_AT_ONCE)
		wait = (struct timeval){ .tv_usec = EXPIRY_MORE * 1000 };
	event_add(recent->expiry, &wait);
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct recent *recent = policy->state;
	int result = 0;

	recent->changed = changed;
	recent->context = context;
	recent->expiry = evtimer_new(base, on_expiry, recent);
	if (!recent->expiry)
		result = -1;
	for (size_t i = 0; i < recent->log_count && result == 0; i++)
		result = follower_start(recent->logs[i], base);
	if (result)
		return error_set(error, "policy '%s': out of memory", policy->name);
	event_active(recent->expiry, EV_TIMEOUT, 0);
	if (!recent->feed_path)
		return 0;
	recent->feed = feed_open(base, &recent->feed_settings, on_datagram, recent, error);
	return recent->feed ? 0 : error_prefix(error, "policy '%s': ", policy->name);
}

/* A log that the former policy has followed to the end is not read again. */
static void inherit_logs(struct recent *recent, const struct recent *before)
{
	for (size_t i = 0; i < recent->log_count; i++)
		for (size_t j = 0; j < before->log_count; j++)
			if (strcmp(follower_path(recent->logs[i]),
				   follower_path(before->logs[j])) == 0) {
				follower_inherit(recent->logs[i], before->logs[j]);
				break;
			}
}

static void inherit(struct policy *policy, const struct policy *old)
{
	struct recent *recent = policy->state;
	const struct recent *before = old->state;

	recent->requests = before->requests;
	recent->skipped = before->skipped;
	recent->evicted = before->evicted;
	if (memcmp(&recent->form, &before->form, sizeof(recent->form)) != 0 ||
	    recent->window != before->window || recent->entries_max != before->entries_max) {
		recent->evicted += recent_store_usage(before->store).evicted;
		return;
	}
	recent_store_unref(recent->store);
	recent->store = recent_store_ref(before->store);
	recent->since = before->since;
	inherit_logs(recent, before);
}

/* --- for operators */

/* The log in the worst state, or NULL if all can be read. */
static const struct follower *worst_log(const struct recent *recent)
{
	const struct follower *worst = NULL;
	enum follower_state state = FOLLOWER_READS;
	const char *unused;

	for (size_t i = 0; i < recent->log_count; i++) {
		if (follower_state(recent->logs[i], &unused) <= state)
			continue;
		worst = recent->logs[i];
		state = follower_state(worst, &unused);
	}
	return worst;
}

static void tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct recent *recent = policy->state;
	struct recent_usage usage = recent_store_usage(recent->store);
	const struct follower *log = worst_log(recent);
	const char *why = "";

	*state = (struct policy_state){ .name = "fed", .since = recent->since };
	if (log) {
		state->trouble = follower_state(log, &why) == FOLLOWER_CANNOT;
		state->name = state->trouble ? "a log cannot be read" : "waiting for a log";
		snprintf(state->why, sizeof(state->why), "%s%s%s; ", follower_path(log),
			 *why ? ": " : "", why);
	}
	snprintf(state->why + strlen(state->why), sizeof(state->why) - strlen(state->why),
		 "%zu of %zu %s", usage.entries, usage.entries_max,
		 plural(usage.entries_max, "key", "keys"));
	if (recent->skipped)
		snprintf(state->why + strlen(state->why), sizeof(state->why) - strlen(state->why),
			 ", %ju %s skipped", (uintmax_t)recent->skipped,
			 plural(recent->skipped, "line or datagram", "lines or datagrams"));
}

bool policy_is_recent(const struct policy *policy)
{
	return policy->kind == &policy_recent;
}

const struct url_key_form *policy_recent_form(const struct policy *policy)
{
	return &((const struct recent *)policy->state)->form;
}

size_t policy_recent_entries_max(const struct policy *policy)
{
	return ((const struct recent *)policy->state)->entries_max;
}

struct recent_store *policy_recent_store(const struct policy *policy)
{
	return ((const struct recent *)policy->state)->store;
}

int policy_recent_add(const struct policy *policy, const char *url, size_t length,
		      struct error *error)
{
	if (!line_is_url(url, length))
		return error_set(error, "'%.200s': a URL has 1 to %d bytes, and no white space",
				 url, RECENT_URL_MAX);
	return note(policy->state, url, length, 0) ? 0 : error_set(error, "out of memory");
}

bool policy_recent_remove(const struct policy *policy, const char *url, size_t length)
{
	const struct recent *recent = policy->state;
	text_word words[KEY_WORDS];

	return length <= RECENT_URL_MAX &&
	       recent_store_remove(recent->store, key_of(recent, url, length, words),
				   clock_kernel_ns());
}

static struct recent_store *new_store(const struct recent *recent)
{
	return recent_store_new(recent->window, recent->entries_max);
}

int policy_recent_flush(struct policy *policy, struct error *error)
{
	struct recent *recent = policy->state;
	struct recent_store *empty = new_store(recent);

	if (!empty)
		return error_set(error, "out of memory");
	recent->evicted += recent_store_usage(recent->store).evicted;
	recent_store_unref(recent->store);
	recent->store = empty;
	for (size_t i = 0; i < recent->log_count; i++)
		follower_skip(recent->logs[i]);
	return 0;
}

struct policy_recent_counts policy_recent_counts(const struct policy *policy)
{
	const struct recent *recent = policy->state;
	struct recent_usage usage = recent_store_usage(recent->store);

	return (struct policy_recent_counts){
		.keys = usage.entries,
		.keys_max = usage.entries_max,
		.bytes = usage.bytes,
		.requests = recent->requests,
		.skipped = recent->skipped,
		.evicted = recent->evicted + usage.evicted,
	};
}

struct list {
	policy_recent_tell tell;
	void *context;
	uint64_t seen_now; /* when a key expires that was seen now */
};

static bool tell_age(void *context, const char *key, size_t length, uint64_t expires)
{
	const struct list *list = context;

	return list->tell(list->context, key, length, (list->seen_now - expires) / SECOND);
}

void policy_recent_list(const struct policy *policy, policy_recent_tell tell, void *context)
{
	const struct recent *recent = policy->state;
	uint64_t now = clock_kernel_ns();
	struct list list = { tell, context, now + recent->window * SECOND };

	recent_store_list(recent->store, now, tell_age, &list);
}

/* --- settings */

/* Read a setting; `text` keeps its default if there is none. */
static int read_text(const struct policy_spec *spec, const char *key, const char **text,
		     const struct spec_value **value, struct error *error)
{
	if (policy_spec_text(spec, key, value, error) < 0)
		return -1;
	if (*value)
		*text = (*value)->text;
	return 0;
}

/* With a path behind it, it must make a URL that caches ask for: else no key would ever be found. */
static int check_part(const struct policy_spec *spec, const char *key,
		      const struct spec_value *value, const char *refused, const char *right,
		      struct error *error)
{
	if (!value || (*value->text && !strpbrk(value->text, refused)))
		return 0;
	return error_set(error, "%s: policy '%s': %s: '%s': write %s", value->where, spec->name,
			 key, value->text, right);
}

static int read_format(struct recent *recent, const struct policy_spec *spec, struct error *error)
{
	const struct spec_value *format_value = NULL, *scheme_value = NULL, *host_value = NULL;
	const char *format = "combined", *scheme = "http", *host = NULL;
	bool by_path =
		recent->form.kind == URL_KEY_PATH || recent->form.kind == URL_KEY_PATH_DIRECTORIES;

	if (read_text(spec, "format", &format, &format_value, error) ||
	    read_text(spec, "scheme", &scheme, &scheme_value, error) ||
	    read_text(spec, "host", &host, &host_value, error) ||
	    check_part(spec, "scheme", scheme_value, ":/?# ", "http or https alone", error) ||
	    check_part(spec, "host", host_value, "/?# ",
		       "the host alone, with its port if caches ask with one", error))
		return -1;
	if (!host && by_path)
		host = "any"; /* no part of the key */
	recent->format = line_format_new(format, scheme, host, error);
	if (!recent->format)
		return error_prefix(error, "%s: policy '%s': format: ",
				    format_value ? format_value->where : spec->where, spec->name);
	if (policy_spec_find(spec, "log") && !host && line_format_needs_host(recent->format))
		return error_set(error,
				 "%s: policy '%s': 'host' is missing: the lines of the log have "
				 "none; write the host (and port) that caches ask for",
				 spec->where, spec->name);
	return 0;
}

/* Each log has one place at which it is read, which a reload keeps. */
static int check_twice(const struct spec_setting *logs, const char *policy, struct error *error)
{
	for (size_t i = 0; i < logs->count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(logs->values[i].text, logs->values[j].text) == 0)
				return error_set(error,
						 "%s: policy '%s': log: '%s' is given twice; once "
						 "is enough",
						 logs->values[i].where, policy,
						 logs->values[i].text);
	return 0;
}

static int read_logs(struct recent *recent, const struct policy_spec *spec, struct error *error)
{
	const struct spec_setting *logs = policy_spec_find(spec, "log");

	if (logs && logs->count > LOGS_MAX)
		return error_set(error, "%s: policy '%s': log: at most %d logs",
				 logs->values[LOGS_MAX].where, spec->name, LOGS_MAX);
	if (logs && check_twice(logs, spec->name, error))
		return -1;
	for (size_t i = 0; logs && i < logs->count; i++) {
		const struct follower_settings settings = {
			.path = logs->values[i].text,
			.history = line_format_has_time(recent->format),
			.line = on_line,
			.changed = on_log_changed,
			.context = recent,
		};

		recent->logs[i] = follower_new(&settings, error);
		if (!recent->logs[i])
			return error_prefix(error, "%s: policy '%s': ", logs->values[i].where,
					    spec->name);
		recent->log_count++;
	}
	return 0;
}

static int read_mode(const struct policy_spec *spec, mode_t *mode, struct error *error)
{
	const struct spec_value *value = NULL;
	char *end = NULL;

	if (policy_spec_text(spec, "feed_mode", &value, error) < 0)
		return -1;
	*mode = value ? strtoul(value->text, &end, 8) : 0660;
	if (value && (end == value->text || *end || *mode > 0777))
		return error_set(
			error,
			"%s: policy '%s': feed_mode: '%s' is not a mode; write it in octal, "
			"such as 0660, or 0666 for all on this host",
			value->where, spec->name, value->text);
	return 0;
}

static int read_group(const struct policy_spec *spec, gid_t *gid, struct error *error)
{
	const struct spec_value *value = NULL;
	const struct group *group;

	*gid = (gid_t)-1;
	if (policy_spec_text(spec, "feed_group", &value, error) < 0)
		return -1;
	if (!value)
		return 0;
	errno = 0;
	group = getgrnam(value->text);
	if (!group)
		return error_set(error, "%s: policy '%s': feed_group: '%s': %s", value->where,
				 spec->name, value->text,
				 errno ? strerror(errno) : "there is no such group");
	*gid = group->gr_gid;
	return 0;
}

static int read_feed(struct recent *recent, const struct policy_spec *spec, struct error *error)
{
	struct feed_settings *settings = &recent->feed_settings;
	const struct spec_value *path = NULL;

	if (policy_spec_text(spec, "feed", &path, error) < 0 ||
	    read_mode(spec, &settings->mode, error) || read_group(spec, &settings->group, error))
		return -1;
	if (!path)
		return 0;
	if (path->text[0] != '/')
		return error_set(error,
				 "%s: policy '%s': feed: '%s' is not an absolute path; write it "
				 "from the root on",
				 path->where, spec->name, path->text);
	recent->feed_path = strdup(path->text);
	settings->path = recent->feed_path;
	return recent->feed_path ? 0 : error_set(error, "out of memory");
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct recent *recent;

	if (policy_need_verdict(policy, spec, error))
		return -1;
	recent = policy->state = calloc(1, sizeof(*recent));
	if (!recent)
		return error_set(error, "out of memory");
	recent->policy = policy;
	recent->entries_max = ENTRIES_DEFAULT;
	recent->since = time(NULL);
	if (policy_spec_key(spec, &recent->form, error) ||
	    policy_spec_seconds(spec, "window", 1, RECENT_WINDOW_MAX, &recent->window, error) < 0 ||
	    policy_spec_number(spec, "entries_max", 1, RECENT_ENTRIES_MAX, &recent->entries_max,
			       error) < 0 ||
	    read_format(recent, spec, error) || read_logs(recent, spec, error) ||
	    read_feed(recent, spec, error))
		return -1;
	recent->store = new_store(recent);
	return recent->store ? 0 : error_set(error, "out of memory");
}

static void destroy(struct policy *policy)
{
	struct recent *recent = policy->state;

	event_drop(recent->expiry);
	for (size_t i = 0; i < recent->log_count; i++)
		follower_free(recent->logs[i]);
	feed_close(recent->feed);
	line_format_free(recent->format);
	recent_store_unref(recent->store);
	free(recent->feed_path);
	free(recent);
}

static const struct policy_setting settings[] = {
	{ "log", "paths of access logs that are followed, up to 16", .list = true },
	{ "format", "format of the lines: common, combined, squid, or a pattern (PCRE2) with a "
		    "group (?<url>...); default combined" },
	{ "scheme", "scheme of the URLs where a line has only a path; default http" },
	{ "host", "likewise the host, with its port if caches ask with one; required for common "
		  "and combined, unless the key has no host" },
	{ "feed", "absolute path of a Unix datagram socket that receives URLs, one a datagram" },
	{ "feed_mode", "mode of the socket, in octal: who may send; default 0660" },
	{ "feed_group", "group of the socket; default: that of the daemon" },
	POLICY_KEY_SETTINGS,
	{ "window", "how long a key counts after it was seen, in whole seconds up to 24h",
	  .required = true },
	{ "entries_max", "number of keys, beyond which those seen longest ago are forgotten, 1 to "
			 "16777216; default 100000" },
	{ NULL },
};

const struct policy_kind policy_recent = {
	.name = "recent",
	.help = "a URL with the same key was handled within 'window'",
	.basis = POLICY_BASIS_RECENT,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.start = start,
	.inherit = inherit,
	.tell_state = tell_state,
};
