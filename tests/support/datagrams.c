// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/datagrams.h"

#include "server/rules.h"

void push(struct bytes *bytes, const void *from, size_t size)
{
	assert_true(bytes->size + size <= sizeof(bytes->at));
	if (size)
		memcpy(bytes->at + bytes->size, from, size);
	bytes->size += size;
}

void push8(struct bytes *bytes, uint8_t value)
{
	push(bytes, &value, 1);
}

void push16(struct bytes *bytes, uint16_t value)
{
	push8(bytes, value >> 8);
	push8(bytes, value & 0xff);
}

void push32(struct bytes *bytes, uint32_t value)
{
	push16(bytes, value >> 16);
	push16(bytes, value & 0xffff);
}

void poke16(struct bytes *bytes, size_t offset, uint16_t value)
{
	bytes->at[offset] = value >> 8;
	bytes->at[offset + 1] = value & 0xff;
}

uint16_t plain_sum(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++) {
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

void message_build(struct bytes *message, const struct datagram *datagram)
{
	size_t url_size = datagram->url_size + datagram->longer;

	message->size = 0;
	push8(message, datagram->opcode ? datagram->opcode : 1);
	push8(message, datagram->version ? datagram->version : 2);
	push16(message, (datagram->size ? datagram->size : 24 + url_size) + datagram->length_off);
	push32(message, datagram->request_zero ? 0 : REQUEST);
	push32(message, datagram->options);
	push32(message, datagram->option_data);
	push32(message, SENDER);
	push32(message, REQUESTER);
	if (url_size) {
		push(message, datagram->url, datagram->url_size - 1);
		for (size_t i = 0; i < datagram->longer; i++)
			push8(message, 'u');
		push8(message, datagram->url[datagram->url_size - 1]);
	}
	if (datagram->size)
		message->size = datagram->size;
}

void answer_build(struct bytes *answer, const struct datagram *datagram)
{
	struct bytes *query = calloc(1, sizeof(*query));

	assert_non_null(query);
	message_build(query, datagram);
	answer->size = 0;
	push8(answer, datagram->verdict);
	push8(answer, 2);
	push16(answer, datagram->bare ? 21 : query->size - 4);
	push32(answer, datagram->request_zero ? 0 : REQUEST);
	push32(answer, datagram->tells_cost ? 0x40000000 : 0);
	push32(answer, datagram->tells_cost ? datagram->cost : 0);
	push32(answer, SENDER);
	if (datagram->bare)
		push8(answer, 0);
	else if (query->size > 24)
		push(answer, query->at + 24, query->size - 24);
	free(query);
}

static size_t ip_offset(const struct envelope *envelope)
{
	return 14 + 4 * envelope->tags;
}

size_t frame_message_offset(const struct envelope *envelope)
{
	size_t ip = envelope->v6 ? 40 + (envelope->extension ? 8 : 0) : 20 + 4 * envelope->options;

	return ip_offset(envelope) + ip + 8;
}

void frame_build(struct bytes *frame, const struct envelope *envelope, const struct bytes *message)
{
	uint16_t udp_size = 8 + message->size + envelope->udp_length_off;
	uint8_t protocol = envelope->protocol ? envelope->protocol : 17;
	size_t ip = ip_offset(envelope), udp = frame_message_offset(envelope) - 8;
	size_t address_size = envelope->v6 ? 16 : 4;
	uint32_t pseudo = 17 + udp_size;
	uint16_t type = envelope->ethertype;
	uint16_t sum;

	frame->size = 0;
	push(frame, envelope->to_mac, 6);
	push(frame, envelope->from_mac, 6);
	for (unsigned int i = 0; i < envelope->tags; i++) {
		push16(frame, envelope->tag_type[i]);
		push16(frame, envelope->tag[i]);
	}
	if (type == 0)
		type = envelope->v6 ? 0x86dd : 0x0800;
	push16(frame, type);

	if (envelope->v6) {
		push32(frame, (envelope->version ? envelope->version : 6u) << 28 |
				      (uint32_t)envelope->tos << 20 | envelope->flow);
		push16(frame,
		       (envelope->extension ? 8 : 0) + 8 + message->size + envelope->ip_length_off);
		push8(frame, envelope->extension ? envelope->extension : protocol);
		push8(frame, envelope->ttl);
		push(frame, envelope->from, 16);
		push(frame, envelope->to, 16);
		if (envelope->extension) {
			push8(frame, protocol);
			push(frame, "\0\1\4\0\0\0\0", 7); /* padding, as options go */
		}
	} else {
		push8(frame, (envelope->version ? envelope->version : 4u) << 4 |
				     (5 + envelope->options + envelope->header_off));
		push8(frame, envelope->tos);
		push16(frame,
		       20 + 4 * envelope->options + 8 + message->size + envelope->ip_length_off);
		push16(frame, envelope->id);
		push16(frame, envelope->fragment);
		push8(frame, envelope->ttl);
		push8(frame, protocol);
		push16(frame, 0);
		push(frame, envelope->from, 4);
		push(frame, envelope->to, 4);
		for (size_t i = 0; i < envelope->options; i++)
			push32(frame, 0x01010101);
		sum = ~plain_sum(frame->at + ip, frame->size - ip, 0);
		poke16(frame, ip + 10, sum ^ envelope->ip_checksum_wrong);
	}

	push16(frame, envelope->from_port);
	push16(frame, envelope->to_port);
	push16(frame, udp_size);
	push16(frame, 0);
	push(frame, message->at, message->size);
	if (envelope->checksum != CHECKSUM_NONE) {
		sum = plain_sum(envelope->from, address_size, pseudo % 0xffff);
		sum = plain_sum(envelope->to, address_size, sum);
		if (envelope->checksum != CHECKSUM_PARTIAL) {
			sum = ~plain_sum(frame->at + udp, frame->size - udp, sum);
			if (sum == 0)
				sum = 0xffff;
		}
		poke16(frame, udp + 6, sum ^ (envelope->checksum == CHECKSUM_WRONG ? 0x0100 : 0));
	}

	for (size_t i = 0; i < envelope->padding; i++)
		push8(frame, (7 * i + 3) | 1);
}

struct envelope envelope_back(const struct envelope *envelope)
{
	struct envelope back = {
		.tags = envelope->tags,
		.v6 = envelope->v6,
		.from_port = envelope->to_port,
		.to_port = envelope->from_port,
		.ttl = 64,
		.fragment = 0x4000,
		.padding = envelope->padding,
	};

	memcpy(back.to_mac, envelope->from_mac, 6);
	memcpy(back.from_mac, envelope->to_mac, 6);
	memcpy(back.tag_type, envelope->tag_type, sizeof(back.tag_type));
	memcpy(back.tag, envelope->tag, sizeof(back.tag));
	memcpy(back.from, envelope->to, 16);
	memcpy(back.to, envelope->from, 16);
	return back;
}

const struct table_rule table_rules[] = {
	{ "http://rule.example/", ICP_OP_DENIED },
	{ "http://rule.example/hit/", ICP_OP_HIT },
	{ "http://hit.example/but/", ICP_OP_MISS_NOFETCH },
	{ "http://cost.example/rule/", ICP_OP_MISS },
};

const size_t table_rule_count = sizeof(table_rules) / sizeof(table_rules[0]);

struct rules *table_rules_local(void)
{
	struct rules *rules = rules_local(table_rule_count);
	struct error error;

	assert_non_null(rules);
	for (size_t i = 0; i < table_rule_count; i++)
		assert_int_equal(rules_put(rules, table_rules[i].prefix,
					   strlen(table_rules[i].prefix), table_rules[i].verdict,
					   &error),
				 0);
	return rules;
}

#define RAW(text) .url = text, .url_size = sizeof(text) - 1
#define HERE(opcode) .kernel = ICP_COUNT_ANSWERED, .daemon = ICP_COUNT_ANSWERED, .verdict = opcode
#define UP(reason, opcode)                                                                         \
	.kernel = ICP_COUNT_PASSED_##reason, .daemon = ICP_COUNT_ANSWERED, .verdict = opcode
#define NO_URL                                                                                     \
	.kernel = ICP_COUNT_PASSED_MALFORMED, .daemon = ICP_COUNT_ANSWERED, .verdict = 4,          \
	.bare = true
#define SILENT(passed, silent)                                                                     \
	.kernel = ICP_COUNT_PASSED_##passed, .daemon = ICP_COUNT_SILENT_##silent
#define SRC_RTT 0x40000000
#define HIT_OBJ 0x80000000

const struct datagram datagrams[] = {
	{ "hit", URL("http://hit.example/x"), HERE(2) },
	{ "miss", URL("http://miss.example/x"), HERE(3) },
	{ "miss_nofetch", URL("http://nofetch.example/x"), HERE(21) },
	{ "denied", URL("http://denied.example/x"), HERE(22) },
	{ "err", URL("http://err.example/x"), HERE(4) },
	{ "the prefix itself", URL("http://hit.example/"), HERE(2) },
	{ "one byte less", URL("http://hit.example"), UP(HORIZON, 3) },
	{ "one bit else", URL("http://hit.examplf/"), UP(HORIZON, 3) },

	{ "a rule", URL("http://rule.example/x"), HERE(22) },
	{ "the longest rule", URL("http://rule.example/hit/x"), HERE(2) },
	{ "a rule before the chain", URL("http://hit.example/but/x"), HERE(21) },
	{ "a rule has no cost", .options = SRC_RTT, URL("http://cost.example/rule/x"), HERE(3) },

	{ "an exact URL", URL("http://exact.example/a"), HERE(2) },
	{ "more than the exact URL", URL("http://exact.example/ab"), HERE(22) },
	{ "less than the exact URL", URL("http://exact.example/"), HERE(22) },

	{ "a suffix", .options = ICP_FLAG_SRC_RTT, URL("http://nowhere.example/a.suffix"), HERE(2),
	  .tells_cost = true, .cost = 5 },
	{ "a suffix before a host", URL("http://host.example/a.suffix"), HERE(2) },
	{ "a prefix before a suffix", URL("http://denied.example/a.suffix"), HERE(22) },
	{ "a host", URL("http://host.example/"), HERE(4) },
	{ "a host in another form", URL("HTTP://u@HOST.Example.:80?x"), HERE(4) },
	{ "below a domain", URL("http://a.domain.example"), HERE(4) },

	{ "cost, not asked for", URL("http://cost.example/"), HERE(3) },
	{ "cost", .options = SRC_RTT, URL("http://cost.example/"), HERE(3), .tells_cost = true,
	  .cost = 300 },
	{ "the first policy's cost", .options = SRC_RTT, URL("http://cost.example/0/"), HERE(3),
	  .tells_cost = true, .cost = 300 },
	{ "the highest cost", .options = SRC_RTT, URL("http://dear.example/"), HERE(2),
	  .tells_cost = true, .cost = 65535 },
	{ "cost 0", .options = SRC_RTT, URL("http://free.example/"), HERE(2), .tells_cost = true },
	{ "SRC_RTT without a cost", .options = SRC_RTT, URL("http://hit.example/"), HERE(2) },
	{ "HIT_OBJ", .options = HIT_OBJ, URL("http://hit.example/"), HERE(2) },
	{ "HIT_OBJ and SRC_RTT", .options = HIT_OBJ | SRC_RTT, URL("http://cost.example/"), HERE(3),
	  .tells_cost = true, .cost = 300 },
	{ "all options but SRC_RTT", .options = ~SRC_RTT, .option_data = 0xffffffff,
	  URL("http://cost.example/"), HERE(3) },
	{ "option data is not echoed", .options = SRC_RTT, .option_data = 0x5a5a5a5a,
	  URL("http://hit.example/"), HERE(2) },
	{ "all option data, with a cost", .options = 0xffffffff, .option_data = 0xffffffff,
	  URL("http://cost.example/"), HERE(3), .tells_cost = true, .cost = 300 },

	{ "behind the horizon", URL("http://behind.example/"), UP(HORIZON, 2) },
	{ "behind the horizon, cost", .options = SRC_RTT, URL("http://behind.example/"),
	  UP(HORIZON, 2), .tells_cost = true, .cost = 7 },
	{ "the horizon itself", URL("http://regex.example/"), UP(HORIZON, 22) },
	{ "the default", URL("http://nowhere.example/"), UP(HORIZON, 3) },
	{ "one byte", URL("x"), UP(HORIZON, 3) },

	{ "255 bytes", URL("http://hit.example/"), .longer = 236, HERE(2) },
	{ "256 bytes", URL("http://hit.example/"), .longer = 237, UP(LONG, 2) },
	{ "257 bytes", URL("http://hit.example/"), .longer = 238, UP(LONG, 2) },
	{ "8191 bytes", URL("http://cost.example/"), .longer = 8171, .options = SRC_RTT,
	  UP(LONG, 3), .tells_cost = true, .cost = 300 },
	{ "a message of 16384 bytes", URL("http://denied.example/"), .longer = 16337,
	  UP(LONG, 22) },
	{ "256 bytes with white space", URL("http://hit.example/ "), .longer = 236, UP(LONG, 4) },

	{ "a space first", URL(" http://hit.example/"), HERE(4) },
	{ "a space in the middle", URL("http://hit.example/a b"), HERE(4) },
	{ "a space last", URL("http://hit.example/ "), HERE(4) },
	{ "nothing but a space", URL(" "), HERE(4) },
	{ "a tab", URL("http://hit.example/\t"), HERE(4) },
	{ "a line feed", URL("http://hit.example/\n"), HERE(4) },
	{ "a vertical tab", URL("http://hit.example/\v"), HERE(4) },
	{ "a form feed", URL("http://hit.example/\f"), HERE(4) },
	{ "a carriage return", URL("http://hit.example/\r"), HERE(4) },
	{ "white space outweighs a rule", URL("http://rule.example/ "), HERE(4) },
	{ "white space has no cost", .options = SRC_RTT, URL("http://cost.example/ "), HERE(4) },
	{ "a byte 08", URL("http://hit.example/\x08"), HERE(2) },
	{ "a byte 0e", URL("http://hit.example/\x0e"), HERE(2) },
	{ "a byte 1f", URL("http://hit.example/\x1f"), HERE(2) },
	{ "a byte 7f", URL("http://hit.example/\x7f"), HERE(2) },
	{ "bytes 80 to ff", URL("http://hit.example/\x80\x85\xa0\xff"), HERE(2) },

	{ "no requester address and no URL", .size = 20, NO_URL },
	{ "a part of the requester address", .size = 21, NO_URL },
	{ "22 bytes", .size = 22, NO_URL },
	{ "23 bytes", .size = 23, NO_URL },
	{ "no URL", .size = 24, NO_URL },
	{ "an empty URL", URL(""), NO_URL },
	{ "one byte and no NUL", RAW("x"), NO_URL },
	{ "no NUL", RAW("http://hit.example/x"), NO_URL },
	{ "no NUL after 255 bytes", RAW("http://hit.example/x"), .longer = 235, NO_URL },
	{ "no NUL, with white space", RAW("http://hit.example/x y"), NO_URL },
	{ "two NULs", URL("http://hit.example/\0"), NO_URL },
	{ "a NUL first", URL("\0http://hit.example/"), NO_URL },
	{ "a NUL in the middle", URL("http://hit.\0example/"), NO_URL },
	{ "white space and a NUL", URL("http://hit.example/ \0x"), NO_URL },
	{ "a NUL and white space", URL("http://hit.example/\0x y"), NO_URL },

	{ "request number 0", .request_zero = true, URL("http://hit.example/x"),
	  SILENT(MALFORMED, REQUEST_ZERO) },
	{ "request number 0 without a URL", .request_zero = true, .size = 24,
	  SILENT(MALFORMED, REQUEST_ZERO) },
	{ "a reply, HIT", .opcode = 2, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "a reply, ERR", .opcode = 4, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "a reply, ERR in 21 bytes", .opcode = 4, .size = 21, SILENT(MALFORMED, OPCODE) },
	{ "SECHO", .opcode = 10, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "DECHO", .opcode = 11, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "MISS_NOFETCH", .opcode = 21, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "DENIED", .opcode = 22, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "HIT_OBJ", .opcode = 23, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "opcode 255", .opcode = 255, URL("http://hit.example/x"), SILENT(MALFORMED, OPCODE) },
	{ "version 1", .version = 1, URL("http://hit.example/x"), SILENT(MALFORMED, VERSION) },
	{ "version 3", .version = 3, URL("http://hit.example/x"), SILENT(MALFORMED, VERSION) },
	{ "version 255", .version = 255, URL("http://hit.example/x"), SILENT(MALFORMED, VERSION) },
	{ "length one too small", .length_off = -1, URL("http://hit.example/x"),
	  SILENT(MALFORMED, LENGTH) },
	{ "length one too large", .length_off = 1, URL("http://hit.example/x"),
	  SILENT(MALFORMED, LENGTH) },
	{ "length too small, no URL", .length_off = -1, .size = 20, SILENT(MALFORMED, LENGTH) },
	{ "length too large, 256 bytes", .length_off = 1, URL("http://hit.example/"), .longer = 237,
	  SILENT(LONG, LENGTH) },
	{ "one byte of a message", .size = 1, SILENT(MALFORMED, SHORT) },
	{ "one byte less than a header", .size = 19, SILENT(MALFORMED, SHORT) },
	{ "a message of 16385 bytes", URL("http://hit.example/x"), .longer = 16340,
	  SILENT(LONG, LONG) },
	{ "the longest message in IPv4", URL("http://hit.example/x"), .longer = 65462,
	  SILENT(LONG, LONG) },
};

const size_t datagram_count = sizeof(datagrams) / sizeof(datagrams[0]);
