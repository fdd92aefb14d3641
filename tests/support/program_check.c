// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/program_check.h"

struct program program;

const uint8_t our_mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
const uint8_t no_mac[6];
const uint8_t our_v4[4] = { 192, 0, 2, 1 };
const uint8_t loopback_v4[4] = { 127, 0, 0, 1 };
const uint8_t broadcast_v4[4] = { 192, 0, 2, 255 };
const uint8_t our_v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
const uint8_t loopback_v6[16] = { [15] = 1 };
const uint8_t link_local_v6[16] = { 0xfe, 0x80, [15] = 1 };

int open_program(void **state)
{
	program_open(&program, PROGRAM_VERDICTS);
	return 0;
}

int close_program(void **state)
{
	program_close(&program);
	return 0;
}

struct envelope envelope_v4(void)
{
	struct envelope envelope = {
		.to_mac = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 },
		.from_mac = { 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee },
		.from = { 192, 0, 2, 77 },
		.to = { 192, 0, 2, 1 },
		.from_port = 43210,
		.to_port = 3130,
		.ttl = 57,
		.tos = 0x2a,
		.id = 0xbeef,
		.fragment = 0x4000,
		.flow = 0xabcde,
	};

	return envelope;
}

struct envelope envelope_v6(void)
{
	struct envelope envelope = envelope_v4();

	envelope.v6 = true;
	memcpy(envelope.to, our_v6, 16);
	memcpy(envelope.from, our_v6, 16);
	envelope.from[15] = 0x77;
	return envelope;
}

struct envelope envelope_of(bool v6)
{
	return v6 ? envelope_v6() : envelope_v4();
}

void tag(struct envelope *envelope, uint16_t type, uint16_t value)
{
	envelope->tag_type[envelope->tags] = type;
	envelope->tag[envelope->tags++] = value;
}

void two_tags(struct envelope *e, uint16_t outer, uint16_t inner)
{
	tag(e, outer, 0x6064);
	tag(e, inner, 0x0fff);
}

void to_loopback(struct envelope *e)
{
	memset(e->to_mac, 0, 6);
	memset(e->from_mac, 0, 6);
	memcpy(e->to, e->v6 ? loopback_v6 : loopback_v4, e->v6 ? 16 : 4);
}

void set_mapped(uint8_t address[16], const uint8_t v4[4])
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, v4, 4);
}

size_t various_envelopes(struct envelope envelopes[16])
{
	size_t count = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		for (int kind = 0; kind < 6; kind++) {
			struct envelope *envelope = &envelopes[count++];

			*envelope = envelope_of(v6);
			if (kind == 1)
				envelope->checksum = CHECKSUM_PARTIAL;
			else if (kind == 2)
				envelope->checksum = v6 ? CHECKSUM_FULL : CHECKSUM_NONE;
			else if (kind == 3)
				tag(envelope, 0x8100, 0x2005);
			else if (kind == 4)
				two_tags(envelope, 0x88a8, 0x8100);
			else if (kind == 5)
				to_loopback(envelope);
			if (kind % 2)
				envelope->padding = 5 + 8 * kind;
		}
	}
	return count;
}

void put_v4(const uint8_t address[4], uint16_t port, const uint8_t mac[6])
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

	memcpy(mapped + 12, address, 4);
	program_put_destination(&program, mapped, port, mac);
}

void prepare(const char *config, bool answer_request_zero)
{
	struct compiled *compiled;
	struct chain *chain;

	program_needed(&program);
	program_clear(&program);
	put_v4(our_v4, 3130, our_mac);
	put_v4(loopback_v4, 3130, no_mac);
	put_v4(broadcast_v4, 0, NULL);
	program_put_destination(&program, our_v6, 3130, our_mac);
	program_put_destination(&program, link_local_v6, 3130, our_mac);
	program_put_destination(&program, loopback_v6, 3130, no_mac);
	for (size_t i = 0; i < table_rule_count; i++)
		program_put_rule(&program, table_rules[i].prefix, table_rules[i].verdict);
	chain = make_chain(config);
	compiled = compile(chain);
	program_set_chain(&program, compiled, answer_request_zero);
	compiled_free(compiled);
	chain_free(chain);
}

/* Is the sum that is left to an offload the whole sum as well? One in 65536 is. */
static bool partial_is_full(const struct envelope *envelope, const struct bytes *message)
{
	static struct bytes full, partial;
	struct envelope other = *envelope;

	other.checksum = CHECKSUM_FULL;
	frame_build(&full, &other, message);
	other.checksum = CHECKSUM_PARTIAL;
	frame_build(&partial, &other, message);
	return memcmp(full.at, partial.at, full.size) == 0;
}

/*
 * In generic mode a reply's checksum is left to the offload that the query's was left to, and what
 * lies behind the reply is what lay there in the query.
 */
static void check_generic(const struct envelope *envelope, const struct datagram *datagram)
{
	static struct bytes message, frame, reply;
	struct program generic = program_in_generic_mode(&program);
	struct envelope back = envelope_back(envelope);
	enum icp_counter counter = datagram->kernel;

	message_build(&message, datagram);
	frame_build(&frame, envelope, &message);
	if (counter == ICP_COUNT_ANSWERED && envelope->checksum != CHECKSUM_NONE &&
	    partial_is_full(envelope, &message))
		counter = ICP_COUNT_PASSED_OFFLOAD;
	if (envelope->checksum == CHECKSUM_PARTIAL)
		back.checksum = CHECKSUM_PARTIAL;
	answer_build(&message, datagram);
	frame_build(&reply, &back, &message);
	for (size_t i = reply.size - back.padding; i < reply.size; i++)
		reply.at[i] = frame.at[i];
	assert_outcome(&generic, datagram->name, &frame, counter, &reply);
}

int set_chain(struct kernel *kernel, const struct compiled *compiled, bool answer_request_zero,
	      unsigned int lease, const struct candidate *gate, struct error *error)
{
	struct kernel_chain prepared;

	if (kernel_prepare_chain(kernel, compiled, answer_request_zero, lease, &prepared, error))
		return -1;
	return kernel_switch_chain(kernel, &prepared, gate, error);
}

void check_in(const struct envelope *envelope, const struct datagram *datagram)
{
	static struct bytes message, frame, answer;
	struct envelope back = envelope_back(envelope);

	message_build(&message, datagram);
	frame_build(&frame, envelope, &message);
	answer_build(&message, datagram);
	frame_build(&answer, &back, &message);
	assert_outcome(&program, datagram->name, &frame, datagram->kernel, &answer);
	check_generic(envelope, datagram);
}

void check(const struct datagram *datagram)
{
	struct envelope v4 = envelope_v4(), v6 = envelope_v6();

	check_in(&v4, datagram);
	check_in(&v6, datagram);
}

void check_bytes(const char *what, const char *url, size_t length, uint8_t verdict,
		 enum icp_counter counter)
{
	char text[1024];
	struct datagram datagram = { .name = what, .url = text, .url_size = length + 1 };

	memcpy(text, url, length);
	text[length] = '\0';
	datagram.kernel = counter;
	datagram.verdict = verdict;
	check(&datagram);
}

void check_url(const char *url, uint8_t verdict)
{
	check_bytes(url, url, strlen(url), verdict, ICP_COUNT_ANSWERED);
}

void check_url_passes(const char *url, enum icp_counter reason)
{
	check_bytes(url, url, strlen(url), 0, reason);
}
