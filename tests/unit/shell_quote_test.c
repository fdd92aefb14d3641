// SPDX-License-Identifier: GPL-2.0-or-later
/* What is printed for a shell reaches the program as it was, and runs nothing else. */

#include "lib/pin_dir.h"
#include "lib/shell_quote.h"
#include "support/test.h"

#define WORD_MAX 300

/* What printf gets as its argument, through a shell. */
static void expect_same_word(const char *word)
{
	char quoted[SHELL_QUOTE_SIZE(WORD_MAX)], got[2 * WORD_MAX];
	FILE *shell;
	size_t length;

	shell_quote(word, quoted);
	assert_true(strlen(quoted) < SHELL_QUOTE_SIZE(strlen(word)));
	shell = popen(formatted("printf '<%%s>' %s", quoted), "r");
	assert_non_null(shell);
	length = fread(got, 1, sizeof(got) - 1, shell);
	got[length] = '\0';
	assert_int_equal(pclose(shell), 0);
	assert_int_equal(length, strlen(word) + 2);
	assert_memory_equal(got + 1, word, strlen(word));
}

TEST(ugly_words_stay_whole)
{
	static const char *const words[] = {
		"",
		"a b",
		"a;id",
		"$(id)",
		"`id`",
		"a'b",
		"''",
		"'; id; '",
		"a\"b",
		"\\",
		"a\nb",
		"a\tb",
		"*",
		"~",
		"~root",
		"#a",
		"a#b",
		"!!",
		"a&b",
		"a|b",
		">x",
		"<x",
		"{a,b}",
		"[ab]",
		"a=b",
		"-n",
		"--",
		"\x01\x1b[31m",
		"\xff\x80",
		"?",
		"$HOME",
		"\\n",
		"'\\''",
		"(a)",
		"a\rb",
		"$'\\n'",
		"/x; id > p; :",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		expect_same_word(words[i]);
}

TEST(every_byte_stays_itself)
{
	char word[3] = "..";

	for (int byte = 1; byte < 256; byte++) {
		word[1] = (char)byte;
		expect_same_word(word);
		expect_same_word(word + 1);
	}
}

TEST(plain_words_stay_readable)
{
	char text[SHELL_QUOTE_SIZE(WORD_MAX)];

	assert_string_equal(shell_quote("eth0.1", text), "eth0.1");
	assert_string_equal(shell_quote("/sys/fs/bpf/xdp-icp", text), "/sys/fs/bpf/xdp-icp");
	assert_string_equal(shell_quote("a'b", text), "'a'\\''b'");
	assert_string_equal(shell_quote("", text), "''");
}

TEST(pin_dirs_are_plain_absolute_paths)
{
	static const struct {
		const char *path, *problem; /* NULL: none */
	} cases[] = {
		{ "/sys/fs/bpf/xdp-icp", NULL },
		{ "/run/icp.d/bpf/A_b-1+2:3@4,5%6", NULL },
		{ "/a", NULL },
		{ "", "is not an absolute path" },
		{ "a/b", "is not an absolute path" },
		{ "/", "has an empty component" },
		{ "/a//b", "has an empty component" },
		{ "/a/", "has an empty component" },
		{ "/a/./b", "has a component '.' or '..'" },
		{ "/a/../b", "has a component '.' or '..'" },
		{ "/..", "has a component '.' or '..'" },
		{ "/a/b.c", "has a dot in its last component, which bpffs does not allow" },
		{ "/x; id > p; :", "has a character other than letters, digits and /._-+:@,%" },
		{ "/a b", "has a character other than letters, digits and /._-+:@,%" },
		{ "/a'b", "has a character other than letters, digits and /._-+:@,%" },
		{ "/a\x1b", "has a character other than letters, digits and /._-+:@,%" },
		{ "/a\x80", "has a character other than letters, digits and /._-+:@,%" },
		{ "/~", "has a character other than letters, digits and /._-+:@,%" },
	};
	char long_path[PIN_DIR_MAX + 2];
	struct error error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(pin_dir_check(cases[i].path, &error), cases[i].problem ? -1 : 0);
		if (!cases[i].problem)
			continue;
		assert_string_equal(
			error.text,
			formatted(
				"'%s' %s; name a directory in a bpffs, such as /sys/fs/bpf/xdp-icp",
				cases[i].path, cases[i].problem));
	}
	memset(long_path, 'a', sizeof(long_path));
	long_path[0] = '/';
	long_path[PIN_DIR_MAX] = '\0';
	assert_int_equal(pin_dir_check(long_path, &error), 0);
	long_path[PIN_DIR_MAX] = 'a';
	long_path[PIN_DIR_MAX + 1] = '\0';
	assert_int_equal(pin_dir_check(long_path, &error), -1);
	assert_non_null(strstr(error.text, "is longer than 255 bytes"));
}
