// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "icpblast/queries.h"
#include "icp/opcode.h"
#include "lib/vec.h"

static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_ERR,
					    ICP_OP_MISS_NOFETCH, ICP_OP_DENIED };

int blast_allowed(const char *text, size_t length, __u32 *allowed, struct error *error)
{
	const char *end = text + length;

	*allowed = 0;
	if (length == strlen("none") && memcmp(text, "none", length) == 0)
		return 0;
	if (length == strlen("any") && memcmp(text, "any", length) == 0) {
		for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
			*allowed |= BLAST_ALLOWED(verdicts[i]);
		return 0;
	}
	for (const char *word = text; word <= end;) {
		const char *comma = memchr(word, ',', end - word);
		size_t size = (comma ? comma : end) - word;
		enum icp_opcode opcode = verdict_from_name(word, size);

		if (opcode == ICP_OP_INVALID)
			return error_set(error,
					 "unknown verdict '%.*s'; it can be " VERDICT_NAMES
					 ", several separated by commas, any, or none (no reply)",
					 (int)size, word);
		*allowed |= BLAST_ALLOWED(opcode);
		word += size + 1;
	}
	return 0;
}

static int add(struct blast_urls *urls, const char *text, size_t length, __u32 allowed,
	       struct error *error)
{
	struct blast_url *url;

	if (memchr(text, '\0', length))
		return error_set(error, "the URL has a NUL byte, which none may contain");
	if (length == 0 || length > BLAST_URL_MAX)
		return error_set(error, "a URL of %zu bytes; it has 1 to %u", length,
				 BLAST_URL_MAX);
	if (urls->count == BLAST_QUERIES_MAX)
		return error_set(error, "more than %u URLs", BLAST_QUERIES_MAX);
	url = vec_append(urls->list, urls->count);
	if (!url)
		return error_set(error, "out of memory");
	url->text = strndup(text, length);
	url->allowed = allowed;
	return url->text ? 0 : error_set(error, "out of memory");
}

int blast_urls_read(struct blast_urls *urls, const char *file, __u32 allowed, struct error *error)
{
	FILE *stream = fopen(file, "re");
	size_t capacity = 0, number = 0;
	char *line = NULL;
	ssize_t length;
	int result = 0;

	*urls = (struct blast_urls){ 0 };
	if (!stream)
		return error_set(error, "%s: %s", file, strerror(errno));
	while (result == 0 && (length = getline(&line, &capacity, stream)) >= 0) {
		__u32 own = allowed;
		char *tab;

		number++;
		if (length && line[length - 1] == '\n')
			length--;
		if (length && line[length - 1] == '\r')
			length--;
		tab = memchr(line, '\t', length);
		if (tab)
			result = blast_allowed(tab + 1, line + length - tab - 1, &own, error);
		if (result == 0)
			result = add(urls, line, tab ? tab - line : length, own, error);
		if (result)
			error_prefix(error, "%s:%zu: ", file, number);
	}
	if (result == 0 && !feof(stream))
		result = error_set(error, "%s: %s", file, strerror(errno));
	if (result == 0 && urls->count == 0)
		result = error_set(error, "%s: the file has no URL", file);
	free(line);
	fclose(stream);
	return result;
}

int blast_urls_make(struct blast_urls *urls, const char *pattern, size_t count, __u32 allowed,
		    struct error *error)
{
	const char *number = strstr(pattern, "%d");
	int before = number ? number - pattern : (int)strlen(pattern);
	char text[BLAST_URL_MAX + 2];

	*urls = (struct blast_urls){ 0 };
	if (!number && count > 1)
		return error_set(error, "the pattern '%s' has no %%d to make %zu URLs from",
				 pattern, count);
	for (size_t i = 0; i < count; i++) {
		int length;

		if (number)
			length = snprintf(text, sizeof(text), "%.*s%zu%s", before, pattern, i,
					  number + 2);
		else
			length = snprintf(text, sizeof(text), "%s", pattern);
		if (add(urls, text, length, allowed, error))
			return -1;
	}
	return 0;
}

void blast_urls_free(struct blast_urls *urls)
{
	for (size_t i = 0; i < urls->count; i++)
		free(urls->list[i].text);
	free(urls->list);
}

/* --- frames */

/* Sum of 16-bit words; `size` is even. */
static __u64 sum_of(const void *bytes, size_t size)
{
	const unsigned char *byte = bytes;
	__u64 sum = 0;

	for (size_t i = 0; i < size; i += 2) {
		__u16 word;

		memcpy(&word, byte + i, sizeof(word));
		sum += word;
	}
	return sum;
}

static void write_ip(void *header, const struct blast_config *config)
{
	if (config->ipv6) {
		struct ipv6hdr *ip = header;

		ip->version = 6;
		ip->nexthdr = IPPROTO_UDP;
		ip->hop_limit = 64;
		memcpy(&ip->saddr, config->own, sizeof(ip->saddr));
		memcpy(&ip->daddr, config->address, sizeof(ip->daddr));
	} else {
		struct iphdr *ip = header;

		ip->version = 4;
		ip->ihl = sizeof(*ip) / 4;
		ip->frag_off = host_to_be16(0x4000); /* don't fragment */
		ip->ttl = 64;
		ip->protocol = IPPROTO_UDP;
		ip->saddr = (ICP_FORCE __be32)config->own[3];
		ip->daddr = (ICP_FORCE __be32)config->address[3];
	}
}

void blast_headers_make(struct blast_config *config)
{
	unsigned char buffer[sizeof(config->headers) + ICP_WORD]
		__attribute__((aligned(8))) = { 0 };
	unsigned char *frame = buffer + blast_lead(config->ipv6, true);
	struct ethhdr *ethernet = (struct ethhdr *)frame;
	unsigned char *udp = frame + blast_udp_offset(config->ipv6);
	struct udphdr header = { .dest = config->port };
	struct icp_query query = { .header = { .opcode = ICP_OP_QUERY, .version = ICP_VERSION } };

	memcpy(ethernet->h_dest, config->mac, ETH_ALEN);
	memcpy(ethernet->h_source, config->own_mac, ETH_ALEN);
	ethernet->h_proto = host_to_be16(config->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	memcpy(udp, &header, sizeof(header));
	memcpy(udp + sizeof(header), &query, sizeof(query));
	write_ip(ethernet + 1, config);
	memcpy(config->headers, frame, blast_headers(config->ipv6, true));
}

void blast_query_make(struct blast_query *query, size_t size, const struct blast_config *config,
		      const char *url, __u32 allowed)
{
	const unsigned char *headers = (const unsigned char *)config->headers;
	__u32 offset = blast_udp_offset(config->ipv6);
	size_t url_size = strlen(url) + 1;
	__u16 message_size = ICP_QUERY_HEADER_SIZE + url_size;
	__u16 udp_size = sizeof(struct udphdr) + message_size;
	__u16 ip_size = sizeof(struct iphdr) + udp_size;

	memset(query, 0, size);
	query->allowed = allowed;
	query->url_size = url_size;
	memcpy(query->url, url, url_size);
	/* The byte after an odd URL is zero. */
	query->url_sum = checksum_fold(sum_of(query->url, (url_size + 1) / 2 * 2));
	query->ip_check =
		~checksum_fold(sum_of(headers + sizeof(struct ethhdr), sizeof(struct iphdr)) +
			       (ICP_FORCE __u16)host_to_be16(ip_size));
	/* The UDP length counts twice, once in the pseudo-header. */
	query->sum = checksum_fold(
		sum_of(config->own, sizeof(config->own)) +
		sum_of(config->address, sizeof(config->address)) +
		(ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
		2ull * (ICP_FORCE __u16)host_to_be16(udp_size) +
		(ICP_FORCE __u16)host_to_be16(message_size) +
		sum_of(headers + offset, sizeof(struct udphdr) + ICP_QUERY_HEADER_SIZE) +
		query->url_sum);
}

/* --- draws */

static __u64 next_random(__u64 *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static double next_fraction(__u64 *state)
{
	return (next_random(state) >> 11) * 0x1p-53;
}

/* Binary search: index of the first number in a sorted list that is larger than `value`. */
static size_t first_above(const double *list, size_t count, double value)
{
	size_t low = 0, high = count - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (list[middle] > value)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool blast_draw(__u32 *draws, size_t size, size_t count, double exponent, __u64 seed)
{
	__u64 state = seed * 2 + 1; /* never 0 */
	double *sums, sum = 0;

	if (exponent == 0) {
		for (size_t i = 0; i < size; i++)
			draws[i] = (next_random(&state) >> 32) * count >> 32;
		return true;
	}
	sums = calloc(count, sizeof(*sums));
	if (!sums)
		return false;
	for (size_t i = 0; i < count; i++)
		sums[i] = sum += pow(i + 1.0, -exponent);
	for (size_t i = 0; i < size; i++)
		draws[i] = first_above(sums, count, next_fraction(&state) * sum);
	free(sums);
	return true;
}
