// SPDX-License-Identifier: GPL-2.0-or-later
/* URLs in lines of access logs. */
#include "recent/line.h"
#include "support/test.h"

#define FAILED "failed"
#define NONSENSE "nonsense"
#define SIMPLE_TIME "[10/Oct/2000:13:55:36 -0700] "

static struct line_format *make(const char *name, const char *host)
{
	struct error error = { "" };
	struct line_format *format = line_format_new(name, "https", host, &error);

	assert_string_equal(error.text, "");
	return format;
}

/* Read a line; `wanted` is the URL, FAILED or NONSENSE. Returns the time. */
static time_t check_bytes(const char *name, const char *text, size_t length, const char *wanted)
{
	struct line_format *format = make(name, "e.org");
	static struct line_request request;
	char *line = malloc(length + 1); /* of that size, for AddressSanitizer */
	const char *got;

	memcpy(line, text, length);
	switch (line_read(format, line, length, &request)) {
	case LINE_REQUEST:
		got = request.url;
		assert_int_equal(strlen(request.url), request.length);
		break;
	case LINE_FAILED:
		got = FAILED;
		break;
	default:
		got = NONSENSE;
	}
	assert_string_equal(got, wanted);
	free(line);
	line_format_free(format);
	return request.time;
}

static time_t check(const char *name, const char *text, const char *wanted)
{
	return check_bytes(name, text, strlen(text), wanted);
}

TEST(common_and_combined)
{
	static const char *const rows[][2] = {
		{ "10.0.0.1 - - " SIMPLE_TIME "\"GET /a/b HTTP/1.1\" 200 2326",
		  "https://e.org/a/b" },
		{ "10.0.0.1 - me [x] " SIMPLE_TIME "\"GET /a?b=c HTTP/1.1\" 304 0 \"-\" \"curl\"",
		  "https://e.org/a?b=c" },
		{ "::1 - - " SIMPLE_TIME "\"GET http://o.org/x HTTP/1.1\" 200 1",
		  "http://o.org/x" },
		{ "h - - " SIMPLE_TIME "\"GET /\" 200 1", "https://e.org/" },
		{ "h - - " SIMPLE_TIME "\"POST /\\xc3\\xA9\\\"\\\\ HTTP/2.0\" 200 1",
		  "https://e.org/\xc3\xa9\"\\" },
		{ "h - - " SIMPLE_TIME "\"GET /a HTTP/1.1\" 499 0", "https://e.org/a" },
		{ "h - - " SIMPLE_TIME "\"GET /a HTTP/1.1\" 502 0", FAILED },
		{ "h - - " SIMPLE_TIME "\"GET /a b HTTP/1.1\" 200 0", NONSENSE },
		{ "h - - " SIMPLE_TIME "\"GET /a\\x00b HTTP/1.1\" 200 0", NONSENSE },
		{ "h - - " SIMPLE_TIME "\"-\" 400 0", NONSENSE },
		{ "h - - " SIMPLE_TIME "\"\\x16\\x03\\x01\" 400 150", NONSENSE },
		{ "h - - " SIMPLE_TIME "\"GET /a HTTP/1.1", NONSENSE },
		{ "h - - \"GET /a HTTP/1.1\" 200 1", NONSENSE },
		{ "h - - [10/Foo/2000:13:55:36 -0700] \"GET /a HTTP/1.1\" 200 1", NONSENSE },
		{ "h - - [10/Oct/2000:13:55:36 0700] \"GET /a HTTP/1.1\" 200 1", NONSENSE },
		{ "", NONSENSE },
		{ "\"", NONSENSE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		time_t time = check("combined", rows[i][0], rows[i][1]);

		if (rows[i][1][0] == 'h')
			assert_int_equal(time, 971211336);
		check("common", rows[i][0], rows[i][1]);
	}
	assert_int_equal(check("common",
			       "h - - [29/Feb/2024:23:30:00 +0530] \"GET /a HTTP/1.1\" 200 1",
			       "https://e.org/a"),
			 1709229600);
}

TEST(squid)
{
	assert_int_equal(check("squid",
			       "1066036250.603    310 10.0.0.1 TCP_MISS/200 893 GET "
			       "http://www.example.org/a - HIER_DIRECT/1.2.3.4 text/html",
			       "http://www.example.org/a"),
			 1066036250);
	check("squid", "1.0 1 h TCP_MISS/503 0 GET http://e.org/a - HIER_NONE/- -", FAILED);
	check("squid", "1.0 1 h TCP_MISS_ABORTED/000 0 GET http://e.org/a - X/- -", FAILED);
	check("squid", "1.0 1 h NONE/400 0 - error:invalid-request - HIER_NONE/- -", NONSENSE);
	check("squid", "1.0 1 h TCP_MISS/200 0 GET http://e.org/a", NONSENSE);
	check("squid", "x 1 h TCP_MISS/200 0 GET http://e.org/a - X/- -", NONSENSE);
	check("squid", "11111111111111111.0 1 h TCP_MISS/200 0 GET http://e.org/a - X/- -",
	      NONSENSE);
}

TEST(patterns)
{
	check("(?<url>\\S+)", "/a b", "https://e.org/a");
	check("(?<url>\\S+)", "x/a", "x/a");
	check("x(?<url>\\S+)", " x/a", NONSENSE); /* at the beginning of the line */
	check(".*? (?<scheme>https?) (?<host>\\S+) (?<url>/\\S*) (?<status>\\d+)",
	      "10.0.0.1 http www.example.org /a/1 200", "http://www.example.org/a/1");
	check(".*? (?<scheme>https?) (?<host>\\S+) (?<url>/\\S*) (?<status>\\d+)",
	      "10.0.0.1 http www.example.org /a/1 500", FAILED);
	check("(?<url>.*)", "/a b", NONSENSE);
	check("(?<other>x)?(?<url>y)?", "z", NONSENSE);
}

/* Nested repetitions end at the limit. */
TEST(a_pattern_is_bounded)
{
	char line[RECENT_LINE_MAX];

	memset(line, 'a', sizeof(line));
	check_bytes("(?<url>(a+)+)b", line, sizeof(line), NONSENSE);
}

TEST(lengths)
{
	static char line[RECENT_LINE_MAX + 1];
	size_t room = RECENT_URL_MAX - strlen("https://e.org/");

	for (size_t more = 0; more < 2; more++) {
		char wanted[RECENT_URL_MAX + 1] = "https://e.org/";
		int at = snprintf(line, sizeof(line), "h - - " SIMPLE_TIME "\"GET /");

		memset(line + at, 'x', room + more);
		memset(wanted + strlen(wanted), 'x', room);
		strcpy(line + at + room + more, " HTTP/1.1\" 200 1");
		check("common", line, more ? NONSENSE : wanted);
	}
	assert_true(line_is_url("a", 1));
	assert_false(line_is_url("", 0));
	assert_false(line_is_url("a\tb", 3));
	assert_false(line_is_url("a\0b", 3));
}

/* Bytes at random, and lines with bytes exchanged: nothing but the result is expected. */
TEST(nonsense)
{
	static const char *const names[] = { "common", "squid", "(?<url>.*?) (?<host>.*)" };
	struct line_request *request = malloc(sizeof(*request));
	uint64_t random = 1;

	for (size_t f = 0; f < 3; f++) {
		struct line_format *format = make(names[f], NULL);

		for (int i = 0; i < 20000; i++) {
			char text[] =
				"1066036250.603 310 h A/200 893 GET http://e.org/a - " SIMPLE_TIME
				"\"GET http://e.org/a\\x41 HTTP/1.1\" 200 2326";
			size_t length = random_below(&random, sizeof(text));

			for (uint32_t n = random_below(&random, 4); n; n--)
				text[random_below(&random, sizeof(text))] =
					random_below(&random, 256);
			if (line_read(format, text, length, request) != LINE_NONSENSE)
				assert_true(line_is_url(request->url, request->length));
		}
		line_format_free(format);
	}
	free(request);
}

static void expect_error(const char *name, const char *text)
{
	struct error error = { "" };

	assert_null(line_format_new(name, "http", NULL, &error));
	assert_non_null(strstr(error.text, text));
}

TEST(mistakes)
{
	expect_error("comined", "neither common, combined nor squid");
	expect_error("(?<url>", "missing closing parenthesis at offset 7");
	expect_error("(?<uri>.*)", "one group (?<url>...)");
}
