// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A datagram: its form, its answer's header and the walk over its URL's prefixes, each against
 * the plainest way to find the same. The first byte of the input chooses options, the rest is
 * the datagram.
 */
#include <stdlib.h>
#include <string.h>

#define REPLAY_CORPUS "tests/fuzz/corpus/icp"
#include "replay.h"

#include "icp.h"
#include "prefix.h"

#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static uint32_t read_be(const uint8_t *bytes, size_t size)
{
	uint32_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* What protocol the daemon speaks, said once more: header and URL, byte by byte. */
static enum icp_form plain_form(const uint8_t *data, size_t size, bool answer_zero)
{
	bool white = false;

	if (size < 20)
		return ICP_FORM_SHORT;
	if (size > 16384)
		return ICP_FORM_LONG;
	if (data[1] != 2)
		return ICP_FORM_VERSION;
	if (data[0] != 1)
		return ICP_FORM_OPCODE;
	if (read_be(data + 2, 2) != size)
		return ICP_FORM_LENGTH;
	if (read_be(data + 4, 4) == 0 && !answer_zero)
		return ICP_FORM_REQUEST_ZERO;
	if (size < 26 || data[size - 1] != 0)
		return ICP_FORM_NO_URL;
	for (size_t i = 24; i < size - 1; i++) {
		if (data[i] == 0)
			return ICP_FORM_NO_URL;
		white = white || strchr(" \t\n\v\f\r", data[i]);
	}
	return white ? ICP_FORM_WHITE_SPACE : ICP_FORM_QUERY;
}

static enum icp_form form(const struct icp_header *header, const uint8_t *data, size_t size,
			  bool answer_zero)
{
	enum icp_form form = icp_header_form(header, size, answer_zero);

	if (form != ICP_FORM_QUERY)
		return form;
	if (size < ICP_QUERY_HEADER_SIZE + 2 || data[size - 1] != 0)
		return ICP_FORM_NO_URL;
	return icp_url_form(data + ICP_QUERY_HEADER_SIZE, size - ICP_QUERY_HEADER_SIZE - 1,
			    ICP_MESSAGE_MAX);
}

static void check_answer(const struct icp_header *query, const uint8_t *data, size_t size)
{
	const struct icp_verdict verdict = { ICP_OP_MISS_NOFETCH,
					     data[23] % 2 ? data[22] * 257 : -1 };
	bool cost = verdict.cost >= 0 && data[8] & 0x40;
	struct icp_header answer;
	uint8_t bytes[20];

	icp_answer_header(&answer, query, size - 4, verdict);
	memcpy(bytes, &answer, 20);
	require(bytes[0] == 21 && bytes[1] == 2);
	require(read_be(bytes + 2, 2) == size - 4);
	require(memcmp(bytes + 4, data + 4, 4) == 0);
	require(read_be(bytes + 8, 4) == (cost ? 0x40000000 : 0));
	require(read_be(bytes + 12, 4) == (cost ? (uint32_t)verdict.cost : 0));
	require(memcmp(bytes + 16, data + 16, 4) == 0);
}

/* A table of a few of the URL's own prefixes, some with a byte changed. */
#define MEMBERS 16

struct member {
	__u64 hash;
	__u32 length;
	char text[PREFIX_MAX] __attribute__((aligned(8)));
};

struct table {
	size_t count;
	struct member members[MEMBERS];
};

static const void *lookup(void *context, const __u64 *hash)
{
	const struct table *table = context;

	for (size_t i = 0; i < table->count; i++)
		if (table->members[i].hash == *hash)
			return &table->members[i];
	return NULL;
}

static void check_walk(const uint8_t *url, size_t length, uint64_t seed)
{
	char text[PREFIX_MAX] __attribute__((aligned(8))) = { 0 };
	static struct table table;
	struct prefix_lengths lengths;
	struct prefix_states states;
	const struct member *found;
	uint32_t matched = 0;
	int longest = -1;

	memcpy(text, url, length);
	prefix_lengths_clear(&lengths);
	table.count = seed % (MEMBERS + 1);
	for (size_t i = 0; i < table.count; i++) {
		struct member *member = &table.members[i];

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		memset(member, 0, sizeof(*member));
		member->length = (seed >> 33) % (PREFIX_MAX + 1);
		memcpy(member->text, text, member->length);
		if (seed >> 63 && member->length)
			member->text[(seed >> 42) % member->length] ^= 1;
		prefix_fill(&states, 1, (const text_word *)member->text, PREFIX_WORDS);
		member->hash =
			prefix_hash((const text_word *)member->text, &states, member->length);
		prefix_lengths_add(&lengths, member->length);
		if (member->length <= length + 1 && (int)member->length > longest &&
		    memcmp(member->text, text, member->length) == 0)
			longest = member->length;
	}
	prefix_fill(&states, 1, (const text_word *)text, (length + 1 + 7) / 8);
	found = prefix_longest((const text_word *)text, &states, length, &lengths, lookup, &table,
			       &matched);
	require((found != NULL) == (longest >= 0));
	if (!found)
		return;
	require(matched == (uint32_t)longest && found->length == matched);
	require(prefix_is_text((const text_word *)text, (const text_word *)found->text, matched));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct icp_header header = { 0 };
	enum icp_form found;
	bool answer_zero;

	if (size < 1)
		return 0;
	answer_zero = data[0] & 1;
	data++;
	size--;
	memcpy(&header, data, size < sizeof(header) ? size : sizeof(header));
	found = form(&header, data, size, answer_zero);
	require(found == plain_form(data, size, answer_zero));
	if (size >= ICP_QUERY_HEADER_SIZE)
		check_answer(&header, data, size);
	if (found == ICP_FORM_QUERY && size - ICP_QUERY_HEADER_SIZE <= PREFIX_MAX)
		check_walk(data + ICP_QUERY_HEADER_SIZE, size - ICP_QUERY_HEADER_SIZE - 1,
			   read_be(data + 4, 4) * 2654435761u + data[size - 2]);
	return 0;
}
