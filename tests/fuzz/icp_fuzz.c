// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A datagram: its form, its answer's header and the walk over its URL's prefixes, each against
 * the plainest way to find the same. The first byte of the input chooses options, the rest is
 * the datagram.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "icp.h"
#include "lib/byteset.h"
#include "chain/tree.h"

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

/* A tree of a few of the URL's own prefixes and of longer texts, some with a byte changed. */
#define MEMBERS 16

struct arrays {
	struct prefix_bucket buckets[MEMBERS + PREFIX_PROBE_MAX];
	struct prefix_line lines[MEMBERS * (PREFIX_MAX / PREFIX_LINE)];
};

static const struct prefix_bucket *bucket_at(void *arrays, __u32 index)
{
	return &((struct arrays *)arrays)->buckets[index];
}

static const struct prefix_line *line_at(void *arrays, __u32 index)
{
	return &((struct arrays *)arrays)->lines[index];
}

static int compare(const void *left, const void *right)
{
	const struct prefix_entry *a = left, *b = right;

	return byteset_compare(a->text, a->length, b->text, b->length);
}

/* Makes the members' entries, each text once, sorted. Returns their number. */
static size_t make_entries(struct prefix_entry entries[MEMBERS], char texts[MEMBERS][PREFIX_MAX],
			   const uint8_t *url, size_t length, uint64_t seed)
{
	size_t count = seed % (MEMBERS + 1), kept = 0;

	for (size_t i = 0; i < count; i++) {
		uint16_t size;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		size = (seed >> 33) % (PREFIX_MAX + 1);
		memset(texts[i], 'x', PREFIX_MAX);
		memcpy(texts[i], url, length);
		if (seed >> 63 && size) {
			char *changed = &texts[i][(seed >> 42) % size];

			*changed = *changed == 1 ? 2 : *changed ^ 1; /* no NUL within */
		}
		if (size == length + 1)
			texts[i][length] = '\0'; /* the whole URL */
		entries[i] = (struct prefix_entry){ texts[i], size, 1 + i };
	}
	qsort(entries, count, sizeof(*entries), compare);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || compare(&entries[kept - 1], &entries[i]) != 0)
			entries[kept++] = entries[i];
	return kept;
}

static void check_match(const uint8_t *url, size_t length, uint64_t seed)
{
	static char texts[MEMBERS][PREFIX_MAX];
	static struct arrays arrays;
	struct prefix_entry entries[MEMBERS];
	__u64 text[PREFIX_WORDS + 1] = { 0 };
	size_t count = make_entries(entries, texts, url, length, seed);
	__u32 longest = 0, answer = PREFIX_NO_ANSWER;
	struct prefix_cursor cursor;
	struct prefix_tree tree;

	memcpy(text, url, length);
	for (size_t i = 0; i < count; i++)
		if (entries[i].length <= length + 1 && entries[i].length >= longest &&
		    memcmp(entries[i].text, text, entries[i].length) == 0) {
			longest = entries[i].length;
			answer = entries[i].answer;
		}
	require(prefix_tree_buckets(count) <= MEMBERS + PREFIX_PROBE_MAX);
	require(prefix_tree_build(&tree, entries, count, arrays.buckets, arrays.lines) == 0);
	require(prefix_find(&tree, text, length, bucket_at, line_at, &arrays, &cursor) == answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		check_match(data + ICP_QUERY_HEADER_SIZE, size - ICP_QUERY_HEADER_SIZE - 1,
			    read_be(data + 4, 4) * 2654435761u + data[size - 2]);
	return 0;
}
