// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <string.h>

#include "lib/url.h"
#include "readings.h"

/* Without a scheme, a port or nothing must follow the host, or `urn:x` would be a host. */
static bool is_port(const char *text, size_t length)
{
	if (length == 0)
		return true;
	if (length < 2 || text[0] != ':')
		return false;
	for (size_t i = 1; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

bool url_host_find(const char *url, size_t length, const char **host, size_t *host_length)
{
	struct host_place place;
	const char *end; /* of the host */

	switch (host_find(&place, (const __u8 *)url, length)) {
	case HOST_NONE:
		return false;
	case HOST_BRACKET:
		end = memchr(url + place.begin, ']', place.end - place.begin);
		if (!end)
			return false;
		end++;
		break;
	case HOST_NAME:
	case HOST_PORT:
		end = url + place.colon;
		break;
	}
	*host = url + place.begin;
	*host_length = end - *host;
	return place.scheme || is_port(end, url + place.end - end);
}

/* Not tolower(): URLs are bytes, independent of the locale. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
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
	length = host_trim((const __u8 *)host, length);
	for (size_t i = 0; i < length; i++)
		normal[i] = lower(host[i]);
	return length;
}
