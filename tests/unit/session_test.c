// SPDX-License-Identifier: GPL-2.0-or-later
/* What a cluster's thread makes of etcd's replies: this member's lease and key, and the map. */
#include "cluster/registry.h"
#include "cluster/session.h"
#include "lib/base64.h"
#include "lib/clock.h"
#include "support/etcd_server.h"

#define PATIENCE 60 /* seconds */

TEST_ALL(etcd_server_open, etcd_server_close)

static struct session session;
static char directory[] = "/tmp/xdp-icp-etcd-XXXXXX";

static void open_session_with(etcd_server_reply reply, unsigned int ttl, unsigned int members_min)
{
	static char *endpoints[1];
	static struct cluster_settings settings = {
		.name = "site",
		.prefix = "/p",
		.self = "a",
		.addresses = "",
		.state = directory,
		.weight = 100,
		.etcd = { .endpoint_count = 1, .endpoints = endpoints },
	};
	struct error error;

	etcd_server_begin(reply);
	settings.ttl = ttl;
	settings.members_min = members_min;
	endpoints[0] = etcd_server.endpoint;
	strcpy(directory, "/tmp/xdp-icp-etcd-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(session_open(&session, &settings, &error), 0);
	session_read(&session);
}

static void open_session(etcd_server_reply reply)
{
	open_session_with(reply, 2000, 0);
}

FIXTURE(close_session)
{
	session_close(&session, false, 0);
	cluster_withdraw("site");
	unlink(formatted("%s/cluster-site", directory));
	return rmdir(directory);
}

TEST_EACH(NULL, close_session)

/* Step until a condition holds. */
#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		uint64_t end_ = clock_ns(CLOCK_MONOTONIC) + PATIENCE * 1000000000ull;              \
                                                                                                   \
		while (!(condition) && clock_ns(CLOCK_MONOTONIC) < end_) {                         \
			event_base_loop(etcd_server.base, EVLOOP_NONBLOCK);                        \
			session_step(&session, 1);                                                 \
		}                                                                                  \
		assert_true(condition);                                                            \
	} while (0)

/* Write a key below the prefix, and more members of its object. */
static void add_key(struct evbuffer *to, const char *key, size_t length, const char *more)
{
	char whole[64] = "/p/", *text;

	memcpy(whole + 3, key, length);
	text = base64_encode(whole, length + 3);
	evbuffer_add_printf(to, "{\"key\":\"%s\"%s}", text, more);
	free(text);
}

/* All calls go well. The lease lasts longer than a number of milliseconds can tell. */
static bool reply_well(const struct etcd_request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "lease/grant") == 0)
		etcd_server_respond(response, "200 OK",
				    "{\"ID\":\"7\",\"TTL\":\"18446744073709551615\"}");
	else if (strcmp(request->path, "lease/keepalive") == 0)
		etcd_server_respond(
			response, "200 OK",
			"{\"result\":{\"ID\":\"7\",\"TTL\":\"18446744073709551615\",\"header\":{"
			"\"revision\":\"99\"}}"
			"}");
	else if (strcmp(request->path, "kv/txn") == 0)
		etcd_server_respond(response, "200 OK", "{\"succeeded\":true}");
	else if (strcmp(request->path, "watch") == 0)
		evbuffer_add_printf(response, ETCD_SERVER_OK "\r\n{\"result\":{\"created\":true,"
							     "\"header\":{\"revision\":\"8\"}}}\n");
	else
		etcd_server_respond(response, "200 OK", "{\"header\":{\"revision\":\"5\"}}");
	return false;
}

/* Pages without an end, of malformed keys. */
static bool reply_pages(const struct etcd_request *request, struct evbuffer *response)
{
	struct evbuffer *body;
	char key[16];

	if (strcmp(request->path, "kv/range") != 0)
		return reply_well(request, response);
	body = evbuffer_new();
	evbuffer_add_printf(body, "{\"header\":{\"revision\":\"5\"},\"more\":true,\"kvs\":[");
	for (int i = 0; i < 60000; i++) {
		add_key(body, "x", 1, "");
		evbuffer_add(body, ",", 1);
	}
	add_key(body, key, (size_t)sprintf(key, "y%08u", etcd_server.stage++), "");
	evbuffer_add(body, "]}", 2);
	evbuffer_add_printf(response, ETCD_SERVER_OK "Content-Length: %zu\r\n\r\n",
			    evbuffer_get_length(body));
	evbuffer_add_buffer(response, body);
	evbuffer_free(body);
	return false;
}

TEST(pages_without_an_end)
{
	open_session(reply_pages);
	UNTIL(strstr(session.status.error.text, "are malformed; is 'prefix' right?"));
	assert_int_equal(session.status.reads, 0);
}

/* The same page again and again. */
static bool reply_page(const struct etcd_request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "kv/range") != 0)
		return reply_well(request, response);
	etcd_server_respond(response, "200 OK",
			    "{\"header\":{\"revision\":\"5\"},\"more\":true,\"kvs\":[{\"key\":"
			    "\"L3AvbWVtYmVycy9i\",\"value\":\"eyJ3ZWlnaHQiOiAxfQ==\"}]}");
	return false;
}

TEST(pages_that_do_not_advance)
{
	open_session(reply_page);
	UNTIL(strstr(session.status.error.text, "a page that does not advance"));
	assert_int_equal(session.status.reads, 0);
}

/* A change comes in parts, and the watch ends in between; the next one is noted. */
static bool reply_part(const struct etcd_request *request, struct evbuffer *response)
{
	bool close = reply_well(request, response);

	if (strcmp(request->path, "watch") != 0)
		return close;
	if (etcd_server.stage++) {
		snprintf(etcd_server.seen[0], sizeof(etcd_server.seen[0]), "%.63s",
			 strstr(request->body, "\"start_revision\""));
		return false;
	}
	evbuffer_add_printf(response, "{\"result\":{\"fragment\":true,\"events\":[{\"kv\":");
	add_key(response, "members/b", 9,
		",\"value\":\"eyJ3ZWlnaHQiOiAxfQ==\",\"mod_revision\":\"8\"");
	evbuffer_add_printf(response, "}]}}\n{\"result\":{\"canceled\":true}}\n");
	return false;
}

TEST(the_rest_of_a_change_is_asked_for)
{
	open_session(reply_part);
	UNTIL(etcd_server.stage == 2);
	assert_memory_equal(etcd_server.seen[0], "\"start_revision\":\"6\"", 20);
}

static uint64_t received; /* milliseconds: when a lease was asked for */

static bool reply_late(const struct etcd_request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "lease/grant") == 0) {
		received = etcd_now();
		usleep(50000);
		etcd_server_respond(response, "200 OK", "{\"ID\":\"7\",\"TTL\":\"2\"}");
		return false;
	}
	return reply_well(request, response);
}

/* It may have begun as soon as it was asked for, however late the reply. */
TEST(a_lease_lasts_from_the_request_on)
{
	open_session(reply_late);
	UNTIL(session.presence.lease);
	assert_in_range(session.presence.valid_until, received, received + 2000);
}

/* Each watch finds the changes compacted, or itself behind what was read. */
static bool reply_behind(const struct etcd_request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "watch") != 0)
		return reply_well(request, response);
	evbuffer_add_printf(response, ETCD_SERVER_OK "\r\n%s\n",
			    etcd_server.stage++ % 2 ? "{\"result\":{\"canceled\":true,"
						      "\"compact_revision\":\"9\"}}"
						    : "{\"result\":{\"created\":true,"
						      "\"header\":{\"revision\":\"4\"}}}");
	return false;
}

TEST(reading_again_has_pauses)
{
	uint64_t begun = etcd_now();

	open_session(reply_behind);
	UNTIL(session.status.reads == 3);
	assert_true(etcd_now() - begun >= 1000);
}

/* No page is there any more. */
static bool reply_compacted(const struct etcd_request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "kv/range") != 0)
		return reply_well(request, response);
	etcd_server.stage++;
	etcd_server_respond(response, "400 Bad Request", "{\"code\":11,\"message\":\"compacted\"}");
	return false;
}

TEST(beginning_again_has_pauses)
{
	uint64_t begun = etcd_now();

	open_session(reply_compacted);
	UNTIL(etcd_server.stage == 3);
	assert_true(etcd_now() - begun >= 1000);
	assert_int_equal(session.status.reads, 0);
}

/* Each lease is over before the key is put. */
static bool reply_short_lease(const struct etcd_request *request, struct evbuffer *response)
{
	etcd_server.stage += strcmp(request->path, "lease/grant") == 0;
	if (strcmp(request->path, "kv/txn") != 0)
		return reply_well(request, response);
	etcd_server_respond(response, "404 Not Found",
			    "{\"code\":5,\"message\":\"etcdserver: requested lease not found\"}");
	return false;
}

TEST(taking_leases_has_pauses)
{
	uint64_t begun = etcd_now();

	open_session(reply_short_lease);
	UNTIL(etcd_server.stage == 4);
	assert_true(etcd_now() - begun >= 50 + 100 + 200);
	assert_non_null(strstr(session.status.error.text, "the lease of member 'a' is lost"));
}

/* The key is refused. `stage` has the keepalives since it was put last. */
static bool reply_full(const struct etcd_request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "lease/keepalive") == 0)
		etcd_server.stage++;
	if (strcmp(request->path, "kv/txn") != 0)
		return reply_well(request, response);
	etcd_server.stage = 0;
	etcd_server_respond(
		response, "429 Too Many Requests",
		"{\"code\":8,\"message\":\"etcdserver: mvcc: database space exceeded\"}");
	return false;
}

/* The lease is kept alive while the key is put less and less often. */
TEST(a_key_that_is_refused)
{
	open_session_with(reply_full, 600, 0);
	UNTIL(etcd_server.stage == 3);
	assert_false(session.status.registered);
	assert_int_equal(session.presence.lease, 7);
}

/* A watch that tells its progress, and then nothing. */
static bool reply_progress(const struct etcd_request *request, struct evbuffer *response)
{
	reply_well(request, response);
	if (strcmp(request->path, "watch") == 0) {
		assert_non_null(strstr(request->body, "\"progress_notify\":true"));
		evbuffer_add_printf(response, "{\"result\":{\"header\":{\"revision\":\"9\"}}}\n");
		etcd_server.stage++;
	}
	return false;
}

TEST(a_watch_that_is_silent)
{
	open_session(reply_progress);
	UNTIL(session.status.watching && session.status.registered);
	session.view.next = etcd_now(); /* the time has passed */
	UNTIL(etcd_server.stage == 2 && session.status.watching);
	assert_int_equal(session.status.reads, 1);
	assert_int_equal(session.status.failures, 0);
}

/* `stage` has the number of keepalives. */
static bool reply_alive(const struct etcd_request *request, struct evbuffer *response)
{
	etcd_server.stage += strcmp(request->path, "lease/keepalive") == 0;
	return reply_well(request, response);
}

/* That etcd's map is up to date confirms no other. */
TEST(a_map_that_is_not_used_is_not_confirmed)
{
	open_session_with(reply_alive, 600, 1);
	UNTIL(session.status.watching && session.status.below_floor);
	etcd_server.stage = 0;
	UNTIL(etcd_server.stage == 3);
	assert_int_equal(session.status.confirmed, 0);
}

/* Events, of which the last one ends the watch; then a watch that lasts. */
static bool reply_events(const struct etcd_request *request, struct evbuffer *response)
{
	bool close = reply_well(request, response);

	if (strcmp(request->path, "watch") != 0)
		return close;
	if (strstr(request->body, "\"start_revision\":\"6\"")) {
		evbuffer_add_printf(response, "{\"result\":{\"events\":[{\"kv\":");
		add_key(response, "members/a\0b", 11, ",\"mod_revision\":\"6\"");
		evbuffer_add_printf(response, "},{\"kv\":");
		add_key(response, "members/b", 9,
			",\"value\":\"eyJ3ZWlnaHQiOiAxfQ==\",\"mod_revision\":\"8\"");
		evbuffer_add_printf(response, "}]}}\n{\"result\":{\"canceled\":true,"
					      "\"cancel_reason\":\"for a test\"}}\n");
	}
	return false;
}

TEST(a_watch_that_is_cancelled)
{
	open_session(reply_events);
	UNTIL(session.map && session.map->member_count == 1 && session.status.watching &&
	      session.view.revision == 8);
	assert_string_equal(session.map->members[0].name, "b");
	assert_int_equal(session.status.reads, 1);
	assert_int_equal(session.status.bad_keys, 1);
	assert_int_equal(session.status.failures, 1);
	UNTIL(session.status.registered);
	assert_false(session.status.isolated);
	assert_true(session.presence.valid_until <= etcd_now() + 86400 * 1000ull);
}
