// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <string.h>

#include "lib/url.h"

/* Not tolower(): URLs are bytes, independent of the locale. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static bool is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Return the bytes of SCHEME:// (RFC 3986 section 3.1) at the beginning of a URL, or 0. */
static size_t scheme_length(const char *url, size_t length)
{
	size_t i = 0;

	if (length == 0 || !is_letter(url[0]))
		return 0;
	while (i < length &&
	       (is_letter(url[i]) || is_digit(url[i]) || (url[i] && strchr("+-.", url[i]))))
		i++;
	return length - i >= 3 && memcmp(url + i, "://", 3) == 0 ? i + 3 : 0;
}

/* Return the bytes of the authority, which ends before path, query or fragment. */
static size_t authority_length(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] == '/' || text[i] == '?' || text[i] == '#')
			return i;
	return length;
}

/* Without a scheme, the host must be followed by a port or nothing, or `urn:x` would be a host. */
static bool is_port(const char *text, size_t length)
{
	if (length == 0)
		return true;
	if (length < 2 || text[0] != ':')
		return false;
	for (size_t i = 1; i < length; i++)
		if (!is_digit(text[i]))
			return false;
	return true;
}

bool url_host_find(const char *url, size_t length, const char **host, size_t *host_length)
{
	size_t scheme = scheme_length(url, length), found;
	const char *text = url + scheme, *end, *at;

	length = authority_length(text, length - scheme);
	/* The last one: a user name may contain others, for Squid and for servers. */
	at = memrchr(text, '@', length);
	if (at) {
		length -= at + 1 - text;
		text = at + 1;
	}
	if (length && text[0] == '[') {
		end = memchr(text, ']', length);
		if (!end)
			return false;
		found = end + 1 - text;
	} else {
		end = memchr(text, ':', length);
		found = end ? (size_t)(end - text) : length;
	}
	if (found == 0 || (!scheme && !is_port(text + found, length - found)))
		return false;
	*host = text;
	*host_length = found;
	return true;
}

/* Write the normal form of [ADDRESS]; 0: it is not an IPv6 address. */
static size_t normal_address(const char *host, size_t length, char *normal)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	size_t used;

	if (length < 2 || length - 2 >= sizeof(text) || host[0] != '[' || host[length - 1] != ']')
		return 0;
	memcpy(text, host + 1, length - 2);
	text[length - 2] = '\0';
	if (inet_pton(AF_INET6, text, &address) != 1)
		return 0;
	inet_ntop(AF_INET6, &address, text, sizeof(text));
	used = strlen(text);
	normal[0] = '[';
	memcpy(normal + 1, text, used);
	normal[used + 1] = ']';
	return used + 2;
}

size_t url_host_normalize(const char *host, size_t length, char *normal)
{
	size_t used = normal_address(host, length, normal);

	if (used)
		return used;
	if (length > 1 && host[length - 1] == '.')
		length--;
	for (size_t i = 0; i < length; i++)
		normal[i] = lower(host[i]);
	return length;
}
