// SPDX-License-Identifier: GPL-2.0-or-later
/* The readings of URLs, by words, against the same byte by byte. */
#include "support/test.h"
#include "readings.h"

static bool is_between(__u8 byte, __u8 first, __u8 last)
{
	return byte >= first && byte <= last;
}

/* Every byte at every place, beside bytes that would give or take a carry. */
TEST(words)
{
	static const __u8 beside[] = { 0x00, 0x01, 0x7f, 0x80, 0xff, 'A' };

	for (size_t i = 0; i < sizeof(beside) * 256 * ICP_WORD; i++) {
		__u8 bytes[ICP_WORD], byte = i / ICP_WORD % 256;
		size_t place = i % ICP_WORD;
		__u64 word, mine = 0x80ULL << 8 * place;

		memset(bytes, beside[i / ICP_WORD / 256], sizeof(bytes));
		bytes[place] = byte;
		word = word_of_text(bytes, 0, ICP_WORD);
		assert_int_equal((word_equal(word, '/') & mine) != 0, byte == '/');
		assert_int_equal((word_equal(word, 0) & mine) != 0, byte == 0);
		assert_int_equal((word_between(word, '0', '9') & mine) != 0,
				 is_between(byte, '0', '9'));
		assert_int_equal(word_lower(word) >> 8 * place & 0xff,
				 is_between(byte, 'A', 'Z') ? byte + 0x20 : byte);
	}
}

TEST(masks)
{
	for (unsigned int bytes = 0; bytes < 256; bytes++) {
		unsigned int count = 0, first = ICP_WORD, last = 0;
		__u64 mask = 0;

		for (unsigned int i = 0; i < ICP_WORD; i++) {
			if (!(bytes >> i & 1))
				continue;
			mask |= 0x80ULL << 8 * i;
			first = first == ICP_WORD ? i : first;
			last = i + 1;
			count++;
		}
		assert_int_equal(mask_count(mask), count);
		assert_int_equal(mask_count(mask_up_to_last(mask)), last);
		assert_int_equal(mask_count(mask_before(mask) & WORD_HIGH), first);
		if (mask)
			assert_int_equal(mask_first(mask), first);
	}
}

/* A text of any bytes but NUL, rather those that matter. */
static size_t random_text(uint64_t *seed, char text[256])
{
	static const char likely[] = "://@[]?#.AZaz09+-\xff\x01@:/:";
	static const char *const begins[] = { "", "http://", "https://", "a+b-c.1://", "1http://" };
	size_t most = random_below(seed, 3) ? 40 : 255, length;

	length = sprintf(text, "%s", begins[random_below(seed, 5)]);
	for (size_t i = 1 + random_below(seed, most); i && length < 255; i--)
		text[length++] = random_below(seed, 2)
					 ? 'a'
					 : likely[random_below(seed, sizeof(likely) - 1)];
	text[length] = '\0';
	return length;
}

/* The host byte by byte, as the manual describes it. */
static enum host_form slow_host(const char *url, size_t *begin, size_t *end)
{
	const char *colon = strstr(url, "://"), *at;
	bool scheme = colon && colon != url && is_between(url[0] | 0x20, 'a', 'z');
	size_t length;

	for (const char *c = url; scheme && c < colon; c++)
		scheme = is_between(*c | 0x20, 'a', 'z') || is_between(*c, '0', '9') ||
			 strchr("+-.", *c);
	*begin = scheme ? colon + 3 - url : 0;
	length = *begin + strcspn(url + *begin, "/?#");
	for (at = url + *begin; at < url + length; at++)
		if (*at == '@')
			*begin = at + 1 - url;
	*end = *begin + strcspn(url + *begin, ":/?#");
	if (*end == *begin)
		return HOST_NONE;
	if (url[*begin] == '[')
		return HOST_BRACKET;
	return !scheme && *end != length ? HOST_PORT : HOST_NAME;
}

static void check_turned(const struct turned_url *turned, const struct prefix_tree *tree,
			 const char *key, size_t length)
{
	size_t filled = tree->longest < length + 1 ? tree->longest : length + 1;

	assert_int_equal(turned->length, length);
	assert_memory_equal(turned->words, key, filled);
}

#define HOST_FORMS (HOST_PORT + 1)
#define URL_OFFSET 24u

TEST(random_urls)
{
	static __u8 memory[TURN_ROOM + ICP_WORD];
	static struct turned_url turned;
	unsigned int forms[HOST_FORMS] = { 0 };
	struct prefix_tree tree;
	uint64_t seed = 3986;

	for (int round = 0; round < 200000; round++) {
		char *url = (char *)memory + URL_OFFSET, key[258] = { 0 };
		size_t length, begin, end;
		struct host_place place;
		enum host_form form;
		bool made;

		memset(memory, 0x55, sizeof(memory));
		memset(&turned, 0x55, sizeof(turned));
		for (size_t i = 0; i < sizeof(tree.keys) / sizeof(uint32_t); i++)
			((uint32_t *)&tree.keys)[i] = random_below(&seed, UINT32_MAX);
		tree.longest = 1 + random_below(&seed, random_below(&seed, 2) ? 24 : PREFIX_MAX);
		length = random_text(&seed, url);

		for (size_t i = 0; i < length; i++)
			key[i] = url[length - 1 - i];
		url_turn_backward(&turned, &tree, memory, URL_OFFSET, length);
		check_turned(&turned, &tree, key, length);

		form = slow_host(url, &begin, &end);
		forms[form]++;
		made = url_turn_host(&turned, &tree, memory, URL_OFFSET,
				     host_find(&place, (__u8 *)url, PREFIX_MAX), &place);
		if (form == HOST_BRACKET || form == HOST_PORT || end - begin > 254) {
			assert_false(made);
			continue;
		}
		assert_true(made);
		memset(key, 0, sizeof(key));
		length = form == HOST_NONE ? 0 : end - begin;
		if (length > 1 && url[begin + length - 1] == '.')
			length--;
		for (size_t i = 0; i < length; i++) {
			char c = url[begin + length - 1 - i];

			key[i] = is_between(c, 'A', 'Z') ? c + 0x20 : c;
		}
		key[length] = '.';
		check_turned(&turned, &tree, key, length + 1);
	}
	for (int form = 0; form < HOST_FORMS; form++)
		assert_true(forms[form] > 1000);
}
