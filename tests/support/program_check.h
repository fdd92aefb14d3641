/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the XDP program share: a host's addresses, queries to it in frames of all
 * kinds, and what becomes of them, to the byte and to the counter.
 *
 * The program is attached to nothing, and nothing is left behind. Without the rights to load it
 * every test is skipped.
 */
#ifndef XDP_ICP_TEST_PROGRAM_CHECK_H
#define XDP_ICP_TEST_PROGRAM_CHECK_H

#include "support/chains.h"
#include "support/program.h"

#define LEASE 3600000 /* ms: none of it is about how long a test takes */

extern struct program program;

extern const uint8_t our_mac[6];
extern const uint8_t no_mac[6];
extern const uint8_t our_v4[4];
extern const uint8_t loopback_v4[4];
extern const uint8_t broadcast_v4[4];
extern const uint8_t our_v6[16];
extern const uint8_t loopback_v6[16];
extern const uint8_t link_local_v6[16];

/* For a group of tests, before all and after all. */
int open_program(void **state);
int close_program(void **state);

/* --- frames */

/* A query from another host, with all fields that a reply must not take over. */
struct envelope envelope_v4(void);
struct envelope envelope_v6(void);
struct envelope envelope_of(bool v6);
void tag(struct envelope *envelope, uint16_t type, uint16_t value);
void two_tags(struct envelope *e, uint16_t outer, uint16_t inner);
void to_loopback(struct envelope *e);
void set_mapped(uint8_t address[16], const uint8_t v4[4]);

/* Envelopes that have nothing in common except that they get a reply. */
size_t various_envelopes(struct envelope envelopes[16]);

/* --- what becomes of them */

/* `mac` may be NULL for none; port 0: a broadcast address. */
void put_v4(const uint8_t address[4], uint16_t port, const uint8_t mac[6]);

/* Our addresses, the table's rules, and a chain. */
void prepare(const char *config, bool answer_request_zero);

/* As the daemon does it: prepares a chain and switches to it. Returns 0, or -1 and `error`. */
int set_chain(struct kernel *kernel, const struct compiled *compiled, bool answer_request_zero,
	      unsigned int lease, const struct candidate *gate, struct error *error);

/* Puts the datagram into the envelope, and looks at what becomes of it in both modes. */
void check_in(const struct envelope *envelope, const struct datagram *datagram);
void check(const struct datagram *datagram);

/* A URL of any bytes and its verdict; 0: it passes for `counter`. */
void check_bytes(const char *what, const char *url, size_t length, uint8_t verdict,
		 enum icp_counter counter);
void check_url(const char *url, uint8_t verdict);
void check_url_passes(const char *url, enum icp_counter reason);

#endif
