// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All keys are read in pages of one revision; then a watch reports what has changed since. If it
 * ends, it is resumed after the last change that was seen. All is read again if etcd has compacted
 * what would come next, has lost this member's lease, or is behind what was seen: then it was
 * wiped, or restored.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/etcd_json.h"
#include "cluster/session.h"
#include "lib/escape.h"

/* etcd looks at all that is behind a page, so large ones are better; most have no more than 16 MiB. */
#define PAGE_MAX 60000 /* keys */
#define PAGE_MIN 1000  /* keys, of the pages that are made smaller because they take long */
#define PAGE_SHARE 4   /* of the time of a short call, which waits for a page that is processed */
#define KEYS_MAX (MEMBERSHIP_ASSIGNMENTS_MAX + 3 * MEMBERSHIP_MEMBERS_MAX)
#define BAD_KEYS_MAX 100000u /* malformed ones, in a read */
#define READ_PAUSE 500	     /* milliseconds before all is read again */
#define BEHIND_MAX 3	     /* watches in a row that begin behind what was seen, before that */
#define PAGE_TIMEOUT 30000   /* milliseconds; whether etcd lives is known earlier (presence.c) */
#define WATCH_TIMEOUT 5000   /* milliseconds until it begins */
#define KEY_SHOWN 64	     /* bytes */
#define CHANGES_MAX 100000   /* of a watch, before they are made into a map in any case */
#define LOGGED_BAD_KEYS 10   /* in a period (log.h) */

/*
 * Milliseconds without a line after which a watch is taken for dead. etcd reports its progress
 * every 10 or 11 minutes, but skips the report in a period with a change.
 */
#define WATCH_SILENCE (25 * 60000)

/* --- keys */

/* Log and count a malformed key. */
static void tell_bad_key(struct session *session, const char *key, size_t length,
			 const struct error *error)
{
	char *escaped = escape(key, length < KEY_SHOWN ? length : KEY_SHOWN);
	char more[LOG_LIMIT_TEXT];

	session->view.bad_keys++;
	error_write(&session->status.bad_key, "%s/%s%s: %s", session->settings->prefix,
		    escaped ? escaped : "", length > KEY_SHOWN ? "..." : "", error->text);
	free(escaped);
	if (log_limit_allows(&session->bad_keys, LOGGED_BAD_KEYS, more))
		log_write(LOG_WARNING, "cluster '%s': key %s; it changes nothing%s",
			  session->settings->name, session->status.bad_key.text, more);
}

/* Is it this member's key? It has a NUL behind it. */
static bool is_own_key(const struct session *session, const char *key, size_t length)
{
	const char *self = session->settings->self;

	return length == strlen("members/") + strlen(self) &&
	       strncmp(key, "members/", strlen("members/")) == 0 &&
	       strcmp(key + strlen("members/"), self) == 0;
}

/* Note one of etcd's keys, which was set or deleted. -1: out of memory. */
static int add_key(struct session *session, const json_t *kv, bool deleted)
{
	size_t head = strlen(session->settings->prefix) + 1, key_length = 0, value_length = 0;
	char *key = etcd_bytes(kv, "key", &key_length);
	char *value = etcd_bytes(kv, "value", &value_length);
	struct error error;

	if (!key || !value || key_length < head) {
		free(key);
		free(value);
		return -1;
	}
	/* A lack of room is told when a map is made of them. */
	if (membership_changes_add(session->view.changes, key + head, key_length - head,
				   deleted ? NULL : value, value_length, &error) &&
	    !membership_changes_lack(session->view.changes))
		tell_bad_key(session, key + head, key_length - head, &error);
	if (is_own_key(session, key + head, key_length - head) &&
	    etcd_number(kv, "lease") != session->presence.lease)
		presence_recheck(session);
	free(key);
	free(value);
	return 0;
}

static void fail_with(struct session *session, const char *why)
{
	struct error error;

	error_set(&error, "%s: %s", etcd_endpoint(session->etcd), why);
	session_unreachable(session, &error);
}

/* After an error of etcd: to the next endpoint, or try again later. */
static void view_failed(struct session *session, const struct etcd_result *result, bool whole)
{
	struct view *view = &session->view;
	uint64_t when = etcd_now();

	if (result->outcome == ETCD_UNREACHABLE) {
		session_unreachable(session, &result->error);
		return;
	}
	if (result->outcome != ETCD_NOT_SENT)
		session_reached(session);
	if (result->outcome != ETCD_COMPACTED)
		when = session_retry(session, view->refusals++, &result->error);
	else if (view->state == VIEW_READS)
		when += READ_PAUSE;
	view_begin(session, whole, when);
}

static json_t *range_end(const struct session *session)
{
	/* The byte behind the slash. */
	char *end = NULL;
	int length = asprintf(&end, "%s0", session->settings->prefix);
	json_t *json = length < 0 ? NULL : etcd_make_bytes(end, (size_t)length);

	free(end);
	return json;
}

/* --- the watch */

static void on_events(struct session *session, const json_t *result)
{
	struct view *view = &session->view;
	const json_t *event;
	uint64_t last = view->revision;
	size_t i;

	json_array_foreach (json_object_get(result, "events"), i, event) {
		const json_t *kv = json_object_get(event, "kv");
		const char *type = json_string_value(json_object_get(event, "type"));
		uint64_t revision = etcd_number(kv, "mod_revision");

		if (add_key(session, kv, type && strcmp(type, "DELETE") == 0)) {
			fail_with(session, "a malformed event");
			return;
		}
		if (revision > last)
			last = revision;
	}
	/* The rest of a change that comes in parts must be asked for as well. */
	if (!json_is_true(json_object_get(result, "fragment")))
		view->revision = last;
}

static void on_line(void *context, const json_t *result)
{
	struct session *session = session_of(context, view);
	struct view *view = context;
	const char *reason = json_string_value(json_object_get(result, "cancel_reason"));

	if (etcd_number(result, "compact_revision")) {
		session_log(session, LOG_NOTICE,
			    "etcd has compacted the changes; reading all keys again");
		view_begin(session, true, etcd_now());
	} else if (json_is_true(json_object_get(result, "canceled"))) {
		etcd_forget_token(session->etcd);
		fail_with(session, reason ? reason : "the server cancelled the watch");
	} else if (json_is_true(json_object_get(result, "created"))) {
		session_reached(session);
		view->state = VIEW_WATCHES;
		view->refusals = 0;
		view_confirm(session, etcd_number(json_object_get(result, "header"), "revision"),
			     view->revision);
	} else {
		on_events(session, result);
	}
	if (view->state == VIEW_WATCHES)
		view->next = etcd_now() + WATCH_SILENCE;
}

static void on_watch_end(void *context, const struct etcd_result *result)
{
	const struct view *view = context;

	view_failed(session_of(context, view), result,
		    result->outcome == ETCD_COMPACTED || result->outcome == ETCD_TOO_LARGE ||
			    view->whole);
}

static void watch(struct session *session, uint64_t now)
{
	struct view *view = &session->view;
	json_t *create = json_pack("{s:o, s:o, s:o, s:b, s:b}", "key", session_key(session, "", 0),
				   "range_end", range_end(session), "start_revision",
				   etcd_make_number(view->revision + 1), "fragment", true,
				   "progress_notify", true);

	view->state = VIEW_BEGINS;
	view->next = now + WATCH_TIMEOUT;
	etcd_stream(session->etcd, "watch", json_pack("{s:o}", "create_request", create), on_line,
		    on_watch_end, view);
}

/* --- reading all */

static void read_page(struct session *session);

/* The pages are complete. */
static void have_all(struct session *session)
{
	struct view *view = &session->view;
	struct membership_changes *changes = view->changes;

	if (view->reading < view->revision)
		session_log(session, LOG_WARNING,
			    "etcd is at revision %llu, and was at %llu: it was wiped or restored",
			    (unsigned long long)view->reading, (unsigned long long)view->revision);
	view->changes = NULL;
	view->revision = view->reading;
	view->whole = false;
	view->read_next = etcd_now() + READ_PAUSE;
	session->status.reads++;
	view->changes = membership_changes_new(false);
	if (view->changes)
		watch(session, etcd_now());
	else
		fail_with(session, "out of memory");
	session_update(session, changes, true);
	if (view->state == VIEW_BEGINS) /* a large map takes longer than etcd */
		view->next = etcd_now() + WATCH_TIMEOUT;
}

static void too_many(struct session *session)
{
	bool bad = session->view.bad_keys > BAD_KEYS_MAX;
	struct error error;

	error_set(&error, "%s: more than %u keys below %s%s", etcd_endpoint(session->etcd),
		  bad ? BAD_KEYS_MAX : KEYS_MAX, session->settings->prefix,
		  bad ? " are malformed; is 'prefix' right?" : "");
	view_begin(session, true, session_retry(session, session->view.refusals++, &error));
}

/* The next page begins behind the last key of this one. -1: that is none, or not behind the former. */
static int move_on(struct view *view, const json_t *kvs)
{
	size_t count = json_array_size(kvs), length, common;
	char *key = count ? etcd_bytes(json_array_get(kvs, count - 1), "key", &length) : NULL;
	int order = 1;

	if (!key)
		return -1;
	if (view->cursor) {
		common = length < view->cursor_length ? length : view->cursor_length;
		order = memcmp(key, view->cursor, common);
		if (!order)
			order = length >= view->cursor_length ? 1 : -1;
	}
	free(view->cursor);
	view->cursor = key;
	view->cursor_length = length + 1; /* with a NUL */
	return order > 0 ? 0 : -1;
}

static void on_page(void *context, const struct etcd_result *result)
{
	struct session *session = session_of(context, view);
	struct view *view = context;
	const json_t *kvs = json_object_get(result->reply, "kvs"), *kv;
	/* What exceeds the room will be refused as a whole. */
	bool more = json_is_true(json_object_get(result->reply, "more")) &&
		    !membership_changes_lack(view->changes);
	size_t i;

	if (result->outcome == ETCD_TOO_LARGE && view->page > 1) {
		view->page /= 2;
		read_page(session);
		return;
	}
	if (result->outcome != ETCD_OK) {
		view_failed(session, result, true);
		return;
	}
	session_reached(session);
	if (!view->reading)
		view->reading = etcd_number(json_object_get(result->reply, "header"), "revision");
	if (more &&
	    (membership_changes_count(view->changes) > KEYS_MAX || view->bad_keys > BAD_KEYS_MAX)) {
		too_many(session);
		return;
	}
	if (more && move_on(view, kvs)) {
		fail_with(session, "a page that does not advance");
		return;
	}
	/* etcd makes the next page while this one is processed. */
	if (more) {
		read_page(session);
		etcd_send(session->etcd);
	}
	json_array_foreach (kvs, i, kv) {
		if (add_key(session, kv, false) == 0)
			continue;
		fail_with(session, "a malformed key");
		return;
	}
	if (view->page > PAGE_MIN &&
	    etcd_now() - etcd_woken(session->etcd) > session_timeout(session) / PAGE_SHARE)
		view->page /= 2; /* or keepalives would come too late */
	if (!more)
		have_all(session);
}

static void read_page(struct session *session)
{
	struct view *view = &session->view;
	json_t *key = view->cursor ? etcd_make_bytes(view->cursor, view->cursor_length)
				   : session_key(session, "", 0);
	json_t *body = json_pack("{s:o, s:o, s:o}", "key", key, "range_end", range_end(session),
				 "limit", etcd_make_number(view->page));

	if (view->reading && body)
		json_object_set_new(body, "revision", etcd_make_number(view->reading));
	etcd_call(session->etcd, "kv/range", body, PAGE_TIMEOUT, on_page, view);
}

static void read_all(struct session *session)
{
	struct view *view = &session->view;

	view->state = VIEW_READS;
	view->reading = 0;
	view->page = PAGE_MAX;
	view->bad_keys = 0;
	session->status.bad_key.text[0] = '\0';
	free(view->cursor);
	view->cursor = NULL;
	membership_changes_free(view->changes);
	view->changes = membership_changes_new(true);
	if (view->changes)
		read_page(session);
	else
		fail_with(session, "out of memory");
}

/* --- steps */

void view_begin(struct session *session, bool whole, uint64_t when)
{
	struct view *view = &session->view;

	etcd_drop(session->etcd, view);
	view->whole = view->whole || whole || view->state == VIEW_READS;
	view->state = VIEW_IDLE;
	view->next = view->whole && when < view->read_next ? view->read_next : when;
	session->status.watching = false;
}

/*
 * Make a map of the changes that have arrived, no more often than is reasonable for their number.
 */
static void flush(struct session *session, uint64_t now)
{
	struct view *view = &session->view;
	struct membership_changes *changes = view->changes;
	size_t count = changes ? membership_changes_count(changes) : 0;

	if (view->state == VIEW_READS || view->whole || !count ||
	    (now < session->make_next && count < CHANGES_MAX))
		return;
	view->changes = membership_changes_new(false);
	if (view->changes)
		session_update(session, changes, false);
	else
		view->changes = changes;
}

void view_step(struct session *session, uint64_t now)
{
	struct view *view = &session->view;

	if (view->state == VIEW_BEGINS && now >= view->next)
		fail_with(session, "no reply to a watch");
	else if (view->state == VIEW_IDLE && now >= view->next && view->whole)
		read_all(session);
	else if (view->state == VIEW_IDLE && now >= view->next)
		watch(session, now);
	else if (view->state == VIEW_WATCHES && now >= view->next)
		view_begin(session, false, now); /* its connection may have died silently */
	session->status.watching = view->state == VIEW_WATCHES;
	session->status.bad_keys = view->bad_keys;
	flush(session, now);
}

uint64_t view_due(const struct session *session)
{
	const struct view *view = &session->view;

	if (view->state == VIEW_READS)
		return UINT64_MAX;
	return view->state == VIEW_WATCHES && membership_changes_count(view->changes) &&
			       session->make_next < view->next
		       ? session->make_next
		       : view->next;
}

void view_confirm(struct session *session, uint64_t revision, uint64_t seen)
{
	struct view *view = &session->view;

	if (view->state != VIEW_WATCHES)
		return;
	if (revision < seen) {
		/* Wiped or restored; or a member of etcd that lags behind the one asked before. */
		view_begin(session, view->behind++ >= BEHIND_MAX, etcd_now() + READ_PAUSE);
		return;
	}
	view->behind = 0;
	if (session->fresh) /* that is not the map in use */
		return;
	session->status.confirmed = time(NULL);
	if (session->map)
		saved_map_confirm(&session->saved, session->map, session->presence.lease,
				  etcd_now());
}

void view_end(struct session *session)
{
	membership_changes_free(session->view.changes);
	free(session->view.cursor);
}
