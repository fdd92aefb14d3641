// SPDX-License-Identifier: GPL-2.0-or-later
/* The client of etcd's gateway. */
#include "cluster/etcd.h"
#include "lib/clock.h"
#include "support/chains.h"
#include "support/etcd_server.h"

#define PATIENCE 60		 /* seconds */
#define MEMORY_MAX (1000u << 20) /* bytes: far less than jansson needs for what is refused */

TEST_ALL(etcd_server_open, etcd_server_close)

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

	endpoints[0] = etcd_server.endpoint;
	return etcd_new(&settings, &error);
}

static void await(struct etcd *etcd, const struct told *told)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + PATIENCE * 1000000000ull;

	while (!told->over && clock_ns(CLOCK_MONOTONIC) < end) {
		event_base_loop(etcd_server.base, EVLOOP_NONBLOCK);
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

static bool reply_text(const struct etcd_request *request, struct evbuffer *response)
{
	evbuffer_add(response, etcd_server.text, strlen(etcd_server.text));
	return true;
}

TEST(replies)
{
	static const struct {
		const char *response, *told;
		enum etcd_outcome outcome;
	} cases[] = {
		{ ETCD_SERVER_OK "Content-Length: 7\r\n\r\n{\"a\":1}", "{\"a\":1}", ETCD_OK },
		/* Cut off in the middle of a chunk, of a length, and of the head. */
		{ ETCD_SERVER_OK "Transfer-Encoding: chunked\r\n\r\n20\r\n{\"a\":1}", "",
		  ETCD_UNREACHABLE },
		{ ETCD_SERVER_OK "Content-Length: 8\r\n\r\n{\"a\":1}", "", ETCD_UNREACHABLE },
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
		{ "HTTP/1.1 500 No\r\n\r\n<html>", "status 500, not JSON: '<html>'",
		  ETCD_UNREACHABLE },
		{ "HTTP/1.1 302 Found\r\nLocation: /v3/else\r\nContent-Length: 0\r\n\r\n",
		  "status 302", ETCD_UNREACHABLE },
		{ ETCD_SERVER_OK "Content-Encoding: gzip\r\n\r\n\x1f\x8b", "not JSON",
		  ETCD_UNREACHABLE },
	};
	struct etcd *etcd = new_client(NULL, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct told told;

		etcd_server_begin(reply_text);
		etcd_server.text = cases[i].response;
		told = call(etcd);
		assert_int_equal(told.outcome, cases[i].outcome);
		assert_non_null(strstr(told.outcome == ETCD_OK ? told.reply : told.error.text,
				       cases[i].told));
		assert_int_equal(etcd_server.requests, 1); /* redirections are not followed */
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

	etcd_server_begin(reply_text);
	etcd_server.text = text = repeat(ETCD_SERVER_OK "\r\n", "x", ETCD_REPLY_MAX + 1, "");
	assert_int_equal(call(etcd).outcome, ETCD_TOO_LARGE);
	assert_int_equal(stream(etcd, 0).outcome, ETCD_TOO_LARGE); /* a line without an end */
	free(text);

	/* Five bytes, which are 400 in memory. */
	etcd_server.text = text =
		repeat(ETCD_SERVER_OK "\r\n{\"a\": [", "{},{},", 1 << 20, "{}]}\n");
	told = call(etcd);
	assert_int_equal(told.outcome, ETCD_UNREACHABLE);
	assert_non_null(strstr(told.error.text, "not JSON"));
	assert_int_equal(stream(etcd, 0).outcome, ETCD_UNREACHABLE);
	free(text);
	assert_true(memory() < before + MEMORY_MAX);

	/* Deeper than any stack. */
	etcd_server.text = text = repeat(ETCD_SERVER_OK "\r\n", "[       ", 1 << 20, "");
	assert_int_equal(call(etcd).outcome, ETCD_UNREACHABLE);
	free(text);

	/* Keys of the fewest bytes. */
	etcd_server.text = text =
		repeat(ETCD_SERVER_OK "\r\n{\"a\":[",
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
		ETCD_SERVER_OK "\r\n{\"result\":{}}\n\n{\"result\":{}}\n{\"result\":{}}\n";
	struct etcd *etcd = new_client(NULL, NULL);
	struct told told;
	char *text;

	etcd_server_begin(reply_text);
	etcd_server.text = lines;
	told = stream(etcd, 0);
	assert_int_equal(told.lines, 3);
	assert_int_equal(told.outcome, ETCD_UNREACHABLE);
	assert_non_null(strstr(told.error.text, "closed the watch"));
	assert_int_equal(stream(etcd, 2).lines, 2); /* dropped: nothing more is told */

	etcd_server.text = text = repeat(lines, "{\"resu", 1, "");
	assert_int_equal(stream(etcd, 0).lines, 3);
	free(text);
	etcd_server.text = text =
		repeat(lines, "{\"error\":{\"grpc_code\":11,\"message\":\"c\"}}\n", 1, "");
	assert_int_equal(stream(etcd, 0).outcome, ETCD_COMPACTED);
	free(text);
	etcd_server.text = text = repeat(lines, "7\n", 1, "");
	told = stream(etcd, 0);
	assert_non_null(strstr(told.error.text, "not a JSON object"));
	free(text);

	/* Calls that run are dropped with the client. */
	etcd_stream(etcd, "watch", json_object(), on_line, on_done, &told);
	etcd_call(etcd, "kv/range", json_object(), 1000, on_done, &told);
	etcd_run(etcd, 0);
	etcd_free(etcd);
}

/* --- tokens */

/* Note the token of each request; the first token does not count any more. */
static bool reply_token(const struct etcd_request *request, struct evbuffer *response)
{
	const char *token = strstr(request->head, "Authorization: ");

	if (strcmp(request->path, "auth/authenticate") == 0) {
		assert_null(token);
		assert_string_equal(request->body, "{\"name\":\"icp\",\"password\":\"secret\"}");
		evbuffer_add_printf(response, ETCD_SERVER_OK "\r\n{\"token\":\"%s%u\"}",
				    etcd_server.text, ++etcd_server.stage);
		return true;
	}
	assert_null(strstr(request->body, "secret"));
	snprintf(etcd_server.seen[etcd_server.requests % 4], sizeof(etcd_server.seen[0]), "%.*s",
		 token ? (int)strcspn(token, "\r") : 0, token ? token : "");
	if (etcd_server.stage < 2)
		etcd_server_respond(response, "401 Unauthorized",
				    "{\"code\":16,\"message\":\"etcdserver: invalid auth token\"}");
	else
		etcd_server_respond(response, "200 OK", "{}");
	return false;
}

/* No token is accepted. */
static bool reply_no_token(const struct etcd_request *request, struct evbuffer *response)
{
	etcd_server.text = "t";
	etcd_server.stage = 0;
	return reply_token(request, response);
}

TEST(tokens)
{
	struct etcd *etcd;
	struct told told;
	char path[LIST_PATH_SIZE], *text;

	write_list(path, "secret\n", 7);
	etcd_server_begin(reply_token);
	etcd_server.text = "t";
	etcd = new_client("icp", path);
	assert_int_equal(call(etcd).outcome, ETCD_OK);
	assert_int_equal(call(etcd).outcome, ETCD_OK);
	assert_int_equal(etcd_server.requests, 5);
	assert_string_equal(etcd_server.seen[2], "Authorization: t1");
	assert_string_equal(etcd_server.seen[0], "Authorization: t2");
	assert_string_equal(etcd_server.seen[1], "Authorization: t2");
	etcd_free(etcd);

	/* One that is refused as well is the last one. */
	etcd_server_begin(reply_no_token);
	etcd = new_client("icp", path);
	assert_int_equal(call(etcd).outcome, ETCD_REFUSED);
	assert_int_equal(etcd_server.requests, 4);
	etcd_free(etcd);

	etcd_server_begin(reply_token);
	etcd_server.text = "\\r\\nX: "; /* another header */
	etcd = new_client("icp", path);
	told = call(etcd);
	assert_int_equal(told.outcome, ETCD_UNREACHABLE);
	assert_non_null(strstr(told.error.text, "no token"));
	assert_int_equal(etcd_server.requests, 1);
	etcd_server.text = text = repeat("", "t", 8192, "");
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
