// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <string.h>

#include "icp/dump.h"
#include "lib/escape.h"
#include "icp.h"
#include "icp/opcode.h"

#define BOX_WIDTH 63	  /* characters between the two outer bars */
#define OPCODE_WIDTH 13	  /* characters for the opcode, after two blanks */
#define PAYLOAD_COLUMN 13 /* where the payload begins in a line */
#define PAYLOAD_WIDTH (BOX_WIDTH - PAYLOAD_COLUMN)

static void draw_rule(FILE *out)
{
	fputs("+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+\n", out);
}

static void __attribute__((format(printf, 2, 3))) draw_line(FILE *out, const char *format, ...)
{
	char text[BOX_WIDTH + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(out, "|%-*s|\n", BOX_WIDTH, text);
}

static void draw_first_line(FILE *out, const struct icp_header *header)
{
	const char *name = opcode_name(header->opcode);
	char number[OPCODE_WIDTH + 1];

	if (!name) {
		snprintf(number, sizeof(number), "Opcode: %u", header->opcode);
		name = number;
	} else if (strlen(name) > OPCODE_WIDTH) {
		name += strlen("ICP_OP_");
	}
	draw_line(out, "  %-*s|   Version: %-3u|     Message Length: %-10u", OPCODE_WIDTH, name,
		  header->version, be16_to_host(header->length));
}

static void draw_field(FILE *out, const char *name, __be32 value)
{
	draw_line(out, "%20s%s: %X", "", name, be32_to_host(value));
}

static void draw_payload(FILE *out, const unsigned char *payload, size_t size)
{
	const char *label = "    Payload: ";
	char text[PAYLOAD_WIDTH + 1] = "";
	size_t length = 0;

	for (size_t i = 0; i < size; i++) {
		char byte[ESCAPE_MAX + 1];
		size_t more = escape_byte(payload[i], byte);

		if (length + more > PAYLOAD_WIDTH) {
			draw_line(out, "%*s%s", PAYLOAD_COLUMN, label, text);
			label = "";
			length = 0;
		}
		memcpy(text + length, byte, more + 1);
		length += more;
	}
	draw_line(out, "%*s%s", PAYLOAD_COLUMN, label, text);
}

static void draw_fragment(FILE *out, const unsigned char *bytes, size_t size)
{
	fprintf(out, "%zu bytes, less than the %u of an ICP header: ", size, ICP_HEADER_SIZE);
	for (size_t i = 0; i < size; i++) {
		char byte[ESCAPE_MAX + 1];

		escape_byte(bytes[i], byte);
		fputs(byte, out);
	}
	fputc('\n', out);
}

void dump_datagram(FILE *out, const void *datagram, size_t size)
{
	struct icp_header header;

	if (size < sizeof(header)) {
		draw_fragment(out, datagram, size);
		return;
	}
	memcpy(&header, datagram, sizeof(header));
	draw_rule(out);
	draw_first_line(out, &header);
	draw_rule(out);
	draw_field(out, "Request Number", header.request_number);
	draw_rule(out);
	draw_field(out, "Options", header.options);
	draw_rule(out);
	draw_field(out, "Option Data", header.option_data);
	draw_rule(out);
	draw_field(out, "Sender Host Address", header.sender_host_address);
	draw_rule(out);
	draw_line(out, "%s", "");
	draw_payload(out, (const unsigned char *)datagram + sizeof(header), size - sizeof(header));
	draw_line(out, "%s", "");
	draw_rule(out);
}
