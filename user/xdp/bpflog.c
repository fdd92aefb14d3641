// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "xdp/bpflog.h"
#include "lib/log.h"

char kernel_cause[256];

/* The verifier's reason is on the last line before its statistics. */
static void store_refusal(char *log)
{
	static const char *const figures[] = { "processed ", "verification time", "stack depth",
					       "-- END" };
	char *rest = NULL;

	for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
			if (strncmp(line, figures[i], strlen(figures[i])) == 0)
				return;
		snprintf(kernel_cause, sizeof(kernel_cause), "%s", line);
	}
}

__attribute__((format(printf, 2, 0))) static void library_print(bool warning, const char *format,
								va_list args)
{
	static const char mark[] = "Kernel error message: ";
	static const char verifier[] = "-- BEGIN PROG LOAD LOG --\n";
	char *text, *cause;

	if (vasprintf(&text, format, args) < 0)
		return;
	cause = strstr(text, mark);
	if (cause) {
		cause += sizeof(mark) - 1;
		snprintf(kernel_cause, sizeof(kernel_cause), "%.*s", (int)strcspn(cause, "\n"),
			 cause);
	}
	cause = strstr(text, verifier);
	if (cause) {
		store_refusal(cause + sizeof(verifier) - 1);
		log_write(LOG_INFO, "verifier: %s", kernel_cause);
	} else {
		/* Most warnings are about attempts that may fail; what matters is in the error. */
		log_write(warning ? LOG_INFO : LOG_DEBUG, "%s", text);
	}
	free(text);
}

__attribute__((format(printf, 2, 0))) static int libbpf_sink(enum libbpf_print_level level,
							     const char *format, va_list args)
{
	library_print(level == LIBBPF_WARN, format, args);
	return 0;
}

__attribute__((format(printf, 2, 0))) static int libxdp_sink(enum libxdp_print_level level,
							     const char *format, va_list args)
{
	library_print(level == LIBXDP_WARN, format, args);
	return 0;
}

void bpf_log_init(void)
{
	libbpf_set_print(libbpf_sink);
	libxdp_set_print(libxdp_sink);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	kernel_cause[0] = '\0';
}
