// SPDX-License-Identifier: GPL-2.0-or-later
/* The client of etcd, and what a cluster makes of it, against a server that says what a test wants. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "cluster/registry.h"
#include "cluster/session.h"
#include "lib/base64.h"
#include "lib/clock.h"
#include "support/chains.h"

#define PATIENCE 60 /* seconds */
#define HEAD "HTTP/1.1 200 OK\r\n"
#define MEMORY_MAX (1000u << 20) /* bytes: far less than jansson needs for what is refused */

/* --- the server */

struct request {
	const char *path; /* behind "/v3/" */
	const char *head, *body;
};

/* Write the whole response. Return whether the connection is to be closed behind it. */
typedef bool (*server_reply)(const struct request *request, struct evbuffer *response);

static struct server {
	struct event_base *base;
	struct evconnlistener *listener;
	char endpoint[32];
	server_reply reply;
	const char *text;      /* for reply(), as all below */
	unsigned int requests; /* since the test began */
	unsigned int stage;
	char seen[4][64];
} server;

static void on_event(struct bufferevent *connection, short what, void *context)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(connection);
}

static void on_written(struct bufferevent *connection, void *context)
{
	bufferevent_free(connection);
}

static void on_read(struct bufferevent *connection, void *context)
{
	struct evbuffer *input = bufferevent_get_input(connection);
	struct evbuffer *response = bufferevent_get_output(connection);
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	struct request request;
	char *text, *body;
	bool close;

	if (end.pos < 0)
		return;
	text = strndup((char *)evbuffer_pullup(input, -1), evbuffer_get_length(input));
	body = text + end.pos + 4;
	body[-1] = '\0';
	if (strlen(body) == strtoul(strstr(text, "Content-Length:") + 15, NULL, 10)) {
		request.head = strstr(text, "\r\n");
		request.path = strstr(text, "/v3/") + 4;
		request.body = body;
		text[strcspn(text, "\r")] = '\0';
		text[request.path - text + (ptrdiff_t)strcspn(request.path, " ")] = '\0';
		request.head += 2;
		evbuffer_drain(input, evbuffer_get_length(input));
		server.requests++;
		close = server.reply(&request, response);
		if (close)
			bufferevent_setcb(connection, NULL, on_written, on_event, NULL);
	}
	free(text);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
			  struct sockaddr *address, int length, void *context)
{
	struct bufferevent *connection =
		bufferevent_socket_new(server.base, fd, BEV_OPT_CLOSE_ON_FREE);

	bufferevent_setcb(connection, on_read, NULL, on_event, NULL);
	bufferevent_enable(connection, EV_READ | EV_WRITE);
}

FIXTURE(open_server)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof(address);

	/* Nothing of that is for etcd. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	server.base = event_base_new();
	server.listener =
		evconnlistener_new_bind(server.base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, -1,
					(struct sockaddr *)&address, length);
	if (!server.listener)
		return -1;
	getsockname(evconnlistener_get_fd(server.listener), (struct sockaddr *)&address, &length);
	sprintf(server.endpoint, "http://127.0.0.1:%u", ntohs(address.sin_port));
	return 0;
}

FIXTURE(close_server)
{
	evconnlistener_free(server.listener);
	for (int i = 0; i < 3; i++) /* connections end */
		event_base_loop(server.base, EVLOOP_NONBLOCK);
	event_base_free(server.base);
	return 0;
}

TEST_ALL(open_server, close_server)

static void begin(server_reply reply)
{
	server.reply = reply;
	server.requests = server.stage = 0;
	memset(server.seen, 0, sizeof(server.seen));
}

/* Write a response with a length. */
static void respond(struct evbuffer *response, const char *status, const char *text)
{
	evbuffer_add_printf(response, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
			    strlen(text), text);
}

/* --- the client */

struct told {
	bool over;
	enum etcd_outcome outcome;
	struct error error;
	char reply[64];
	unsigned int lines;
	struct etcd *etcd;
	unsigned int drop_at; /* line at which the call is dropped; 0: never */
};

static void on_done(void *context, const struct etcd_result *result)
{
	struct told *told = context;
	char *text = result->reply ? json_dumps(result->reply, JSON_COMPACT) : NULL;

	assert_false(told->over);
	told->over = true;
	told->outcome = result->outcome;
	told->error = result->error;
	snprintf(told->reply, sizeof(told->reply), "%s", text ? text : "");
	free(text);
}

static void on_line(void *context, const json_t *result)
{
	struct told *told = context;

	assert_true(json_is_object(result));
	if (++told->lines == told->drop_at) {
		etcd_drop(told->etcd, told);
		told->over = true;
	}
}

static struct etcd *new_client(const char *user, const char *password_file)
{
	static char *endpoints[1];
	const struct etcd_settings settings = {
		.endpoint_count = 1,
		.endpoints = endpoints,
		.user = user,
		.password_file = password_file,
	};
	struct error error;

	endpoints[0] = server.endpoint;
	return etcd_new(&settings, &error);
}

static void await(struct etcd *etcd, const struct told *told)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + PATIENCE * 1000000000ull;

	while (!told->over && clock_ns(CLOCK_MONOTONIC) < end) {
		event_base_loop(server.base, EVLOOP_NONBLOCK);
		etcd_run(etcd, 1);
	}
	assert_true(told->over);
}

static struct told call(struct etcd *etcd)
{
	struct told told = { .over = false };

	etcd_call(etcd, "kv/range", json_object(), PATIENCE * 1000, on_done, &told);
	await(etcd, &told);
	return told;
}

static struct told stream(struct etcd *etcd, unsigned int drop_at)
{
	struct told told = { .etcd = etcd, .drop_at = drop_at };

	etcd_stream(etcd, "watch", json_object(), on_line, on_done, &told);
	await(etcd, &told);
	return told;
}

static bool reply_text(const struct request *request, struct evbuffer *response)
{
	evbuffer_add(response, server.text, strlen(server.text));
	return true;
}

TEST(replies)
{
	static const struct {
		const char *response, *told;
		enum etcd_outcome outcome;
	} cases[] = {
		{ HEAD "Content-Length: 7\r\n\r\n{\"a\":1}", "{\"a\":1}", ETCD_OK },
		/* Cut off in the middle of a chunk, of a length, and of the head. */
		{ HEAD "Transfer-Encoding: chunked\r\n\r\n20\r\n{\"a\":1}", "", ETCD_UNREACHABLE },
		{ HEAD "Content-Length: 8\r\n\r\n{\"a\":1}", "", ETCD_UNREACHABLE },
		{ "HTTP/1.1 200", "", ETCD_UNREACHABLE },
		{ "{\"a\":1}", "", ETCD_UNREACHABLE }, /* HTTP 0.9 */
		{ "HTTP/1.1 403 Forbidden\r\n\r\n{\"code\":7,\"message\":\"etcdserver: permission "
		  "denied\"}",
		  "permission denied", ETCD_REFUSED },
		{ "HTTP/1.1 400 Bad\r\n\r\n{\"code\":11,\"message\":\"compacted\"}", "compacted",
		  ETCD_COMPACTED },
		{ "HTTP/1.1 503 No\r\n\r\n{\"code\":14,\"message\":\"no leader\"}", "no leader",
		  ETCD_UNREACHABLE },
		/* To a keepalive. */
		{ "HTTP/1.1 503 No\r\n\r\n{\"error\":{\"grpc_code\":14,\"http_code\":503,"
		  "\"message\":\"no leader\"}}",
		  "no leader", ETCD_UNREACHABLE },
		{ "HTTP/1.1 500 No\r\n\r\n{}", "without a message", ETCD_REFUSED },
		{ "HTTP/1.1 500 No\r\n\r\n<html>", "status 500, no JSON: '<html>'",
		  ETCD_UNREACHABLE },
		{ "HTTP/1.1 302 Found\r\nLocation: /v3/else\r\nContent-Length: 0\r\n\r\n",
		  "status 302", ETCD_UNREACHABLE },
		{ HEAD "Content-Encoding: gzip\r\n\r\n\x1f\x8b", "no JSON", ETCD_UNREACHABLE },
	};
	struct etcd *etcd = new_client(NULL, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told told;

		begin(reply_text);
		server.text = cases[i].response;
		told = call(etcd);
		assert_int_equal(told.outcome, cases[i].outcome);
		assert_non_null(strstr(told.outcome == ETCD_OK ? told.reply : told.error.text,
				       cases[i].told));
		assert_int_equal(server.requests, 1); /* redirections are not followed */
	}
	etcd_free(etcd);
}

/* A text that begins and ends with others, with `count` repetitions of one between. */
static char *repeat(const char *begin, const char *part, size_t count, const char *end)
{
	char *text = malloc(strlen(begin) + strlen(part) * count + strlen(end) + 1);
	char *at = stpcpy(text, begin);

	while (count--)
		at = stpcpy(at, part);
	strcpy(at, end);
	return text;
}

static size_t memory(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_int_equal(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	return pages * 4096;
}

/* What is too large, and what would be in memory. */
TEST(large_replies)
{
	struct etcd *etcd = new_client(NULL, NULL);
	size_t before = memory();
	struct told told;
	char *text;

	begin(reply_text);
	server.text = text = repeat(HEAD "\r\n", "x", ETCD_REPLY_MAX + 1, "");
	assert_int_equal(call(etcd).outcome, ETCD_TOO_LARGE);
	assert_int_equal(stream(etcd, 0).outcome, ETCD_TOO_LARGE); /* a line without an end */
	free(text);

	/* Five bytes, which are 400 in memory. */
	server.text = text = repeat(HEAD "\r\n{\"a\": [", "{},{},", 1 << 20, "{}]}\n");
	told = call(etcd);
	assert_int_equal(told.outcome, ETCD_UNREACHABLE);
	assert_non_null(strstr(told.error.text, "no JSON"));
	assert_int_equal(stream(etcd, 0).outcome, ETCD_UNREACHABLE);
	free(text);
	assert_true(memory() < before + MEMORY_MAX);

	/* Deeper than any stack. */
	server.text = text = repeat(HEAD "\r\n", "[       ", 1 << 20, "");
	assert_int_equal(call(etcd).outcome, ETCD_UNREACHABLE);
	free(text);

	/* Keys of the fewest bytes. */
	server.text = text = repeat(HEAD "\r\n{\"a\":[",
				    "{\"type\":\"DELETE\",\"kv\":{\"key\":\"L3gvYXNzaWduL2E=\","
				    "\"mod_revision\":\"5\"}},",
				    10000, "{}]}");
	assert_int_equal(call(etcd).outcome, ETCD_OK);
	free(text);
	etcd_free(etcd);
}

TEST(streams)
{
	static const char lines[] =
		HEAD "\r\n{\"result\":{}}\n\n{\"result\":{}}\n{\"result\":{}}\n";
	struct etcd *etcd = new_client(NULL, NULL);
	struct told told;
	char *text;

	begin(reply_text);
	server.text = lines;
	told = stream(etcd, 0);
	assert_int_equal(told.lines, 3);
	assert_int_equal(told.outcome, ETCD_UNREACHABLE);
	assert_non_null(strstr(told.error.text, "closed the watch"));
	assert_int_equal(stream(etcd, 2).lines, 2); /* dropped: nothing more is told */

	server.text = text = repeat(lines, "{\"resu", 1, "");
	assert_int_equal(stream(etcd, 0).lines, 3);
	free(text);
	server.text = text =
		repeat(lines, "{\"error\":{\"grpc_code\":11,\"message\":\"c\"}}\n", 1, "");
	assert_int_equal(stream(etcd, 0).outcome, ETCD_COMPACTED);
	free(text);
	server.text = text = repeat(lines, "7\n", 1, "");
	told = stream(etcd, 0);
	assert_non_null(strstr(told.error.text, "no object"));
	free(text);

	/* Calls that run are dropped with the client. */
	etcd_stream(etcd, "watch", json_object(), on_line, on_done, &told);
	etcd_call(etcd, "kv/range", json_object(), 1000, on_done, &told);
	etcd_run(etcd, 0);
	etcd_free(etcd);
}

/* --- tokens */

/* Note the token of each request; the first token does not count any more. */
static bool reply_token(const struct request *request, struct evbuffer *response)
{
	const char *token = strstr(request->head, "Authorization: ");

	if (strcmp(request->path, "auth/authenticate") == 0) {
		assert_null(token);
		assert_string_equal(request->body, "{\"name\":\"icp\",\"password\":\"secret\"}");
		evbuffer_add_printf(response, HEAD "\r\n{\"token\":\"%s%u\"}", server.text,
				    ++server.stage);
		return true;
	}
	assert_null(strstr(request->body, "secret"));
	snprintf(server.seen[server.requests % 4], sizeof(server.seen[0]), "%.*s",
		 token ? (int)strcspn(token, "\r") : 0, token ? token : "");
	if (server.stage < 2)
		respond(response, "401 Unauthorized",
			"{\"code\":16,\"message\":\"etcdserver: invalid auth token\"}");
	else
		respond(response, "200 OK", "{}");
	return false;
}

/* No token is accepted. */
static bool reply_no_token(const struct request *request, struct evbuffer *response)
{
	server.text = "t";
	server.stage = 0;
	return reply_token(request, response);
}

TEST(tokens)
{
	struct etcd *etcd;
	struct told told;
	char path[LIST_PATH_SIZE], *text;

	write_list(path, "secret\n", 7);
	begin(reply_token);
	server.text = "t";
	etcd = new_client("icp", path);
	assert_int_equal(call(etcd).outcome, ETCD_OK);
	assert_int_equal(call(etcd).outcome, ETCD_OK);
	assert_int_equal(server.requests, 5);
	assert_string_equal(server.seen[2], "Authorization: t1");
	assert_string_equal(server.seen[0], "Authorization: t2");
	assert_string_equal(server.seen[1], "Authorization: t2");
	etcd_free(etcd);

	/* One that is refused as well is the last one. */
	begin(reply_no_token);
	etcd = new_client("icp", path);
	assert_int_equal(call(etcd).outcome, ETCD_REFUSED);
	assert_int_equal(server.requests, 4);
	etcd_free(etcd);

	begin(reply_token);
	server.text = "\\r\\nX: "; /* another header */
	etcd = new_client("icp", path);
	told = call(etcd);
	assert_int_equal(told.outcome, ETCD_UNREACHABLE);
	assert_non_null(strstr(told.error.text, "no token"));
	assert_int_equal(server.requests, 1);
	server.text = text = repeat("", "t", 8192, "");
	assert_int_equal(call(etcd).outcome, ETCD_UNREACHABLE);
	free(text);
	etcd_free(etcd);
	unlink(path);

	write_list(path, "\xff\n", 2);
	etcd = new_client("icp", path);
	told = call(etcd);
	assert_int_equal(told.outcome, ETCD_NOT_SENT);
	assert_non_null(strstr(told.error.text, "not UTF-8"));
	unlink(path);
	told = call(etcd);
	assert_int_equal(told.outcome, ETCD_NOT_SENT);
	assert_non_null(strstr(told.error.text, "cannot read"));
	etcd_free(etcd);
}

/* --- a cluster */

static char directory[] = "/tmp/xdp-icp-etcd-XXXXXX";

static void open_session_with(struct session *session, unsigned int ttl, unsigned int members_min)
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

	settings.ttl = ttl;
	settings.members_min = members_min;
	endpoints[0] = server.endpoint;
	strcpy(directory, "/tmp/xdp-icp-etcd-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(session_open(session, &settings, &error), 0);
	session_read(session);
}

static void open_session(struct session *session)
{
	open_session_with(session, 2000, 0);
}

static void close_session(struct session *session)
{
	char path[64];

	session_close(session, false, 0);
	cluster_withdraw("site");
	snprintf(path, sizeof(path), "%s/cluster-site", directory);
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

static void step(struct session *session)
{
	event_base_loop(server.base, EVLOOP_NONBLOCK);
	session_step(session, 1);
}

/* Step until a condition holds. */
#define UNTIL(session, condition)                                                                  \
	do {                                                                                       \
		uint64_t end_ = clock_ns(CLOCK_MONOTONIC) + PATIENCE * 1000000000ull;              \
                                                                                                   \
		while (!(condition) && clock_ns(CLOCK_MONOTONIC) < end_)                           \
			step(session);                                                             \
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
static bool reply_well(const struct request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "lease/grant") == 0)
		respond(response, "200 OK", "{\"ID\":\"7\",\"TTL\":\"18446744073709551615\"}");
	else if (strcmp(request->path, "lease/keepalive") == 0)
		respond(response, "200 OK",
			"{\"result\":{\"ID\":\"7\",\"TTL\":\"18446744073709551615\",\"header\":{"
			"\"revision\":\"99\"}}"
			"}");
	else if (strcmp(request->path, "kv/txn") == 0)
		respond(response, "200 OK", "{\"succeeded\":true}");
	else if (strcmp(request->path, "watch") == 0)
		evbuffer_add_printf(response, HEAD "\r\n{\"result\":{\"created\":true,"
						   "\"header\":{\"revision\":\"8\"}}}\n");
	else
		respond(response, "200 OK", "{\"header\":{\"revision\":\"5\"}}");
	return false;
}

/* Pages without an end, of malformed keys. */
static bool reply_pages(const struct request *request, struct evbuffer *response)
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
	add_key(body, key, (size_t)sprintf(key, "y%08u", server.stage++), "");
	evbuffer_add(body, "]}", 2);
	evbuffer_add_printf(response, HEAD "Content-Length: %zu\r\n\r\n",
			    evbuffer_get_length(body));
	evbuffer_add_buffer(response, body);
	evbuffer_free(body);
	return false;
}

TEST(pages_without_an_end)
{
	struct session session;

	begin(reply_pages);
	open_session(&session);
	UNTIL(&session, strstr(session.status.error.text, "are malformed; is 'prefix' right?"));
	assert_int_equal(session.status.reads, 0);
	close_session(&session);
}

/* Each watch finds the changes compacted, or itself behind what was read. */
static bool reply_behind(const struct request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "watch") != 0)
		return reply_well(request, response);
	evbuffer_add_printf(response, HEAD "\r\n%s\n",
			    server.stage++ % 2 ? "{\"result\":{\"canceled\":true,"
						 "\"compact_revision\":\"9\"}}"
					       : "{\"result\":{\"created\":true,"
						 "\"header\":{\"revision\":\"4\"}}}");
	return false;
}

TEST(reading_again_has_pauses)
{
	struct session session;
	uint64_t begun = etcd_now();

	begin(reply_behind);
	open_session(&session);
	UNTIL(&session, session.status.reads == 3);
	assert_true(etcd_now() - begun >= 1000);
	close_session(&session);
}

/* No page is there any more. */
static bool reply_compacted(const struct request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "kv/range") != 0)
		return reply_well(request, response);
	server.stage++;
	respond(response, "400 Bad Request", "{\"code\":11,\"message\":\"compacted\"}");
	return false;
}

TEST(beginning_again_has_pauses)
{
	struct session session;
	uint64_t begun = etcd_now();

	begin(reply_compacted);
	open_session(&session);
	UNTIL(&session, server.stage == 3);
	assert_true(etcd_now() - begun >= 1000);
	assert_int_equal(session.status.reads, 0);
	close_session(&session);
}

/* Each lease is over before the key is put. */
static bool reply_short_lease(const struct request *request, struct evbuffer *response)
{
	server.stage += strcmp(request->path, "lease/grant") == 0;
	if (strcmp(request->path, "kv/txn") != 0)
		return reply_well(request, response);
	respond(response, "404 Not Found",
		"{\"code\":5,\"message\":\"etcdserver: requested lease not found\"}");
	return false;
}

TEST(taking_leases_has_pauses)
{
	struct session session;
	uint64_t begun = etcd_now();

	begin(reply_short_lease);
	open_session(&session);
	UNTIL(&session, server.stage == 4);
	assert_true(etcd_now() - begun >= 50 + 100 + 200);
	assert_non_null(strstr(session.status.error.text, "the lease of member 'a' is lost"));
	close_session(&session);
}

/* The key is refused. `stage` has the keepalives since it was put last. */
static bool reply_full(const struct request *request, struct evbuffer *response)
{
	if (strcmp(request->path, "lease/keepalive") == 0)
		server.stage++;
	if (strcmp(request->path, "kv/txn") != 0)
		return reply_well(request, response);
	server.stage = 0;
	respond(response, "429 Too Many Requests",
		"{\"code\":8,\"message\":\"etcdserver: mvcc: database space exceeded\"}");
	return false;
}

/* The lease is kept alive while the key is put less and less often. */
TEST(a_key_that_is_refused)
{
	struct session session;

	begin(reply_full);
	open_session_with(&session, 600, 0);
	UNTIL(&session, server.stage == 3);
	assert_false(session.status.registered);
	assert_int_equal(session.presence.lease, 7);
	close_session(&session);
}

/* A watch that tells its progress, and then nothing. */
static bool reply_progress(const struct request *request, struct evbuffer *response)
{
	reply_well(request, response);
	if (strcmp(request->path, "watch") == 0) {
		assert_non_null(strstr(request->body, "\"progress_notify\":true"));
		evbuffer_add_printf(response, "{\"result\":{\"header\":{\"revision\":\"9\"}}}\n");
		server.stage++;
	}
	return false;
}

TEST(a_watch_that_is_silent)
{
	struct session session;

	begin(reply_progress);
	open_session(&session);
	UNTIL(&session, session.status.watching && session.status.registered);
	session.view.next = etcd_now(); /* the time has passed */
	UNTIL(&session, server.stage == 2 && session.status.watching);
	assert_int_equal(session.status.reads, 1);
	assert_int_equal(session.status.failures, 0);
	close_session(&session);
}

/* `stage` has the number of keepalives. */
static bool reply_alive(const struct request *request, struct evbuffer *response)
{
	server.stage += strcmp(request->path, "lease/keepalive") == 0;
	return reply_well(request, response);
}

/* That etcd's map is up to date confirms no other. */
TEST(a_map_that_is_not_used_is_not_confirmed)
{
	struct session session;

	begin(reply_alive);
	open_session_with(&session, 600, 1);
	UNTIL(&session, session.status.watching && session.status.below_floor);
	server.stage = 0;
	UNTIL(&session, server.stage == 3);
	assert_int_equal(session.status.confirmed, 0);
	close_session(&session);
}

/* Events, of which the last one ends the watch; then a watch that lasts. */
static bool reply_events(const struct request *request, struct evbuffer *response)
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
	struct session session;

	begin(reply_events);
	open_session(&session);
	UNTIL(&session, session.map && session.map->member_count == 1 && session.status.watching &&
				session.view.revision == 8);
	assert_string_equal(session.map->members[0].name, "b");
	assert_int_equal(session.status.reads, 1);
	assert_int_equal(session.status.bad_keys, 1);
	assert_int_equal(session.status.failures, 1);
	UNTIL(&session, session.status.registered);
	assert_false(session.status.isolated);
	assert_true(session.presence.valid_until <= etcd_now() + 86400 * 1000ull);
	close_session(&session);
}
