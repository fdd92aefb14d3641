// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/escape.h"
#include "support/test.h"

static void expect_escape(const char *bytes, size_t length, const char *text)
{
	char *got = escape(bytes, length);

	assert_non_null(got);
	assert_string_equal(got, text);
	free(got);
}

static void expect_unescape(const char *text, const char *bytes, size_t length)
{
	size_t got_length;
	char *got = unescape(text, strlen(text), &got_length);

	assert_non_null(got);
	assert_int_equal(got_length, length);
	assert_memory_equal(got, bytes, length);
	assert_int_equal(got[length], '\0');
	free(got);
}

TEST(printable_stands_for_itself)
{
	expect_escape("http://e.org/ a~", 16, "http://e.org/ a~");
	expect_escape("", 0, "");
}

TEST(other_bytes_are_hexadecimal)
{
	expect_escape("\0\x1f\x7f\x80\xff", 5, "\\x00\\x1f\\x7f\\x80\\xff");
	expect_escape("a\\b", 3, "a\\\\b");
	expect_escape("\t\n", 2, "\\x09\\x0a");
}

TEST(unescape_reads_what_escape_writes)
{
	char all[256 * 2];
	char *text;
	char *back;
	size_t length;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i < 256 ? i : 511 - i);
	text = escape(all, sizeof(all));
	assert_non_null(text);
	for (const char *c = text; *c; c++)
		assert_in_range(*c, ' ', '~');
	back = unescape(text, strlen(text), &length);
	assert_non_null(back);
	assert_int_equal(length, sizeof(all));
	assert_memory_equal(back, all, sizeof(all));
	free(back);
	free(text);
}

TEST(an_escaped_escape_is_text)
{
	expect_escape("\\x41", 4, "\\\\x41");
	expect_unescape("\\\\x41", "\\x41", 4);
}

TEST(unescape_is_liberal)
{
	expect_unescape("\\x4A\\x4a", "JJ", 2);
	expect_unescape("\x80\xff", "\x80\xff", 2);
	expect_unescape("a\\b", "a\\b", 3);
	expect_unescape("\\", "\\", 1);
	expect_unescape("\\x4", "\\x4", 3);
	expect_unescape("\\xg0", "\\xg0", 4);
	expect_unescape("", "", 0);
}

TEST(unescape_minds_the_size)
{
	size_t length;
	char *got = unescape("\\x41", 3, &length);

	assert_non_null(got);
	assert_int_equal(length, 3);
	assert_string_equal(got, "\\x4");
	free(got);
}

TEST(lines_keep_what_is_escaped_already)
{
	char line[64];

	assert_int_equal(escape_line("a\\x80 b\\\\", line, sizeof(line)), 9);
	assert_string_equal(line, "a\\x80 b\\\\");
	escape_line("\x1b[31m\n\t\x7f\x80\xff", line, sizeof(line));
	assert_string_equal(line, "\\x1b[31m\\x0a\\x09\\x7f\\x80\\xff");
	assert_int_equal(escape_line("", line, sizeof(line)), 0);
	assert_string_equal(line, "");
}

TEST(lines_are_cut_between_characters)
{
	char line[64];

	for (size_t size = 1; size < 16; size++) {
		size_t length = escape_line("\x1b\x1b\x1b", line, size);

		assert_int_equal(length, (size - 1) / 4 * 4 < 12 ? (size - 1) / 4 * 4 : 12);
		assert_int_equal(strlen(line), length);
	}
}
