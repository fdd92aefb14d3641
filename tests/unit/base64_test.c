// SPDX-License-Identifier: GPL-2.0-or-later
/* Base64: the test vectors of RFC 4648, random bytes, and what is none. */
#include "lib/base64.h"
#include "support/test.h"

TEST(vectors)
{
	static const char *const texts[] = { "",	 "Zg==",     "Zm8=",	"Zm9v",
					     "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *text = base64_encode("foobar", i);
		size_t length;
		char *bytes = base64_decode(texts[i], strlen(texts[i]), &length);

		assert_string_equal(text, texts[i]);
		assert_int_equal(length, i);
		assert_memory_equal(bytes, "foobar", i);
		assert_int_equal(bytes[i], '\0');
		free(text);
		free(bytes);
	}
}

TEST(any_bytes)
{
	uint64_t seed = 1;

	for (size_t size = 0; size < 300; size++) {
		unsigned char bytes[300];
		char *text, *decoded;
		size_t length;

		for (size_t i = 0; i < size; i++)
			bytes[i] = (unsigned char)random_below(&seed, 256);
		text = base64_encode(bytes, size);
		decoded = base64_decode(text, strlen(text), &length);
		assert_int_equal(length, size);
		assert_memory_equal(decoded, bytes, size);
		free(text);
		free(decoded);
	}
}

TEST(what_is_none_is_refused)
{
	static const char *const texts[] = { "Z",    "Zg",   "Zg=",  "====",
					     "Z===", "Zg=v", "Zm9-", "Zm9v\n" };
	size_t length;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(base64_decode(texts[i], strlen(texts[i]), &length));
	assert_null(base64_decode("Zm9\0", 4, &length));
}
