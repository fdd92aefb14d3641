// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/test.h"

static struct icp_header query_header(__u32 size)
{
	return (struct icp_header){
		.opcode = ICP_OP_QUERY,
		.version = 2,
		.length = host_to_be16(size),
		.request_number = host_to_be32(0xdeadbeef),
	};
}

TEST(a_query_is_one)
{
	struct icp_header header = query_header(44);

	assert_int_equal(icp_header_form(&header, 44, false), ICP_FORM_QUERY);
	header = query_header(20);
	assert_int_equal(icp_header_form(&header, 20, false), ICP_FORM_QUERY);
	header = query_header(16384);
	assert_int_equal(icp_header_form(&header, 16384, false), ICP_FORM_QUERY);
}

TEST(sizes_are_checked_first)
{
	struct icp_header header = query_header(19);

	assert_int_equal(icp_header_form(&header, 0, false), ICP_FORM_SHORT);
	assert_int_equal(icp_header_form(&header, 19, false), ICP_FORM_SHORT);
	header = query_header(16385);
	assert_int_equal(icp_header_form(&header, 16385, false), ICP_FORM_LONG);
	header = query_header(44);
	assert_int_equal(icp_header_form(&header, 43, false), ICP_FORM_LENGTH);
	assert_int_equal(icp_header_form(&header, 45, false), ICP_FORM_LENGTH);
}

TEST(only_queries_of_version_2)
{
	struct icp_header header = query_header(44);

	header.version = 3;
	assert_int_equal(icp_header_form(&header, 44, false), ICP_FORM_VERSION);
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		header = query_header(44);
		header.opcode = opcode;
		assert_int_equal(icp_header_form(&header, 44, false),
				 opcode == 1 ? ICP_FORM_QUERY : ICP_FORM_OPCODE);
	}
}

TEST(request_number_zero)
{
	struct icp_header header = query_header(44);

	header.request_number = 0;
	assert_int_equal(icp_header_form(&header, 44, false), ICP_FORM_REQUEST_ZERO);
	assert_int_equal(icp_header_form(&header, 44, true), ICP_FORM_QUERY);
}

static enum icp_form url_form(const char *url, size_t length)
{
	return icp_url_form((const __u8 *)url, length, length);
}

TEST(every_byte_of_a_url)
{
	char url[] = "ab.";

	for (int byte = 0; byte < 256; byte++) {
		enum icp_form expected = ICP_FORM_QUERY;

		if (byte == 0)
			expected = ICP_FORM_NO_URL;
		else if (byte == ' ' || (byte >= 0x09 && byte <= 0x0d))
			expected = ICP_FORM_WHITE_SPACE;
		for (int place = 0; place < 3; place++) {
			memcpy(url, "abc", 3);
			url[place] = byte;
			assert_int_equal(url_form(url, 3), expected);
		}
	}
}

TEST(a_nul_outweighs_white_space)
{
	assert_int_equal(url_form("a b\0c", 5), ICP_FORM_NO_URL);
	assert_int_equal(url_form("a\0b c", 5), ICP_FORM_NO_URL);
	assert_int_equal(url_form("a b", 1), ICP_FORM_QUERY);
	assert_int_equal(icp_url_form((const __u8 *)"abc ", 4, 3), ICP_FORM_QUERY);
}

TEST(control_bytes_in_words)
{
	for (int byte = 0; byte < 256; byte++) {
		for (int place = 0; place < 8; place++) {
			__u64 word;

			memset(&word, 'x', 8);
			((unsigned char *)&word)[place] = byte;
			assert_int_equal(controls_any(word_controls(word)),
					 byte < 0x21 || byte > 0xa0);
		}
	}
}

TEST(the_answer)
{
	struct icp_header query = query_header(44), answer;

	query.sender_host_address = host_to_be32(0x01020304);
	query.options = host_to_be32(ICP_FLAG_HIT_OBJ);
	query.option_data = host_to_be32(0x55aa55aa);
	icp_answer_header(&answer, &query, 40, (struct icp_verdict){ ICP_OP_HIT, 17 });
	assert_memory_equal(&answer,
			    "\x02\x02\x00\x28\xde\xad\xbe\xef\0\0\0\0\0\0\0\0\x01\x02\x03\x04", 20);
}

TEST(the_cost_for_those_who_ask)
{
	struct icp_header query = query_header(44), answer;

	query.options = host_to_be32(ICP_FLAG_HIT_OBJ | ICP_FLAG_SRC_RTT);
	icp_answer_header(&answer, &query, 40, (struct icp_verdict){ ICP_OP_MISS, 300 });
	assert_memory_equal(&answer, "\x03\x02\x00\x28\xde\xad\xbe\xef\x40\0\0\0\0\0\x01\x2c", 16);
	icp_answer_header(&answer, &query, 40, (struct icp_verdict){ ICP_OP_MISS, 0 });
	assert_memory_equal(&answer, "\x03\x02\x00\x28\xde\xad\xbe\xef\x40\0\0\0\0\0\0\0", 16);
	icp_answer_header(&answer, &query, 40, (struct icp_verdict){ ICP_OP_MISS, ICP_NO_COST });
	assert_memory_equal(&answer, "\x03\x02\x00\x28\xde\xad\xbe\xef\0\0\0\0\0\0\0\0", 16);
}

TEST(verdicts_are_five)
{
	for (__u32 opcode = 0; opcode < 300; opcode++)
		assert_int_equal(icp_is_verdict(opcode), opcode == 2 || opcode == 3 ||
								 opcode == 4 || opcode == 21 ||
								 opcode == 22);
}
