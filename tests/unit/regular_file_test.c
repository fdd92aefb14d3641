// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that a configuration names: only regular ones are read, and opening never blocks. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/regular_file.h"
#include "support/test.h"

#define MOST 10000

static char path[] = "/tmp/regular_file_test.XXXXXX";

static void expect_refused(const char *name, size_t max, const char *expected)
{
	struct error reason = { "" };
	char *text = (char *)name;
	size_t size;

	assert_null(regular_file_open(name, max, &reason));
	assert_string_equal(reason.text, expected);
	assert_int_equal(regular_file_read(name, max, &text, &size, &reason), -1);
	assert_string_equal(reason.text, expected);
	assert_null(text);
}

static void write_file(size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		putc('a' + i % 26, file);
	assert_int_equal(fclose(file), 0);
}

TEST(regular_files_are_read)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, MOST };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct error reason;
		size_t size;
		char *text;

		write_file(sizes[i]);
		assert_int_equal(regular_file_read(path, MOST, &text, &size, &reason), 0);
		assert_int_equal(size, sizes[i]);
		for (size_t j = 0; j < size; j++)
			assert_int_equal(text[j], 'a' + j % 26);
		assert_int_equal(text[size], '\0');
		free(text);
	}
}

TEST(files_without_a_size_are_read_and_bounded)
{
	struct error reason;
	size_t size;
	char *text;

	assert_int_equal(regular_file_read("/proc/self/stat", MOST, &text, &size, &reason), 0);
	assert_true(size > 10);
	free(text);
	assert_int_equal(regular_file_read("/proc/self/stat", 10, &text, &size, &reason), -1);
	assert_string_equal(reason.text, "more than 10 bytes");
	assert_null(text);
}

TEST(large_files_are_refused)
{
	write_file(MOST + 1);
	expect_refused(path, MOST, "more than 10000 bytes");
}

TEST(other_kinds_of_files_are_refused)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	expect_refused("/dev/null", MOST, "not a regular file");
	expect_refused("/dev/zero", MOST, "not a regular file");
	expect_refused("/", MOST, "Is a directory");
	expect_refused("/no/such/file", MOST, "No such file or directory");
	unlink(path);
	alarm(60); /* a failure would be to block for ever */
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refused(path, MOST, "not a regular file");
	alarm(0);
	unlink(path);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_refused(path, MOST, "not a regular file");
	close(fd);
	unlink(path);
}

FIXTURE(make_file)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

FIXTURE(remove_file)
{
	unlink(path); /* the last test may have done so */
	return 0;
}

TEST_ALL(make_file, remove_file)
