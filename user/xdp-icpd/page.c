// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "xdp-icpd/page.h"

/* The file, and its length in bytes. */
__asm__(".pushsection .rodata\n"
	".globl page_file, page_length\n"
	"page_file: .incbin \"user/xdp-icpd/page.html\"\n"
	"1: .balign 8\n"
	"page_length: .quad 1b - page_file\n"
	".popsection\n");

extern const char page_file[];
extern const uint64_t page_length;

/* In the file, where the number goes that its script and style have once. */
#define NONCE "0123456789abcdef0123456789abcdef"
#define NONCE_LENGTH (sizeof(NONCE) - 1)

/*
 * The script and the style are those of the file, and nothing else: what is shown may come from names
 * that others have chosen.
 */
#define SECURITY                                                                                   \
	"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "    \
	"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static int make_nonce(char nonce[NONCE_LENGTH + 1])
{
	unsigned char bytes[NONCE_LENGTH / 2];

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes))
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

void get_page(void *context, struct control_request *request)
{
	size_t length = (size_t)page_length;
	char security[sizeof(SECURITY) + 2 * NONCE_LENGTH], nonce[NONCE_LENGTH + 1];
	char *text = malloc(length), *at = text;

	if (!text || make_nonce(nonce)) {
		free(text);
		control_reply(request, NULL);
		return;
	}
	memcpy(text, page_file, length);
	while ((at = memmem(at, length - (size_t)(at - text), NONCE, NONCE_LENGTH)))
		memcpy(at, nonce, NONCE_LENGTH);
	snprintf(security, sizeof(security), SECURITY, nonce, nonce);
	control_reply_page(request, security, text, length);
}
