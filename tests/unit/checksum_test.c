// SPDX-License-Identifier: GPL-2.0-or-later
#include "checksum.h"
#include "support/test.h"

/* RFC 1071 as it stands there: 16 bits at a time, in network order. */
static __u16 plain_sum(const unsigned char *bytes, size_t size)
{
	__u32 sum = 0;

	for (size_t i = 0; i < size; i += 2)
		sum += bytes[i] << 8 | (i + 1 < size ? bytes[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* In both ways. */
static __u64 word_sum(const unsigned char *bytes, size_t size)
{
	struct checksum_words words = { 0 };
	__u64 sum = 0, word;

	for (size_t i = 0; i < size; i += 8) {
		word = 0;
		memcpy(&word, bytes + i, size - i < 8 ? size - i : 8);
		sum += checksum_word(&word);
		checksum_add(&words, word, &word);
	}
	assert_true(checksum_of_words(words) == sum);
	return sum;
}

/* 0 and 0xffff are the same number in ones' complement. */
static __u16 canonical(__u16 sum)
{
	return sum == 0xffff ? 0 : sum;
}

TEST(the_example_of_rfc_1071)
{
	const unsigned char bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	__u16 folded = checksum_fold(word_sum(bytes, sizeof(bytes)));

	assert_memory_equal(&folded, "\xdd\xf2", 2);
}

TEST(words_give_the_sum_of_halves)
{
	unsigned char bytes[300];
	uint64_t seed = 4711;

	for (int round = 0; round < 5000; round++) {
		size_t size = random_below(&seed, sizeof(bytes));

		for (size_t i = 0; i < size; i++)
			bytes[i] = round % 3 ? random_next(&seed) : 0xff;
		assert_int_equal(canonical(be16_to_host(
					 (ICP_FORCE __be16)checksum_fold(word_sum(bytes, size)))),
				 canonical(plain_sum(bytes, size)));
	}
}

/* Folded as RFC 1071 says it, digit by digit, until there is no carry. */
static __u16 fold_slowly(__u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

TEST(all_carries_of_a_fold)
{
	static const __u64 digits[] = { 0, 1, 2, 0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff };
	const size_t choices = sizeof(digits) / sizeof(*digits);
	uint64_t seed = 17;

	for (size_t i = 0; i < choices * choices * choices; i++) {
		__u64 sum = digits[i % choices] | digits[i / choices % choices] << 16 |
			    digits[i / choices / choices] << 32;

		assert_int_equal(checksum_fold(sum), fold_slowly(sum));
	}
	for (int i = 0; i < 100000; i++) {
		__u64 sum = random_next(&seed) >> 16;

		assert_int_equal(checksum_fold(sum), fold_slowly(sum));
	}
}

TEST(the_field_is_never_zero)
{
	assert_int_equal(checksum_udp_field(0xffff), 0xffff);
	assert_int_equal(checksum_udp_field(0), 0xffff);
	assert_int_equal(checksum_udp_field(1), 0xfffe);
	assert_int_equal(checksum_udp_field(0x12340000), 0xedcb);
}

TEST(good_and_bad_fields)
{
	const __u64 pseudo = 0x1234, data = 0x4321;
	__u16 field = checksum_udp_field(pseudo + data);

	assert_int_equal(field, 0xaaaa);
	assert_true(checksum_is_full(pseudo + data + field));
	assert_false(checksum_is_full(pseudo + data + field + 1));
	for (__u64 sum = 1; sum < 1 << 20; sum++)
		assert_true(checksum_is_full(sum) == (checksum_fold(sum) == 0xffff));
	for (__u64 sum = (1ULL << 47) - 1; sum >> 20 == (1 << 27) - 1; sum--)
		assert_true(checksum_is_full(sum) == (checksum_fold(sum) == 0xffff));
	/* The offload's half of the work: the pseudo-header alone. */
	assert_true(checksum_is_partial(0x1234, pseudo));
	assert_false(checksum_is_partial(0x1235, pseudo));
}
