// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A lease is taken over from the file, so that a restart in time changes nothing, or else a new one
 * is requested. Then the key is put, unless another member has put it, and the lease is kept alive.
 * Each call also shows whether the endpoint works.
 */
#include <string.h>

#include "cluster/etcd_json.h"
#include "cluster/session.h"

#define KEEPALIVES 3	  /* in the time of a lease */
#define RECHECK_PAUSE 200 /* milliseconds before a key that was changed is put again */
#define TTL_MAX 86400	  /* seconds that are believed */

static unsigned int ttl_seconds(const struct session *session)
{
	return (session->settings->ttl + 999) / 1000;
}

/* Note that the lease is there, as of a call that began then. */
static void extend(struct session *session, const struct etcd_result *result, uint64_t ttl)
{
	struct presence *presence = &session->presence;

	presence->valid_until = result->sent + (ttl < TTL_MAX ? ttl : TTL_MAX) * 1000;
	presence->next = result->sent + session->settings->ttl / KEEPALIVES;
	session->status.lease = presence->lease;
}

/* Note etcd's error, and when to try again. A lease is kept alive until then. */
static void retry(struct session *session, const struct error *error)
{
	struct presence *presence = &session->presence;
	uint64_t keepalive = etcd_now() + session->settings->ttl / KEEPALIVES;

	presence->claim_next = session_retry(session, presence->refusals++, error);
	presence->next = presence->claim_next;
	if (presence->lease && keepalive < presence->next)
		presence->next = keepalive;
}

static void lose(struct session *session)
{
	struct presence *presence = &session->presence;
	struct error error;

	error_set(&error, "the lease of member '%s' is lost; requesting a new one",
		  session->settings->self);
	presence->lease = 0;
	presence->written = false;
	presence->claims = false;
	retry(session, &error);
	session->status.lease = 0;
	session->status.registered = false;
	/* etcd has forgotten more than that if it was wiped. */
	view_begin(session, true, presence->next);
}

/* Deal with a reply that is an error. True: it is none. */
static bool succeeded(struct session *session, const struct etcd_result *result)
{
	struct presence *presence = &session->presence;

	presence->asked = false;
	if (result->outcome == ETCD_UNREACHABLE) {
		session_unreachable(session, &result->error);
		return false;
	}
	if (result->outcome != ETCD_NOT_SENT)
		session_reached(session);
	if (result->outcome == ETCD_OK)
		return true;
	retry(session, &result->error);
	return false;
}

static void on_kept(void *context, const struct etcd_result *result)
{
	struct session *session = session_of(context, presence);
	const json_t *reply = json_object_get(result->reply, "result");
	uint64_t ttl = etcd_number(reply, "TTL");

	if (!succeeded(session, result))
		return;
	if (!ttl) {
		lose(session);
		return;
	}
	extend(session, result, ttl);
	if (!session->presence.written && etcd_now() >= session->presence.claim_next) {
		session->presence.claims = true;
		session->presence.next = etcd_now();
	}
	if (session->view.state == VIEW_WATCHES)
		session->failures = 0;
	view_confirm(session, etcd_number(json_object_get(reply, "header"), "revision"),
		     session->presence.seen);
}

static void on_granted(void *context, const struct etcd_result *result)
{
	struct session *session = session_of(context, presence);
	uint64_t lease = etcd_number(result->reply, "ID"), ttl = etcd_number(result->reply, "TTL");

	if (!succeeded(session, result))
		return;
	if (!lease || !ttl) {
		struct error error;

		error_set(&error, "%s: a lease without an ID or a TTL",
			  etcd_endpoint(session->etcd));
		session_unreachable(session, &error);
		return;
	}
	session->presence.lease = lease;
	session->presence.claims = true;
	extend(session, result, ttl);
	session->presence.next = etcd_now();
	if (session->map)
		saved_map_put(&session->saved, session->map, lease);
}

/* --- the key */

static json_t *key_of(const struct session *session)
{
	char key[sizeof("members/") + MEMBERSHIP_NAME_MAX];
	int length = snprintf(key, sizeof(key), "members/%s", session->settings->self);

	return session_key(session, key, (size_t)length);
}

/* The value of the key, a put of it, and the condition that it is ours or not there. */
static json_t *put_request(const struct session *session)
{
	const struct cluster_member member = {
		.name = session->settings->self,
		.weight = session->settings->weight,
		.version = XDP_ICP_VERSION,
		.addresses = session->settings->addresses,
	};
	char *value = membership_member_value(&member);
	json_t *put = json_pack("{s:{s:o, s:o, s:o}}", "requestPut", "key", key_of(session),
				"value", value ? etcd_make_bytes(value, strlen(value)) : NULL,
				"lease", etcd_make_number(session->presence.lease));

	free(value);
	return put;
}

static json_t *condition(const struct session *session, const char *target, const char *member,
			 uint64_t number)
{
	return json_pack("{s:o, s:s, s:s, s:o}", "key", key_of(session), "target", target, "result",
			 "EQUAL", member, etcd_make_number(number));
}

/* Put the key if there is none; else, if it is under this lease; else get it. */
static json_t *claim(const struct session *session)
{
	json_t *ours =
		json_pack("{s:[o], s:[o], s:[{s:{s:o}}]}", "compare",
			  condition(session, "LEASE", "lease", session->presence.lease), "success",
			  put_request(session), "failure", "requestRange", "key", key_of(session));

	return json_pack("{s:[o], s:[o], s:[{s:o}]}", "compare",
			 condition(session, "CREATE", "create_revision", 0), "success",
			 put_request(session), "failure", "requestTxn", ours);
}

/* Say who has the key. */
static void tell_owner(struct session *session, const json_t *inner)
{
	const json_t *range = json_object_get(
		json_array_get(json_object_get(inner, "responses"), 0), "response_range");
	const json_t *key = json_array_get(json_object_get(range, "kvs"), 0);
	size_t length = 0;
	char *value = etcd_bytes(key, "value", &length);
	struct error error;

	error_set(&error,
		  "another member has the name of this one, '%s': %.200s; give each member a name "
		  "of its own, or wait until the lease of the former expires",
		  session->settings->self, value ? value : "");
	free(value);
	retry(session, &error);
}

static void on_claimed(void *context, const struct etcd_result *result)
{
	struct session *session = session_of(context, presence);
	struct presence *presence = &session->presence;
	const json_t *inner;

	/* The lease may have ended in between. */
	if (result->outcome == ETCD_REFUSED && strstr(result->error.text, "lease not found")) {
		presence->asked = false;
		lose(session);
		return;
	}
	if (!succeeded(session, result))
		return;
	inner = json_object_get(json_array_get(json_object_get(result->reply, "responses"), 0),
				"response_txn");
	if (!json_is_true(json_object_get(result->reply, "succeeded")) &&
	    !json_is_true(json_object_get(inner, "succeeded"))) {
		tell_owner(session, inner);
		return;
	}
	if (presence->disturbed) { /* before this reply has come, but after it was made */
		presence->claims = true;
		presence->next = etcd_now() + RECHECK_PAUSE;
		return;
	}
	presence->written = true;
	presence->refusals = 0;
	presence->next = result->sent + session->settings->ttl / KEEPALIVES;
	session->status.registered = true;
	session->status.error.text[0] = '\0';
}

/* --- steps */

/* Ask for what comes next. A lease whose key is another's is kept alive as well. */
static void ask(struct session *session)
{
	struct presence *presence = &session->presence;
	unsigned int timeout = session_timeout(session);
	bool claims = presence->claims;

	presence->asked = true;
	presence->claims = false;
	presence->seen = session->view.revision;
	presence->disturbed = false;
	if (!presence->lease)
		etcd_call(session->etcd, "lease/grant",
			  json_pack("{s:o}", "TTL", etcd_make_number(ttl_seconds(session))),
			  timeout, on_granted, presence);
	else if (claims)
		etcd_call(session->etcd, "kv/txn", claim(session), timeout, on_claimed, presence);
	else
		etcd_call(session->etcd, "lease/keepalive",
			  json_pack("{s:o}", "ID", etcd_make_number(presence->lease)), timeout,
			  on_kept, presence);
}

void presence_begin(struct session *session, uint64_t when)
{
	session->presence.asked = false;
	session->presence.claims = false;
	session->presence.next = when;
}

void presence_step(struct session *session, uint64_t now)
{
	if (!session->presence.asked && now >= session->presence.next)
		ask(session);
}

void presence_recheck(struct session *session)
{
	struct presence *presence = &session->presence;

	presence->disturbed = true;
	if (!presence->written)
		return;
	presence->written = false;
	presence->claims = true;
	session->status.registered = false;
	if (!presence->asked)
		presence->next = etcd_now() + RECHECK_PAUSE;
}

static void on_revoked(void *context, const struct etcd_result *result)
{
	struct session *session = session_of(context, presence);

	if (result->outcome != ETCD_OK)
		log_write(LOG_INFO, "cluster '%s': the lease is left to expire: %s",
			  session->settings->name, result->error.text);
	session->presence.lease = 0;
}

void presence_leave(struct session *session)
{
	etcd_call(session->etcd, "lease/revoke",
		  json_pack("{s:o}", "ID", etcd_make_number(session->presence.lease)),
		  session_timeout(session), on_revoked, &session->presence);
}
