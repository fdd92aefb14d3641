// SPDX-License-Identifier: GPL-2.0-or-later
/* The map `rules`, by which the XDP program decides before the chain. */
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

TEST(rules_before_all)
{
	char longest[256];

	prepare("policy 1 { kind = exact verdict = miss url = 'http://e.org/a' }", false);
	check_url("http://e.org/a", 3);
	program_put_rule(&program, "http://e.org", ICP_OP_ERR);
	check_url("http://e.org/a", 4);
	program_put_rule(&program, "http://e.org/a", ICP_OP_HIT);
	check_url("http://e.org/a", 2);
	check_url("http://e.org/ab", 2);
	check_url("http://e.org/b", 4);
	program_put_rule(&program, "http://e.org/ab", ICP_OP_DENIED);
	check_url("http://e.org/ab", 22);
	check_url("http://e.org/a", 2);
	check_url("http://e.net/", 3);
	program_put_rule(&program, "", ICP_OP_MISS_NOFETCH);
	check_url("http://e.net/", 21);
	check_url("http://e.org/ab", 22);

	memset(longest, 'u', 255);
	longest[255] = '\0';
	program_put_rule(&program, longest, ICP_OP_HIT);
	check_url(longest, 2);
	longest[254] = 'v';
	check_url(longest, 21);
	longest[254] = '\0';
	check_url(longest, 21);

	/* With its NUL a text is longer than any URL that it could match. */
	program_put_rule_bits(&program, "http://e.net/x\0", 8 * 15, ICP_OP_HIT);
	check_url("http://e.net/x", 21);
}

TEST(rules_without_a_verdict)
{
	static const unsigned int none[] = { 0, 1, 5, 10, 11, 20, 23, 255, 256, 258, 0x80000002 };

	prepare("default = hit", false);
	program_put_rule(&program, "http://e.org/", ICP_OP_DENIED);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		program_put_rule(&program, "http://e.org/a", none[i]);
		check_url_passes("http://e.org/a", ICP_COUNT_PASSED_RULE);
		check_url_passes("http://e.org/ab", ICP_COUNT_PASSED_RULE);
		check_url("http://e.org/b", 22);
	}
	check_url("http://e.org/a ", 4);
}

/* What bpftool may do and icpctl does not: a rule of so many bits. */
TEST(rules_of_bits)
{
	const char text[] = "http://e.org/abc";
	char url[sizeof(text)];

	for (size_t bits = 0; bits <= 8 * strlen(text); bits++) {
		prepare("default = hit", false);
		program_put_rule_bits(&program, text, bits, ICP_OP_DENIED);
		check_url(text, 22);
		strcpy(url, text);
		if (bits < 8 * strlen(text)) {
			url[bits / 8] ^= 0x80 >> bits % 8;
			check_url(url, 22);
		}
		strcpy(url, text);
		if (bits > 0) {
			url[(bits - 1) / 8] ^= 0x80 >> (bits - 1) % 8;
			check_url(url, 2);
			url[(bits + 7) / 8 - 1] = '\0'; /* a URL that ends before the rule does */
			if (url[0])
				check_url(url, 2);
		}
	}
}
