// SPDX-License-Identifier: GPL-2.0-or-later
/* What this host has and what is listened on: which packets the kernel may then answer. */
#include <arpa/inet.h>

#include "xdp/destinations.h"
#include "support/test.h"

#define LO 1
#define ETH0 2
#define ETH1 3
#define GONE 9

static struct network_link links[] = {
	{ LO, true, { 0 } },
	{ ETH0, false, { 2, 0, 0, 0, 0, 0xe0 } },
	{ ETH1, false, { 2, 0, 0, 0, 0, 0xe1 } },
};

static const struct {
	const char *address;
	unsigned int ifindex;
	bool broadcast;
} host[] = {
	{ "127.0.0.1", LO, false },
	{ "127.1.2.3", LO, false },
	{ "::1", LO, false },
	{ "10.9.9.9", LO, false }, /* an anycast service's */
	{ "192.0.2.1", ETH0, false },
	{ "192.0.2.255", ETH0, true },
	{ "2001:db8::1", ETH0, false },
	{ "fe80::1", ETH0, false },
	{ "198.51.100.1", ETH1, false },
	{ "198.51.100.255", ETH1, true },
	{ "fe80::2", ETH1, false },
};

#define HOST_SIZE (sizeof(host) / sizeof(host[0]))

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address = { 0 };

	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	} else {
		address.s6_addr[10] = address.s6_addr[11] = 0xff;
		assert_int_equal(inet_pton(AF_INET, text, &address.s6_addr[12]), 1);
	}
	return address;
}

/* "ADDRESS PORT" */
static struct sockaddr_storage listen_of(const char *text)
{
	struct sockaddr_storage listen = { 0 };
	char address[64];
	unsigned int port;

	assert_int_equal(sscanf(text, "%63s %u", address, &port), 2);
	if (strchr(address, ':')) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&listen;

		in6->sin6_family = AF_INET6;
		in6->sin6_addr = address_of(address);
		in6->sin6_port = htons(port);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&listen;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
	}
	return listen;
}

/* An entry as a line, as the tables below have them. */
static void entry_text(const struct kernel_destination *entry, char text[128])
{
	const struct in6_addr *address = (const struct in6_addr *)entry->key.address;
	const uint8_t *mac = entry->value.mac;
	char name[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr[12], name, sizeof(name));
	else
		inet_ntop(AF_INET6, address, name, sizeof(name));
	assert_int_equal(entry->key.zero, 0);
	/* All MAC addresses here differ in their last byte alone. */
	snprintf(text, 128, "%u %s %u %02x%s\n", entry->key.ifindex, name, ntohs(entry->key.port),
		 mac[5], entry->value.kind == DESTINATION_BROADCAST ? " broadcast" : "");
	assert_true(mac[0] == (mac[5] ? 2 : 0) && !mac[1] && !mac[2] && !mac[3] && !mac[4]);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct row {
	const char *name;
	const char *listen[4];
	unsigned int interfaces[4];
	const char *expected; /* lines: interface, address, port, the MAC's last byte; sorted */
};

static const struct row rows[] = {
	{ "all of IPv4 on one interface",
	  { "0.0.0.0 3130" },
	  { ETH0 },
	  "2 10.9.9.9 3130 e0\n"
	  "2 192.0.2.1 3130 e0\n"
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.1 3130 e0\n"
	  "2 198.51.100.255 0 00 broadcast\n" },
	{ "all of IPv6 on one interface",
	  { ":: 3130" },
	  { ETH0 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n"
	  "2 2001:db8::1 3130 e0\n"
	  "2 fe80::1 3130 e0\n" },
	{ "both on another interface",
	  { "0.0.0.0 3130", ":: 3130" },
	  { ETH1 },
	  "3 10.9.9.9 3130 e1\n"
	  "3 192.0.2.1 3130 e1\n"
	  "3 192.0.2.255 0 00 broadcast\n"
	  "3 198.51.100.1 3130 e1\n"
	  "3 198.51.100.255 0 00 broadcast\n"
	  "3 2001:db8::1 3130 e1\n"
	  "3 fe80::2 3130 e1\n" },
	{ "the loopback interface",
	  { "0.0.0.0 3130", ":: 3130" },
	  { LO },
	  "1 10.9.9.9 3130 00\n"
	  "1 127.0.0.1 3130 00\n"
	  "1 127.1.2.3 3130 00\n"
	  "1 192.0.2.1 3130 00\n"
	  "1 192.0.2.255 0 00 broadcast\n"
	  "1 198.51.100.1 3130 00\n"
	  "1 198.51.100.255 0 00 broadcast\n"
	  "1 2001:db8::1 3130 00\n"
	  "1 ::1 3130 00\n" },
	{ "loopback addresses elsewhere",
	  { "127.0.0.1 3130", "::1 3130" },
	  { ETH0, ETH1 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n"
	  "3 192.0.2.255 0 00 broadcast\n"
	  "3 198.51.100.255 0 00 broadcast\n" },
	{ "loopback addresses",
	  { "127.0.0.1 3130", "::1 3130" },
	  { LO },
	  "1 127.0.0.1 3130 00\n"
	  "1 192.0.2.255 0 00 broadcast\n"
	  "1 198.51.100.255 0 00 broadcast\n"
	  "1 ::1 3130 00\n" },
	{ "one address, two interfaces, two ports",
	  { "192.0.2.1 3130", "192.0.2.1 3131" },
	  { ETH0, ETH1 },
	  "2 192.0.2.1 3130 e0\n"
	  "2 192.0.2.1 3131 e0\n"
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n"
	  "3 192.0.2.1 3130 e1\n"
	  "3 192.0.2.1 3131 e1\n"
	  "3 192.0.2.255 0 00 broadcast\n"
	  "3 198.51.100.255 0 00 broadcast\n" },
	{ "one IPv6 address",
	  { "2001:db8::1 4000" },
	  { ETH1 },
	  "3 192.0.2.255 0 00 broadcast\n"
	  "3 198.51.100.255 0 00 broadcast\n"
	  "3 2001:db8::1 4000 e1\n" },
	{ "an address that this host has not",
	  { "192.0.2.2 3130", "2001:db8::2 3130" },
	  { ETH0 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n" },
	{ "a broadcast address",
	  { "192.0.2.255 3130" },
	  { ETH0 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n" },
	{ "groups",
	  { "239.1.2.3 3130", "ff02::1 3130" },
	  { ETH0 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n" },
	{ "a link-local address",
	  { "fe80::1 3130" },
	  { ETH0, ETH1 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n"
	  "2 fe80::1 3130 e0\n"
	  "3 192.0.2.255 0 00 broadcast\n"
	  "3 198.51.100.255 0 00 broadcast\n" },
	{ "an interface that is gone", { "0.0.0.0 3130" }, { GONE }, "" },
	{ "one that is gone and one that is not",
	  { "192.0.2.1 3130" },
	  { GONE, ETH0 },
	  "2 192.0.2.1 3130 e0\n"
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n" },
	{ "no interface", { "0.0.0.0 3130" }, { 0 }, "" },
	{ "nothing listened on",
	  { NULL },
	  { ETH0 },
	  "2 192.0.2.255 0 00 broadcast\n"
	  "2 198.51.100.255 0 00 broadcast\n" },
};

static void destinations_row(void **state)
{
	const struct row *row = *state;
	struct network_address addresses[HOST_SIZE];
	const struct network network = {
		.links = links,
		.link_count = sizeof(links) / sizeof(links[0]),
		.addresses = addresses,
		.address_count = HOST_SIZE,
	};
	struct sockaddr_storage listen[4];
	size_t listen_count = 0, interface_count = 0, count;
	struct kernel_destination *list;
	char lines[64][128], text[64 * 128] = "";

	for (size_t i = 0; i < HOST_SIZE; i++)
		addresses[i] = (struct network_address){ .address = address_of(host[i].address),
							 .ifindex = host[i].ifindex,
							 .broadcast = host[i].broadcast };
	while (listen_count < 4 && row->listen[listen_count]) {
		listen[listen_count] = listen_of(row->listen[listen_count]);
		listen_count++;
	}
	while (interface_count < 4 && row->interfaces[interface_count])
		interface_count++;
	list = destinations(listen, listen_count, &network, row->interfaces, interface_count,
			    &count);
	assert_non_null(list);
	assert_true(count <= 64);
	for (size_t i = 0; i < count; i++)
		entry_text(&list[i], lines[i]);
	qsort(lines, count, sizeof(lines[0]), compare_lines);
	for (size_t i = 0; i < count; i++)
		strcat(text, lines[i]);
	free(list);
	assert_string_equal(text, row->expected);
}

/* An address asked for twice stands there once or twice, and says the same. */
TEST(wildcard_and_address)
{
	struct network_address address = { .address = address_of("192.0.2.1"), .ifindex = ETH0 };
	const struct network network = { links, 3, &address, 1 };
	const struct sockaddr_storage listen[] = { listen_of("0.0.0.0 3130"),
						   listen_of("192.0.2.1 3130") };
	const unsigned int interface = ETH0;
	struct kernel_destination *list;
	size_t count;

	list = destinations(listen, 2, &network, &interface, 1, &count);
	assert_non_null(list);
	assert_true(count == 1 || count == 2);
	if (count == 2)
		assert_memory_equal(&list[0], &list[1], sizeof(list[0]));
	free(list);
}

TEST(a_host_without_addresses)
{
	const struct network network = { links, 3, NULL, 0 };
	const struct sockaddr_storage listen = listen_of("0.0.0.0 3130");
	const unsigned int interface = ETH0;
	struct kernel_destination *list;
	size_t count = 7;

	list = destinations(&listen, 1, &network, &interface, 1, &count);
	assert_non_null(list);
	assert_int_equal(count, 0);
	free(list);
}

#define ROWS (sizeof(rows) / sizeof(rows[0]))

__attribute__((constructor)) static void add_rows(void)
{
	for (size_t i = 0; i < ROWS; i++)
		test_add(rows[i].name, destinations_row, (void *)&rows[i]);
}
