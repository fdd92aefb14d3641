// SPDX-License-Identifier: GPL-2.0-or-later
/* What the XDP program reads in a message, and what it answers. */
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

TEST(the_table)
{
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes);

	prepare(TABLE_CHAIN TABLE_HORIZON, false);
	for (size_t i = 0; i < datagram_count; i++) {
		for (size_t j = 0; j < count; j++) {
			check_in(&envelopes[j], &datagrams[i]);
		}
	}
}

/* Contents change with each length, and what the last query left behind must not matter. */
TEST(urls_of_every_length)
{
	struct envelope envelopes[16];
	size_t count = various_envelopes(envelopes);
	uint64_t seed = 5;
	char url[400];

	prepare("default = hit", false);
	for (int turn = 0; turn < 3; turn++) {
		for (uint32_t step = 1; step <= 300; step++) {
			uint32_t length = turn == 0   ? step
					  : turn == 1 ? 301 - step
					  : step % 2  ? 255 - step / 2 % 255
						      : 1 + step / 2;
			struct datagram datagram = { .name = "a random URL",
						     .url = url,
						     .url_size = length + 1,
						     .verdict = 2 };

			for (uint32_t i = 0; i < length; i++)
				url[i] = 0x21 + random_below(&seed, 0xdf);
			url[length] = '\0';
			datagram.kernel = length > 255 ? ICP_COUNT_PASSED_LONG : ICP_COUNT_ANSWERED;
			for (size_t i = turn; i < count; i += 3)
				check_in(&envelopes[i], &datagram);
		}
	}
}

/* Puts the datagram into a frame that has these bytes behind it. */
static void check_before(const struct datagram *datagram, const char *behind, size_t size)
{
	static struct bytes message, frame, answer;

	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6), back = envelope_back(&envelope);

		message_build(&message, datagram);
		frame_build(&frame, &envelope, &message);
		push(&frame, behind, size);
		answer_build(&message, datagram);
		frame_build(&answer, &back, &message);
		push(&answer, behind, size);
		assert_outcome(&program, datagram->name, &frame, datagram->kernel, &answer);
	}
}

/*
 * Each begin of a text is known by itself, and asked for after a longer one, or with the rest of the
 * text behind it: neither belongs to the URL.
 */
TEST(no_byte_of_another_url)
{
	static const char *const names[] = { "hit", "miss", "miss_nofetch", "denied" };
	static const uint8_t verdicts[] = { 2, 3, 21, 22 };
	char path[LIST_PATH_SIZE], text[256], other[256], url[256], *list = NULL;
	uint64_t seed = 6;
	FILE *lines;
	size_t size;

	program_needed(&program);
	memset(other, 'o', sizeof(other));
	other[255] = '\0';
	lines = open_memstream(&list, &size);
	for (size_t i = 0; i < 255; i++) {
		text[i] = 'a' + random_below(&seed, 26);
		fprintf(lines, "%.*s\t%s\n", (int)i + 1, text, names[i % 4]);
	}
	text[255] = '\0';
	fclose(lines);
	write_list(path, list, size);
	free(list);
	prepare(formatted("default = err policy 1 { kind = exact file = '%s' }", path), false);
	unlink(path);

	for (size_t length = 1; length <= 255; length++) {
		const struct datagram longer = { "all of the text", URL(text),
						 .verdict = verdicts[254 % 4] };
		const struct datagram noise = { "another text", URL(other), .verdict = 4 };
		struct datagram begin = { .name = "a begin", .url = url, .url_size = length + 1 };

		for (int turn = 0; turn < 8; turn++) {
			bool wrong = turn & 4;

			memset(url, 0, sizeof(url));
			memcpy(url, text, length);
			if (wrong)
				url[length - 1] ^= 0x20;
			begin.verdict = wrong ? 4 : verdicts[(length - 1) % 4];
			check_before(turn & 1 ? &longer : &noise, "", 0);
			if (turn & 2)
				check_before(&begin, text + length, 256 - length);
			else
				check_before(&begin, "", 0);
		}
		/* The NUL is not in the message, but behind it. */
		url[length - 1] ^= 0x20;
		url[length] = 'u';
		begin.kernel = ICP_COUNT_PASSED_MALFORMED;
		check_before(&begin, "\0\0\0\0\0\0\0\0", 8);
	}
}

/* The frame of a query whose message has been changed in one place. */
static void check_changed(const char *what, size_t place, uint8_t value, enum icp_counter counter,
			  uint8_t verdict)
{
	static struct bytes message, frame, answer;
	const struct datagram datagram = { URL("http://hit.example/x"), .verdict = verdict };

	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6), back = envelope_back(&envelope);

		message_build(&message, &datagram);
		message.at[place] = value;
		frame_build(&frame, &envelope, &message);
		answer_build(&message, &datagram);
		if (place >= 4 && place < 8) /* the request number comes back, */
			message.at[place] = value;
		if (place >= 16 && place < 20) /* so does the sender host address, */
			message.at[place] = value;
		if (place >= 24) /* and the URL */
			message.at[place - 4] = value;
		frame_build(&answer, &back, &message);
		assert_outcome(&program, what, &frame, counter, &answer);
	}
}

TEST(every_opcode_version_and_length)
{
	static const struct {
		const char *what;
		size_t place;
		int right;
	} fields[] = {
		{ "opcode", 0, 1 }, { "version", 1, 2 }, { "length", 2, 0 }, { "length", 3, 45 }
	};

	prepare(TABLE_CHAIN, false);
	for (size_t field = 0; field < sizeof(fields) / sizeof(fields[0]); field++)
		for (int i = 0; i < 256; i++)
			check_changed(fields[field].what, fields[field].place, i,
				      i == fields[field].right ? ICP_COUNT_ANSWERED
							       : ICP_COUNT_PASSED_MALFORMED,
				      2);
}

TEST(all_other_fields_may_hold_anything)
{
	prepare(TABLE_CHAIN, false);
	for (size_t place = 4; place < 24; place++)
		for (int i = 0; i < 256; i += 5)
			check_changed("a field", place, i, ICP_COUNT_ANSWERED, 2);
}

TEST(every_byte_at_every_place_of_a_url)
{
	prepare("default = hit", false);
	for (int place = 24; place < 44; place++) {
		for (int i = 0; i < 256; i++) {
			if (i == 0)
				check_changed("a NUL", place, i, ICP_COUNT_PASSED_MALFORMED, 0);
			else if (i == ' ' || (i >= 9 && i <= 13))
				check_changed("white space", place, i, ICP_COUNT_ANSWERED, 4);
			else
				check_changed("a byte", place, i, ICP_COUNT_ANSWERED, 2);
		}
	}
	for (int i = 0; i < 256; i++)
		check_changed("the last byte", 44, i,
			      i == 0 ? ICP_COUNT_ANSWERED : ICP_COUNT_PASSED_MALFORMED, 2);
}

/* Alone in its frame, and with something behind it. */
static void check_both(const char *what, const char *url, size_t length, uint8_t verdict,
		       enum icp_counter counter)
{
	char text[256];
	const struct datagram datagram = { .name = what,
					   .url = text,
					   .url_size = length + 1,
					   .kernel = counter,
					   .verdict = verdict };

	memcpy(text, url, length);
	text[length] = '\0';
	check_before(&datagram, "", 0);
	check_before(&datagram, "behind it", 9);
}

/* At the edges of words, for URLs that end around the edges of words. */
TEST(white_space_at_the_edges)
{
	char url[256];

	prepare("default = hit", false);
	for (size_t length = 1; length <= 255; length += length == 26 ? 214 : 1) {
		for (size_t place = 0; place < length; place++) {
			if (place % 8 > 1 && place % 8 < 6 && place + 1 < length)
				continue;
			memset(url, 'x', length);
			url[place] = "\t\n\v\f\r "[place % 6];
			check_both("white space", url, length, 4, ICP_COUNT_ANSWERED);
			url[place] = '\0';
			check_both("a NUL", url, length, 0, ICP_COUNT_PASSED_MALFORMED);
			if (place + 1 < length) {
				url[place + 1] = ' ';
				check_both("a NUL and a space", url, length, 0,
					   ICP_COUNT_PASSED_MALFORMED);
			}
		}
	}
}

TEST(request_number_zero)
{
	struct datagram datagram = { "number 0", .request_zero = true, URL("http://hit.example/x"),
				     .verdict = 2, .kernel = ICP_COUNT_PASSED_MALFORMED };

	prepare(TABLE_CHAIN, false);
	check(&datagram);
	prepare(TABLE_CHAIN, true);
	datagram.kernel = ICP_COUNT_ANSWERED;
	check(&datagram);
	check_url("http://hit.example/x", 2);
}
