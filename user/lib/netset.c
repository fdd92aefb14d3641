// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/netset.h"
#include "lib/vec.h"

#define MAPPED_BITS 96 /* prefix length of the IPv4-mapped addresses */

static const struct netset_network mapped = {
	.address.s6_addr = { [10] = 0xff, [11] = 0xff },
	.bits = MAPPED_BITS,
};

struct netset {
	struct netset_network *networks;
	size_t count;
};

/* --- single networks */

/* Clear all bits after the first `bits`. */
static void mask(struct in6_addr *address, unsigned int bits)
{
	unsigned int byte = bits / 8;

	if (byte == sizeof(address->s6_addr))
		return;
	address->s6_addr[byte] &= 0xff00 >> bits % 8;
	memset(address->s6_addr + byte + 1, 0, sizeof(address->s6_addr) - byte - 1);
}

static bool contains(const struct netset_network *network, const struct in6_addr *address)
{
	struct in6_addr start = *address;

	mask(&start, network->bits);
	return memcmp(&start, &network->address, sizeof(start)) == 0;
}

/* Format a network for a message; a single address without the bits. */
static void network_text(const struct netset_network *network, bool ipv4, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "";
	unsigned int before = ipv4 ? MAPPED_BITS : 0;

	if (ipv4)
		inet_ntop(AF_INET, network->address.s6_addr + 12, address, sizeof(address));
	else
		inet_ntop(AF_INET6, &network->address, address, sizeof(address));
	if (network->bits == 128)
		snprintf(text, size, "%s", address);
	else
		snprintf(text, size, "%s/%u", address, network->bits - before);
}

static int no_network(const char *text, struct error *error)
{
	return error_set(error,
			 "'%s' is neither an address nor a network; write 192.0.2.1, "
			 "192.0.2.0/24 or 2001:db8::/32, with numbers, not names",
			 text);
}

/* Parse the address before the slash. 1: IPv4, 0: IPv6, -1: neither. */
static int parse_address(const char *text, size_t length, struct in6_addr *address)
{
	char copy[INET6_ADDRSTRLEN];

	if (length >= sizeof(copy))
		return -1;
	memcpy(copy, text, length);
	copy[length] = '\0';
	*address = mapped.address;
	if (inet_pton(AF_INET, copy, address->s6_addr + 12) == 1)
		return 1;
	return inet_pton(AF_INET6, copy, address) == 1 ? 0 : -1;
}

/* Parse the number after the slash. -1: not a number, or more than `max`. */
static int parse_bits(const char *text, unsigned int max, unsigned int *bits)
{
	size_t length = strlen(text);
	unsigned long number;

	if (length == 0 || length > 3 || strspn(text, "0123456789") != length)
		return -1;
	number = strtoul(text, NULL, 10);
	if (number > max)
		return -1;
	*bits = number;
	return 0;
}

int netset_network_parse(const char *text, struct netset_network *network, struct error *error)
{
	size_t length = strcspn(text, "/");
	unsigned int max, bits;
	struct netset_network right;
	char shown[INET6_ADDRSTRLEN + 8], single[INET6_ADDRSTRLEN + 8];
	int ipv4 = parse_address(text, length, &network->address);

	if (ipv4 < 0)
		return no_network(text, error);
	if (!ipv4 && contains(&mapped, &network->address))
		return error_set(error,
				 "'%s' is an IPv4-mapped IPv6 address; write it as "
				 "192.0.2.1 or 192.0.2.0/24",
				 text);
	max = ipv4 ? 32 : 128;
	bits = max;
	if (text[length] && parse_bits(text + length + 1, max, &bits))
		return error_set(error, "'%s': after the slash must be a number from 0 to %u", text,
				 max);
	network->bits = ipv4 ? MAPPED_BITS + bits : bits;
	right = *network;
	mask(&right.address, right.bits);
	if (memcmp(&right.address, &network->address, sizeof(right.address)) == 0)
		return 0;
	network_text(&right, ipv4, shown, sizeof(shown));
	network_text(&(struct netset_network){ network->address, 128 }, ipv4, single,
		     sizeof(single));
	return error_set(error,
			 "'%s' has bits set after the first %u; write %s for the network or %s "
			 "for the single address",
			 text, bits, shown, single);
}

/* --- sets */

struct netset *netset_new(void)
{
	return calloc(1, sizeof(struct netset));
}

void netset_free(struct netset *set)
{
	if (!set)
		return;
	free(set->networks);
	free(set);
}

static int append(struct netset *set, const struct netset_network *network)
{
	struct netset_network *added = vec_append(set->networks, set->count);

	if (!added)
		return -1;
	*added = *network;
	return 0;
}

int netset_add(struct netset *set, const struct netset_network *network)
{
	if (network->bits >= MAPPED_BITS || !contains(network, &mapped.address))
		return append(set, network);
	/* At each bit on the path to ::ffff:0:0/96, add the half without it. */
	for (unsigned int bit = network->bits; bit < MAPPED_BITS; bit++) {
		struct netset_network half = { mapped.address, bit + 1 };

		half.address.s6_addr[bit / 8] ^= 0x80 >> bit % 8;
		mask(&half.address, half.bits);
		if (append(set, &half))
			return -1;
	}
	return 0;
}

/* Order by address, a network before those within it. */
static int compare(const void *left, const void *right)
{
	const struct netset_network *a = left, *b = right;
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	return order ? order : (a->bits > b->bits) - (a->bits < b->bits);
}

void netset_finish(struct netset *set)
{
	size_t kept = 0;

	if (set->count)
		qsort(set->networks, set->count, sizeof(*set->networks), compare);
	for (size_t i = 0; i < set->count; i++)
		if (!kept || !contains(&set->networks[kept - 1], &set->networks[i].address))
			set->networks[kept++] = set->networks[i];
	set->count = kept;
}

bool netset_contains(const struct netset *set, const struct in6_addr *address)
{
	size_t low = 0, high = set->count;

	/* No overlaps: only the last network that begins at or before the address can contain it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(&set->networks[middle].address, address, sizeof(*address)) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low && contains(&set->networks[low - 1], address);
}

size_t netset_count(const struct netset *set)
{
	return set->count;
}

struct netset_network netset_get(const struct netset *set, size_t index)
{
	return set->networks[index];
}
