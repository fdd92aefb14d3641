// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sockaddr.h"

/* Return 0 for what is not a port. */
static unsigned int parse_port(const char *text)
{
	unsigned long port = 0;

	if (strspn(text, "0123456789") == strlen(text) && strlen(text) <= 5)
		port = strtoul(text, NULL, 10);
	return port <= 65535 ? port : 0;
}

static bool parse_host(const char *host, bool brackets, unsigned int port,
		       struct sockaddr_storage *address)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;

	memset(address, 0, sizeof(*address));
	if (brackets) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

int sockaddr_parse(const char *text, unsigned int port, struct sockaddr_storage *address,
		   struct error *error)
{
	bool brackets = text[0] == '[';
	char host[INET6_ADDRSTRLEN];
	size_t length = strcspn(text + brackets, brackets ? "]" : ":");
	const char *rest = text + brackets + length;
	unsigned int example = port;

	if (brackets && *rest == ']')
		rest++;
	else if (brackets)
		length = sizeof(host); /* no closing bracket */
	if (*rest == ':')
		port = parse_port(rest + 1);
	else if (*rest)
		length = sizeof(host);
	if (length < sizeof(host)) {
		memcpy(host, text + brackets, length);
		host[length] = '\0';
		if (port && parse_host(host, brackets, port, address))
			return 0;
	}
	return error_set(error,
			 "bad address '%s'; write it as 192.0.2.1:%u or [2001:db8::1]:%u, "
			 "with numbers, not names",
			 text, example, example);
}

int sockaddr_bind(int fd, const struct sockaddr_storage *address, const char *option,
		  struct error *error)
{
	char text[SOCKADDR_TEXT_SIZE];
	const char *remedy = "";

	if (bind(fd, (const struct sockaddr *)address,
		 address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						: sizeof(struct sockaddr_in)) == 0)
		return 0;
	sockaddr_text(address, text);
	if (errno == EADDRINUSE)
		return error_set(error,
				 "%s %s: %s; another process has it: stop that, or change `%s`",
				 option, text, strerror(errno), option);
	if (errno == EADDRNOTAVAIL)
		remedy = "; no interface has this address: `ip address` lists them";
	else if (errno == EACCES)
		remedy = "; ports below 1024 need root";
	return error_set(error, "%s %s: %s%s", option, text, strerror(errno), remedy);
}

void sockaddr_text(const struct sockaddr_storage *address, char text[SOCKADDR_TEXT_SIZE])
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	char host[INET6_ADDRSTRLEN] = "";

	if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, SOCKADDR_TEXT_SIZE, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, SOCKADDR_TEXT_SIZE, "%s:%u", host, ntohs(in->sin_port));
	}
}
