// SPDX-License-Identifier: GPL-2.0-or-later
/* The boxes as the zc.icp README draws them, and what it does not draw. */
#include "icp/dump.h"
#include "support/test.h"

#define RULE "+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+\n"
#define EMPTY "|                                                               |\n"

#define NUMBER_AND_ZEROS                                                                           \
	"|                    Request Number: DEADBEEF                   |\n" RULE                 \
	"|                    Options: 0                                 |\n" RULE                 \
	"|                    Option Data: 0                             |\n" RULE                 \
	"|                    Sender Host Address: 0                     |\n" RULE

#define BOX(first_line, payload_lines)                                                             \
	RULE first_line RULE NUMBER_AND_ZEROS EMPTY payload_lines EMPTY RULE

static void expect_box(const void *datagram, size_t size, const char *box)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	dump_datagram(out, datagram, size);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, box);
	free(text);
}

#define HEADER(opcode, length) opcode "\x02\x00" length "\xde\xad\xbe\xef\0\0\0\0\0\0\0\0\0\0\0\0"

/* The examples of the README, and a payload of more than 50 columns, where no escape is broken. */
TEST(boxes)
{
#define BYTES(text) text, sizeof(text)
	static const struct {
		const char *datagram;
		size_t size;
		const char *box;
	} cases[] = {
		{ BYTES(HEADER("\x01", "\x2c") "\0\0\0\0http://example.com/"),
		  BOX("|  ICP_OP_QUERY |   Version: 2  |     Message Length: 44        |\n",
		      "|    Payload: \\x00\\x00\\x00\\x00http://example.com/\\x00           |\n") },
		{ BYTES(HEADER("\x03", "(") "http://example.com/"),
		  BOX("|  ICP_OP_MISS  |   Version: 2  |     Message Length: 40        |\n",
		      "|    Payload: http://example.com/\\x00                           |\n") },
		{ BYTES(HEADER("\x01", "\x2f") "\0\0\0\0http://example.com/foo"),
		  BOX("|  ICP_OP_QUERY |   Version: 2  |     Message Length: 47        |\n",
		      "|    Payload: \\x00\\x00\\x00\\x00http://example.com/foo\\x00        |\n") },
		{ BYTES(HEADER("\x02", "+") "http://example.com/foo"),
		  BOX("|  ICP_OP_HIT   |   Version: 2  |     Message Length: 43        |\n",
		      "|    Payload: http://example.com/foo\\x00                        |\n") },
		{ BYTES(HEADER("\x02", "\x7a") "http://e.org/0123456789012345678901234567890123456"
					       "http://e.org/012345678901234567890123456789012345"
					       "\x80\xff\\"),
		  BOX("|  ICP_OP_HIT   |   Version: 2  |     Message Length: 122       |\n",
		      "|    Payload: http://e.org/0123456789012345678901234567890123456|\n"
		      "|             http://e.org/012345678901234567890123456789012345 |\n"
		      "|             \\x80\\xff\\\\\\x00                                    |\n") },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_box(cases[i].datagram, cases[i].size, cases[i].box);
}

/* Names that fill the column and names that do not fit it. */
TEST(every_opcode_keeps_the_box)
{
	static const struct {
		char opcode;
		const char *cell;
	} cases[] = {
		{ 0, "|  Opcode: 0    |" },  { 4, "|  ICP_OP_ERR   |" },
		{ 10, "|  ICP_OP_SECHO |" }, { 11, "|  ICP_OP_DECHO |" },
		{ 21, "|  MISS_NOFETCH |" }, { 22, "|  ICP_OP_DENIED|" },
		{ 23, "|  HIT_OBJ      |" }, { (char)255, "|  Opcode: 255  |" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char datagram[] = HEADER("\x00", "\x14");
		char box[2048];

		datagram[0] = cases[i].opcode;
		snprintf(box, sizeof(box),
			 "%s%s   Version: 2  |     Message Length: 20        |\n%s", RULE,
			 cases[i].cell,
			 RULE NUMBER_AND_ZEROS EMPTY
			 "|    Payload:                                                   |\n" EMPTY
				 RULE);
		expect_box(datagram, 20, box);
	}
}

TEST(the_largest_values_fit)
{
	char datagram[20];

	memset(datagram, 0xff, sizeof(datagram));
	expect_box(
		datagram, sizeof(datagram),
		RULE
		"|  Opcode: 255  |   Version: 255|     Message Length: 65535     |\n" RULE
		"|                    Request Number: FFFFFFFF                   |\n" RULE
		"|                    Options: FFFFFFFF                          |\n" RULE
		"|                    Option Data: FFFFFFFF                      |\n" RULE
		"|                    Sender Host Address: FFFFFFFF              |\n" RULE EMPTY
		"|    Payload:                                                   |\n" EMPTY RULE);
}

TEST(less_than_a_header_is_a_line)
{
	expect_box("\x01\x02"
		   "a",
		   3, "3 bytes, less than the 20 of an ICP header: \\x01\\x02a\n");
	expect_box("", 0, "0 bytes, less than the 20 of an ICP header: \n");
}
