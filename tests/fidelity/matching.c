// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "matching.h"

/* --- texts */

bool text_begins_with(struct text url, struct text text)
{
	return text.length <= url.length && memcmp(url.at, text.at, text.length) == 0;
}

bool text_ends_in(struct text url, struct text text)
{
	return text.length <= url.length &&
	       memcmp(url.at + url.length - text.length, text.at, text.length) == 0;
}

bool text_contains(struct text url, struct text text)
{
	return strstr(url.at, text.at) != NULL;
}

/* --- glob: *, ?, [set], [!set], \ */

/* Is `c` in the set that begins behind `[`? `*end` is behind its `]`. */
static bool in_set(const char *set, unsigned char c, const char **end)
{
	bool negated = *set == '!' || *set == '^', found = false;
	const char *first = set += negated;

	for (; *set != ']' || set == first; set++) {
		unsigned char low = *set, high = low;

		if (set[1] == '-' && set[2] != ']') {
			high = set[2];
			set += 2;
		}
		found = found || (c >= low && c <= high);
	}
	*end = set + 1;
	return found != negated;
}

/*
 * `fits[i]`: what was read of the pattern fits the first i bytes of the URL. One element of the
 * pattern after the other moves that on.
 */
bool fits_glob(struct text url, const char *pattern)
{
	bool fits[url.length + 1], next[url.length + 1];

	memset(fits, 0, sizeof(fits));
	fits[0] = true;
	while (*pattern) {
		const char *end = pattern + 1;

		memset(next, 0, sizeof(next));
		if (*pattern == '*') {
			bool any = false;

			for (size_t i = 0; i <= url.length; i++)
				next[i] = any = any || fits[i];
		} else {
			if (*pattern == '\\')
				end++;
			if (*pattern == '[') /* also where there is no byte to look at */
				in_set(pattern + 1, 0, &end);
			for (size_t i = 0; i < url.length; i++)
				if (fits[i])
					next[i + 1] = *pattern == '\\'	? url.at[i] == pattern[1]
						      : *pattern == '?' ? true
						      : *pattern == '['
							      ? in_set(pattern + 1, url.at[i], &end)
							      : url.at[i] == *pattern;
		}
		memcpy(fits, next, sizeof(fits));
		pattern = end;
	}
	return fits[url.length];
}

/* --- regex: literals, ., [set], [^set], (a|b), ? * +, ^ $, \ before what is meant literally */

/*
 * As with the glob: `from` are the places in the URL where the pattern may have got to, `to` those
 * where it may get with one more element.
 */
static const char *alternatives(const char *pattern, struct text url, const bool *from, bool *to);

/* One element without its ? * +. Returns what follows it. */
static const char *element(const char *pattern, struct text url, const bool *from, bool *to)
{
	const char *end = pattern + (*pattern == '\\' ? 2 : 1);

	memset(to, 0, url.length + 1);
	if (*pattern == '(')
		return alternatives(pattern + 1, url, from, to) + 1;
	if (*pattern == '^' || *pattern == '$') {
		size_t place = *pattern == '^' ? 0 : url.length;

		to[place] = from[place];
		return end;
	}
	if (*pattern == '[')
		in_set(pattern + 1, 0, &end);
	for (size_t i = 0; i < url.length; i++)
		if (from[i])
			to[i + 1] = *pattern == '\\'  ? url.at[i] == pattern[1]
				    : *pattern == '.' ? true
				    : *pattern == '[' ? in_set(pattern + 1, url.at[i], &end)
						      : url.at[i] == *pattern;
	return end;
}

static const char *repeated(const char *pattern, struct text url, const bool *from, bool *to)
{
	bool reached[url.length + 1], step[url.length + 1];
	const char *end = element(pattern, url, from, reached);
	bool more = *end == '*' || *end == '+';

	memcpy(to, reached, sizeof(reached));
	while (more) {
		more = false;
		element(pattern, url, reached, step);
		for (size_t i = 0; i <= url.length; i++) {
			reached[i] = step[i] && !to[i];
			to[i] = to[i] || step[i];
			more = more || reached[i];
		}
	}
	for (size_t i = 0; (*end == '*' || *end == '?') && i <= url.length; i++)
		to[i] = to[i] || from[i];
	return *end && strchr("*+?", *end) ? end + 1 : end;
}

static const char *alternatives(const char *pattern, struct text url, const bool *from, bool *to)
{
	bool before[url.length + 1], after[url.length + 1];

	memset(to, 0, url.length + 1);
	for (;; pattern++) {
		memcpy(before, from, sizeof(before));
		while (*pattern && *pattern != '|' && *pattern != ')') {
			pattern = repeated(pattern, url, before, after);
			memcpy(before, after, sizeof(before));
		}
		for (size_t i = 0; i <= url.length; i++)
			to[i] = to[i] || before[i];
		if (*pattern != '|')
			return pattern;
	}
}

bool found_regex(struct text url, const char *pattern)
{
	bool from[url.length + 1], to[url.length + 1];

	memset(from, true, sizeof(from)); /* it may begin anywhere, and end anywhere */
	alternatives(pattern, url, from, to);
	return memchr(to, true, sizeof(to)) != NULL;
}

/* --- host */

static bool is_alphabetic(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_decimal(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_scheme(struct text text)
{
	for (size_t i = 0; i < text.length; i++)
		if (!is_alphabetic(text.at[i]) &&
		    (i == 0 || (!is_decimal(text.at[i]) && !strchr("+-.", text.at[i]))))
			return false;
	return text.length != 0;
}

/* SCHEME://AUTHORITY, or HOST[:PORT] as of CONNECT: the host without user and port. */
bool find_host(struct text url, struct text *host)
{
	const char *at = url.at, *end, *colon = at;
	bool scheme = false;

	while (is_alphabetic(*colon) || (colon > at && (is_decimal(*colon) || *colon == '+' ||
							*colon == '-' || *colon == '.')))
		colon++;
	if (colon > at && strncmp(colon, "://", 3) == 0) {
		scheme = true;
		at = colon + 3;
	}
	end = at + strcspn(at, "/?#");
	for (const char *c = at; c < end; c++)
		if (*c == '@')
			at = c + 1;
	if (at < end && *at == '[') { /* the colons of an address are none before a port */
		colon = memchr(at, ']', end - at);
		if (!colon)
			return false;
		colon++;
	} else {
		colon = memchr(at, ':', end - at);
		if (!colon)
			colon = end;
	}
	if (!scheme && colon != end && (*colon != ':' || colon + 1 == end))
		return false;
	for (const char *c = colon + 1; !scheme && c < end; c++)
		if (!is_decimal(*c))
			return false;
	*host = (struct text){ at, colon - at };
	return host->length != 0;
}

bool has_plain_host(struct text url)
{
	const char *slashes = strstr(url.at, "://");
	const char *authority = slashes ? slashes + 3 : url.at;
	size_t length = strcspn(authority, "/?#");

	if (memchr(authority, '[', length) || (!slashes && memchr(authority, ':', length)))
		return false;
	/* What stands before :// may be no scheme. */
	if (slashes && !is_scheme((struct text){ url.at, slashes - url.at }))
		return false;
	return length < 255;
}

/* Lower case, no dot at the end, addresses in one spelling. `normal`: length + 64 bytes. */
struct text normal_host(struct text host, char *normal)
{
	unsigned char address[16];

	memcpy(normal, host.at, host.length);
	if (host.length > 1 && normal[host.length - 1] == '.')
		host.length--;
	normal[host.length] = '\0';
	for (size_t i = 0; i < host.length; i++)
		if (normal[i] >= 'A' && normal[i] <= 'Z')
			normal[i] += 'a' - 'A';
	if (normal[0] == '[' && normal[host.length - 1] == ']') {
		normal[host.length - 1] = '\0';
		if (inet_pton(AF_INET6, normal + 1, address) == 1)
			inet_ntop(AF_INET6, address, normal + 1, 46);
		host.length = strlen(normal) + 1;
		normal[host.length - 1] = ']';
		normal[host.length] = '\0';
	}
	return (struct text){ normal, host.length };
}

/* How specific an entry is for a host; 0: not at all. */
size_t host_fits(struct text host, struct text entry)
{
	char buffer[entry.length + 64];
	bool domain = entry.at[0] == '.';
	struct text name = { entry.at + domain, entry.length - domain };

	name = normal_host(name, buffer);
	if (text_equal(host, name))
		return domain ? name.length : (size_t)-1;
	if (domain && text_ends_in(host, name) && host.length > name.length &&
	    host.at[host.length - name.length - 1] == '.')
		return name.length;
	return 0;
}

/* --- source */

bool in_network(const uint8_t address[16], const char *network)
{
	uint8_t base[16] = { 0 };
	size_t length = strcspn(network, "/");
	unsigned int bits;
	char text[64];

	memcpy(text, network, length);
	text[length] = '\0';
	if (strchr(text, ':')) {
		static const uint8_t v4[12] = { [10] = 0xff, 0xff };

		inet_pton(AF_INET6, text, base);
		bits = network[length] ? atoi(network + length + 1) : 128;
		if (memcmp(address, v4, 12) == 0) /* IPv4 */
			return false;
	} else {
		base[10] = base[11] = 0xff;
		inet_pton(AF_INET, text, base + 12);
		bits = 96 + (network[length] ? atoi(network + length + 1) : 32);
	}
	for (unsigned int bit = 0; bit < bits; bit++)
		if ((address[bit / 8] ^ base[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}
