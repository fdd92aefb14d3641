// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys of URLs: a table, and random ones against the same byte by byte. */
#include "policy/key.h"
#include "support/test.h"

static void take_word(void *context, __u64 word)
{
	char **next = context;

	word = word_little(word);
	memcpy(*next, &word, ICP_WORD);
	*next += ICP_WORD;
}

/* Write the key as it is read, word by word. Returns its length. */
static size_t read_key(const char *name, bool query, const char *url, size_t length, char *text)
{
	struct url_key_form form;
	struct url_key key;
	char *next = text;

	assert_int_equal(url_key_parse(name, &form), 0);
	form.query = query;
	key = url_key_of(&form, url, length);
	assert_true(key.begin <= key.end && key.end <= length);
	memset(text, 0, key.end - key.begin + 1);
	url_key_read(&key, (const __u8 *)url, length, take_word, &next);
	return key.end - key.begin;
}

static void check(const char *name, bool query, const char *url, const char *wanted)
{
	char text[512];
	size_t length = read_key(name, query, url, strlen(url), text);

	if (length != strlen(wanted) || strcmp(text, wanted) != 0)
		fail_msg("%s of %s is '%s' of %zu bytes, not '%s'", name, url, text, length,
			 wanted);
}

TEST(examples)
{
	static const char url[] = "http://me:pw@WWW.Example.org:8080/Docs/api/v2/page?x=/a/b#c";

	check("url", true, url, url);
	check("url", false, url, "http://me:pw@WWW.Example.org:8080/Docs/api/v2/page");
	check("host", true, url, "www.example.org");
	check("host+0", true, url, "www.example.org:8080/");
	check("host+1", true, url, "www.example.org:8080/Docs/");
	check("host+2", false, url, "www.example.org:8080/Docs/api/");
	check("host+3", true, url, "www.example.org:8080/Docs/api/v2/");
	check("host+4", true, url, "www.example.org:8080/Docs/api/v2/");
	check("host+15", true, url, "www.example.org:8080/Docs/api/v2/");
	check("path", true, url, "/Docs/api/v2/page?x=/a/b#c");
	check("path", false, url, "/Docs/api/v2/page");
	check("path+0", true, url, "/");
	check("path+2", true, url, "/Docs/api/");

	check("host+1", true, "http://e.org", "e.org");
	check("host+1", true, "http://e.org?a/b/c", "e.org");
	check("host+1", true, "http://E.ORG/x#/y/", "e.org/");
	check("host+1", true, "http://e.org//x/", "e.org//");
	check("host+9", true, "http://e.org//////////////////x", "e.org//////////");
	check("path", true, "http://e.org", "");
	check("path+1", true, "http://e.org?a/b/c", "");
	check("path", true, "http://e.org?a", "?a");
	check("path", false, "http://e.org?a", "");
	check("host", true, "https://[2001:DB8::1]:80/", "[2001:db8::1]:80");
	check("host", true, "http://e.org.:80/", "e.org.");
	check("host+0", true, "http://u@v@e.org/", "e.org/");

	/* Taken whole, for there is no scheme or no host. */
	check("host", true, "E.org:443", "E.org:443");
	check("host+1", false, "e.org:443/a/b/c?d", "e.org:443/a/b/c?d");
	check("path", true, "urn:isbn:0451450523", "urn:isbn:0451450523");
	check("host", true, "http:///a/b", "http:///a/b");
	check("path", false, "/a/b?c", "/a/b");
	check("host", true, "1http://e.org/", "1http://e.org/");
}

static bool has_scheme(const char *url)
{
	const char *colon = strstr(url, "://");

	if (!colon || colon == url || !strchr("abcdefghijklmnopqrstuvwxyz", url[0] | 0x20))
		return false;
	return strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") ==
	       (size_t)(colon - url);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 0x20) : c;
}

/* The same from the description in url_key.h. */
static size_t slow_key(const char *name, bool query, const char *url, char *text)
{
	bool is_path = name[0] == 'p', directories = strchr(name, '+');
	const char *end = url + strlen(url), *begin = url, *host, *path, *low = url;

	if (name[0] != 'u' && has_scheme(url)) {
		host = strstr(url, "://") + 3;
		path = host + strcspn(host, "/?#");
		for (const char *c = host; c < path; c++)
			if (*c == '@')
				host = c + 1;
		if (host + strcspn(host, ":/?#") != host) {
			begin = is_path ? path : host;
			low = is_path ? begin : path;
			if (directories) {
				int left = 1 + atoi(strchr(name, '+') + 1);

				end = path;
				for (const char *c = path; left && !strchr("?#", *c); c++)
					if (*c == '/') {
						end = c + 1;
						left--;
					}
			} else if (!is_path) {
				end = *host == '[' ? path : host + strcspn(host, ":/?#");
			}
		}
	}
	if (!query && !directories && name[0] != 'h' && begin + strcspn(begin, "?#") < end)
		end = begin + strcspn(begin, "?#");
	for (const char *c = begin; c < end; c++)
		text[c - begin] = c < low ? lower(*c) : *c;
	return end - begin;
}

TEST(random_keys)
{
	static const char *const forms[] = { "url",    "host",	 "host+0", "host+1",
					     "host+2", "host+7", "path",   "path+0",
					     "path+1", "path+3", "host+15" };
	static const char *const begins[] = { "", "http://", "HTTPS://", "a+b-c.1://", "1http://" };
	static const char likely[] = "/////?#:@[].AZaz09-\xff\x01";
	uint64_t seed = 2187;
	size_t narrowed = 0;

	for (int round = 0; round < 400000; round++) {
		const char *form = forms[random_below(&seed, sizeof(forms) / sizeof(forms[0]))];
		size_t most = random_below(&seed, 3) ? 30 : 255, length, found;
		bool query = random_below(&seed, 2);
		char url[300] = { 0 }, text[512], wanted[512];

		length = sprintf(url, "%s", begins[random_below(&seed, 5)]);
		for (size_t i = 1 + random_below(&seed, most); i && length < 255; i--)
			url[length++] = random_below(&seed, 2)
						? 'B'
						: likely[random_below(&seed, sizeof(likely) - 1)];
		found = slow_key(form, query, url, wanted);
		assert_int_equal(read_key(form, query, url, length, text), found);
		assert_memory_equal(text, wanted, found);
		for (size_t i = found; i % ICP_WORD; i++)
			assert_int_equal(text[i], 0);
		narrowed += found != length;
	}
	assert_true(narrowed > 100000);
}

TEST(names)
{
	static const char *const wrong[] = { "",	"urls",	   "url+1",   "host+",
					     "host+16", "host+-1", "host+1x", "hos",
					     "path+ 1", "+1",	   "URL" };
	static const struct {
		const char *name;
		enum url_key_kind kind;
		unsigned int directories;
	} right[] = {
		{ "url", URL_KEY_URL, 0 },
		{ "host", URL_KEY_HOST, 0 },
		{ "host+0", URL_KEY_HOST_DIRECTORIES, 0 },
		{ "host+15", URL_KEY_HOST_DIRECTORIES, 15 },
		{ "path", URL_KEY_PATH, 0 },
		{ "path+3", URL_KEY_PATH_DIRECTORIES, 3 },
	};
	struct url_key_form form;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(url_key_parse(wrong[i], &form), -1);
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(url_key_parse(right[i].name, &form), 0);
		assert_int_equal(form.kind, right[i].kind);
		assert_int_equal(form.directories, right[i].directories);
		assert_int_equal(form.query, 1);
	}
}
