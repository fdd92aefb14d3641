// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors and the log: where one line comes from and where it goes. */

#include "lib/error.h"
#include "lib/log.h"
#include "support/test.h"

TEST(a_text_and_what_stands_before_it)
{
	struct error error;

	assert_int_equal(error_set(&error, "%d of %s", 3, "four"), -1);
	assert_string_equal(error.text, "3 of four");
	assert_int_equal(error_prefix(&error, "%s:%d: ", "file", 7), -1);
	assert_string_equal(error.text, "file:7: 3 of four");
}

TEST(long_texts_are_cut)
{
	char text[3000];
	struct error error;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	error_prefix(&error, "ab");
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_memory_equal(error.text, "abxx", 4);
	error_prefix(&error, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

/* What is written to standard error while `write_all` runs. */
static void capture(void (*write_all)(void), char *text, size_t size)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	write_all();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

static void write_lines(void)
{
	log_write(LOG_ERR, "one %d\n", 1);
	log_write(LOG_INFO, "two");
	log_write(LOG_DEBUG, "three");
}

TEST(lines_on_standard_error)
{
	char text[256];

	unsetenv("JOURNAL_STREAM");
	log_open("test", LOG_INFO);
	capture(write_lines, text, sizeof(text));
	assert_string_equal(text, "test: one 1\ntest: two\n");
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_open("test", LOG_ERR);
	capture(write_lines, text, sizeof(text));
	assert_string_equal(text, "<3>one 1\n");
}

TEST(messages_beyond_the_limit_are_counted)
{
	struct log_limit limit = { 0 };
	char more[LOG_LIMIT_TEXT];

	for (int i = 0; i < 2; i++) {
		assert_true(log_limit_allows(&limit, 2, more));
		assert_string_equal(more, "");
	}
	for (int i = 0; i < 3; i++)
		assert_false(log_limit_allows(&limit, 2, more));
	limit.end = 0; /* the period is over */
	assert_true(log_limit_allows(&limit, 2, more));
	assert_string_equal(more, " (and 3 more since the last)");
	assert_true(log_limit_allows(&limit, 2, more));
	assert_string_equal(more, "");
}
