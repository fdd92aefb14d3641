// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An entry decides nothing if it begins with an entry of an earlier policy, because that policy
 * matches everything that this entry matches. Sorted by their bytes, the entries that the current
 * one begins with are the one before it and those that this begins with. A network is taken as the
 * text of its bits.
 *
 * An earlier policy with `not` matches everything that begins with none of its entries. So an entry
 * decides nothing either if it neither begins with one of them nor is the beginning of one.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/shadow.h"
#include "lib/byteset.h"
#include "lib/bytesort.h"
#include "lib/escape.h"
#include "lib/netset.h"
#include "maps.h"

#define SOURCES URL_READINGS /* stands for a reading */
#define ADDRESS_BITS 128
#define SHOWN 64 /* bytes of an entry */

/* The entries of one reading, or the networks, of all policies without `not`. */
struct entries {
	struct bytesort_item *list; /* the numbers are ranks */
	size_t count;
	char *bits; /* the texts of the networks, ADDRESS_BITS each; NULL: none */

	/* By index: of the longest entry that this one begins with, or of none, SIZE_MAX. */
	size_t *parents;
	__u32 *least; /* the least rank of this one and those that it begins with */
};

static int reading_of(const struct policy *policy)
{
	return policy->kind->basis == POLICY_BASIS_SOURCE ? SOURCES : (int)policy->kind->reading;
}

/* The number of entries; 0 for a policy of another kind. */
static size_t entry_count(const struct policy *policy)
{
	if (policy->kind->basis == POLICY_BASIS_SOURCE)
		return netset_count(policy->kind->sources(policy));
	return policy_texts(policy) ? byteset_count(policy_texts(policy)) : 0;
}

/* --- the entries of a reading */

static void write_bits(const struct netset_network *network, char *bits)
{
	for (unsigned int i = 0; i < network->bits; i++)
		bits[i] = network->address.s6_addr[i / 8] >> (7 - i % 8) & 1;
}

static void add_policy(struct entries *entries, const struct policy *policy, __u32 rank)
{
	size_t count = entry_count(policy);

	for (size_t i = 0; i < count; i++) {
		struct bytesort_item *item = &entries->list[entries->count++];

		item->number = rank;
		if (entries->bits) {
			struct netset_network network =
				netset_get(policy->kind->sources(policy), i);
			char *bits = entries->bits + ADDRESS_BITS * (entries->count - 1);

			write_bits(&network, bits);
			item->text = bits;
			item->length = network.bits;
		} else {
			struct byteset_member member = byteset_get(policy_texts(policy), i);

			item->text = member.text;
			item->length = member.length;
		}
	}
}

static void close_entries(struct entries *entries)
{
	free(entries->list);
	free(entries->bits);
	free(entries->parents);
	free(entries->least);
}

/* Returns -1: out of memory. */
static int collect(struct entries *entries, const struct chain *chain, int reading)
{
	size_t count = 0;

	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (reading_of(chain_policy(chain, rank)) == reading)
			count += entry_count(chain_policy(chain, rank));
	*entries = (struct entries){
		.list = calloc(count + 1, sizeof(*entries->list)),
		.bits = reading == SOURCES ? malloc((count + 1) * ADDRESS_BITS) : NULL,
		.parents = calloc(count + 1, sizeof(*entries->parents)),
		.least = calloc(count + 1, sizeof(*entries->least)),
	};
	if (!entries->list || !entries->parents || !entries->least ||
	    (reading == SOURCES && !entries->bits))
		return -1;
	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (!policy->negate && reading_of(policy) == reading)
			add_policy(entries, policy, rank);
	}
	bytesort(entries->list, entries->count);
	return 0;
}

/* --- what an entry is shadowed by */

static bool begins_with(const struct bytesort_item *item, const char *text, size_t length)
{
	return length <= item->length && memcmp(item->text, text, length) == 0;
}

/* Fill in what is known of the entry of an index. Returns the least rank that it begins with. */
static __u32 climb(struct entries *entries, size_t index)
{
	const struct bytesort_item *item = &entries->list[index];
	size_t above = index ? index - 1 : SIZE_MAX;
	__u32 least;

	while (above != SIZE_MAX &&
	       !begins_with(item, entries->list[above].text, entries->list[above].length))
		above = entries->parents[above];
	least = above == SIZE_MAX ? RANK_NONE : entries->least[above];
	entries->parents[index] = above;
	entries->least[index] = item->number < least ? item->number : least;
	return least;
}

/* Is the entry the beginning of a member, or does it begin with one? */
static bool meets(const struct bytesort_item *item, const struct byteset *set)
{
	size_t low = 0, high = byteset_count(set);
	struct byteset_member member;

	if (byteset_longest(set, item->text, item->length, &member))
		return true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		member = byteset_get(set, middle);
		if (byteset_compare(member.text, member.length, item->text, item->length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == byteset_count(set))
		return false;
	member = byteset_get(set, low);
	return member.length >= item->length && memcmp(member.text, item->text, item->length) == 0;
}

/* The first policy with `not` before the entry's own that matches all that the entry matches. */
static __u32 complement(const struct chain *chain, const struct bytesort_item *item, int reading)
{
	for (__u32 rank = 0; rank < item->number; rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (policy->negate && policy_texts(policy) && reading_of(policy) == reading &&
		    !meets(item, policy_texts(policy)))
			return rank;
	}
	return RANK_NONE;
}

/* --- the result */

static void show_network(const struct bytesort_item *item, char *text, size_t size)
{
	struct query query = { 0 };
	char address[INET6_ADDRSTRLEN];
	unsigned int bits = item->length;

	for (unsigned int i = 0; i < bits; i++)
		query.source.s6_addr[i / 8] |= item->text[i] << (7 - i % 8);
	query_source_text(&query, address);
	snprintf(text, size, "%s/%u", address, strchr(address, ':') ? bits : bits - 96);
}

/* As it was written: backward, and without the NUL that ends a whole URL or host. */
static void show_text(const struct bytesort_item *item, int reading, char *text, size_t size)
{
	size_t length = item->length < SHOWN ? item->length : SHOWN;
	bool whole = length && item->text[length - 1] == '\0';
	char bytes[SHOWN + 1];

	length -= whole;
	/* The dot before a whole host is not written, unlike that before a domain. */
	length -= whole && reading == URL_HOST && length && item->text[length - 1] == '.';
	for (size_t i = 0; i < length; i++)
		bytes[i] = item->text[reading == URL_FORWARD ? i : length - 1 - i];
	bytes[length] = '\0';
	escape_line(bytes, text, size);
}

static void note(const struct chain *chain, const struct bytesort_item *item, int reading, __u32 by,
		 struct shadow *shadow)
{
	if (shadow->count++)
		return;
	shadow->by = chain_policy(chain, by);
	if (reading == SOURCES)
		show_network(item, shadow->first, sizeof(shadow->first));
	else
		show_text(item, reading, shadow->first, sizeof(shadow->first));
}

int chain_find_shadows(const struct chain *chain, struct shadow *shadows, struct error *error)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		shadows[rank] =
			(struct shadow){ .entries = entry_count(chain_policy(chain, rank)) };
	for (int reading = 0; reading <= SOURCES; reading++) {
		struct entries entries;

		if (collect(&entries, chain, reading)) {
			close_entries(&entries);
			return error_set(error, "out of memory");
		}
		for (size_t i = 0; i < entries.count; i++) {
			const struct bytesort_item *item = &entries.list[i];
			__u32 by = climb(&entries, i);

			if (by >= item->number)
				by = complement(chain, item, reading);
			if (by < item->number)
				note(chain, item, reading, by, &shadows[item->number]);
		}
		close_entries(&entries);
	}
	return 0;
}
