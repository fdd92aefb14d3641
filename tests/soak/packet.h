/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offsets, byte order and checksums of frames that may be wrong in every way, so by bytes. Written
 * from the RFCs alone: what is tested must not judge itself.
 */
#ifndef XDP_ICP_SOAK_PACKET_H
#define XDP_ICP_SOAK_PACKET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define UDP_HEADER 8u
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_HEADER 8u

static inline unsigned int get16(const unsigned char *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

static inline uint32_t get32(const unsigned char *bytes)
{
	return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static inline void put16(unsigned char *bytes, unsigned int value)
{
	bytes[0] = value >> 8;
	bytes[1] = value;
}

static inline void put32(unsigned char *bytes, uint32_t value)
{
	put16(bytes, value >> 16);
	put16(bytes + 2, value);
}

/* Adds up `size` bytes as RFC 1071 does, not folded. */
static inline uint64_t sum_bytes(uint64_t sum, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += get16(bytes + i);
	return size % 2 ? sum + (bytes[size - 1] << 8) : sum;
}

static inline unsigned int sum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of the pseudo-header of UDP; the addresses lie one behind the other, `size` bytes together. */
static inline uint64_t sum_pseudo(const unsigned char *addresses, size_t size, unsigned int length)
{
	return sum_bytes(IPPROTO_UDP + length, addresses, size);
}

static inline bool is_vlan(unsigned int ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

static inline bool is_ipv4(const struct in6_addr *address)
{
	return IN6_IS_ADDR_V4MAPPED(address);
}

#endif
