// SPDX-License-Identifier: GPL-2.0-or-later
/* The meaning of configurations, and the error for each mistake. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "support/chains.h"
#include "config/dropin.h"

static struct config *parse_text(const char *text)
{
	struct config *config;
	struct error error;

	if (config_parse_text(text, strlen(text), "c", &config, &error))
		fail_msg("%s", error.text);
	return config;
}

static void assert_listens(const struct config *config, size_t number, const char *host,
			   unsigned int port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&config->listen[number];
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&config->listen[number];
	bool six = config->listen[number].ss_family == AF_INET6;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(config->listen[number].ss_family,
		  six ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, text,
		  sizeof(text));
	assert_string_equal(text, host);
	assert_int_equal(ntohs(six ? in6->sin6_port : in->sin_port), port);
}

TEST(an_empty_file)
{
	struct config *config = parse_text("");

	assert_int_equal(config->listen_count, 2);
	assert_listens(config, 0, "0.0.0.0", 3130);
	assert_listens(config, 1, "::", 3130);
	assert_int_equal(config->interface_count, 0);
	assert_int_equal(config->mode, CONFIG_MODE_AUTO);
	assert_string_equal(config->control, "/run/xdp-icp/control.sock");
	assert_string_equal(config->pin_dir, "/sys/fs/bpf/xdp-icp");
	assert_string_equal(config->user, "nobody");
	assert_int_equal(config->metrics.ss_family, AF_UNSPEC);
	assert_int_equal(config->default_verdict, ICP_OP_MISS);
	assert_false(config->answer_request_zero);
	assert_int_equal(config->rules_max, 4096);
	assert_int_equal(config->workers, 0);
	assert_int_equal(config->prefixes_max, 0);
	assert_int_equal(config->policy_count, 0);
	config_free(config);
}

TEST(every_option)
{
	struct config *config =
		parse_text("listen = { 192.0.2.1, \"192.0.2.1:4130\", # a comment in a list\n"
			   "  '[2001:db8::1]', /* and\n another */ '[::1]:5130' }\n"
			   "interfaces = { \"eth0\", eth1 } // a third\r\n"
			   "mode = generic\n"
			   "control = /tmp/control user = \"icp\"\n"
			   "pin_dir = '/sys/fs/bpf/other'\n"
			   "default = \"ICP_OP_MISS_NOFETCH\"\n"
			   "answer_request_zero = yes\n"
			   "rules_max = 10 prefixes_max = 67108864 workers = 64\n");

	assert_int_equal(config->listen_count, 4);
	assert_listens(config, 0, "192.0.2.1", 3130);
	assert_listens(config, 1, "192.0.2.1", 4130);
	assert_listens(config, 2, "2001:db8::1", 3130);
	assert_listens(config, 3, "::1", 5130);
	assert_int_equal(config->interface_count, 2);
	assert_string_equal(config->interfaces[0], "eth0");
	assert_string_equal(config->interfaces[1], "eth1");
	assert_int_equal(config->mode, CONFIG_MODE_GENERIC);
	assert_string_equal(config->control, "/tmp/control");
	assert_string_equal(config->user, "icp");
	assert_string_equal(config->pin_dir, "/sys/fs/bpf/other");
	assert_int_equal(config->default_verdict, ICP_OP_MISS_NOFETCH);
	assert_true(config->answer_request_zero);
	assert_int_equal(config->rules_max, 10);
	assert_int_equal(config->workers, 64);
	assert_int_equal(config->prefixes_max, 67108864);
	config_free(config);
}

TEST(policies_with_their_lines)
{
	struct config *config = parse_text("# a comment\n"
					   "policy \"20\" {\n"
					   "  kind = prefix # another\n"
					   "  urls = { http://e.org/a, 'http://e.org//b#c',\n"
					   "\n"
					   "    \"http://e.org/\\x41\" }\n"
					   "  urls += { d }\n"
					   "}\n"
					   "policy 10 { }\n");
	const struct spec_setting *urls;

	assert_int_equal(config->policy_count, 2);
	assert_string_equal(config->policies[0]->name, "20");
	assert_string_equal(config->policies[0]->where, "c:2");
	assert_int_equal(config->policies[0]->count, 2);
	urls = policy_spec_find(config->policies[0], "urls");
	assert_non_null(urls);
	assert_int_equal(urls->count, 4);
	assert_string_equal(urls->values[0].text, "http://e.org/a");
	assert_string_equal(urls->values[0].where, "c:4");
	assert_string_equal(urls->values[1].text, "http://e.org//b#c");
	assert_string_equal(urls->values[1].where, "c:4");
	assert_string_equal(urls->values[2].text, "http://e.org/A");
	assert_string_equal(urls->values[2].where, "c:6");
	assert_string_equal(urls->values[3].text, "d");
	assert_string_equal(urls->values[3].where, "c:7");
	assert_null(policy_spec_find(config->policies[0], "url"));
	assert_string_equal(config->policies[1]->name, "10");
	assert_string_equal(config->policies[1]->where, "c:9");
	config_free(config);
}

TEST(quotes)
{
	struct config *config;

	setenv("XDP_ICP_TEST", "value", 1);
	config = parse_text("policy p { patterns = { \"a${XDP_ICP_TEST}b\", 'a${XDP_ICP_TEST}b',\n"
			    "'\\d\\'\\\\', \"\\\\d\\$\", \"${XDP_ICP_NOT_SET:-other}\" } }");
	const struct spec_setting *patterns = policy_spec_find(config->policies[0], "patterns");

	assert_int_equal(patterns->count, 5);
	assert_string_equal(patterns->values[0].text, "avalueb");
	assert_string_equal(patterns->values[1].text, "a${XDP_ICP_TEST}b");
	assert_string_equal(patterns->values[2].text, "\\d'\\");
	assert_string_equal(patterns->values[3].text, "\\d$");
	assert_string_equal(patterns->values[4].text, "other");
	assert_int_equal(config->variables.count, 2);
	assert_string_equal(config->variables.names[0], "XDP_ICP_TEST");
	assert_string_equal(config->variables.names[1], "XDP_ICP_NOT_SET");
	config_free(config);
}

#define TOP_OPTIONS                                                                                \
	"include, listen, interfaces, mode, control, metrics, pin_dir, user, default, "            \
	"answer_request_zero, "                                                                    \
	"rules_max, prefixes_max, verdicts_max, lease, drain_time, on_exit, log, workers, "        \
	"policy, cluster"
#define ADDRESS_FORM "; write it as 192.0.2.1:3130 or [2001:db8::1]:3130, with numbers, not names"
#define VALUE_FORM "write NAME = VALUE, with quotes around a text and braces around a list"

#define CLUSTER "cluster s { etcd = 'http://a:2379'  member = m\n"

TEST(configuration_errors)
{
	static const struct {
		const char *text, *error;
	} configuration_errors[] = {
		{ "# one\n# two\ncolour = red",
		  "c:3: unknown option 'colour'; the options are " TOP_OPTIONS },
		{ "/* a\n b */\ninclude('x')", "c:3: 'include' must be followed by = and a value" },
		{ "include = ''",
		  "c:1: include: an empty path; name a directory, or leave it out" },
		{ "include = { x,\nx }", "c:2: include: 'x' is given twice; once is enough" },
		{ "\nuser = \"${XDP_ICP_NONE}\"",
		  "c:2: ${XDP_ICP_NONE}: no such environment variable; set it, or write "
		  "${XDP_ICP_NONE:-DEFAULT}, ${XDP_ICP_NONE:-} for an empty text" },
		{ "user = \"${XDP_ICP_NONE:-}\"",
		  "c:1: user: an empty name; name a user, such as nobody" },
		{ "control = \"${ XDP_ICP_NONE :-/a}${XDP_ICP_NONE:/b}\"",
		  "c:1: ${XDP_ICP_NONE}: no such environment variable; set it, or write "
		  "${XDP_ICP_NONE:-DEFAULT}, ${XDP_ICP_NONE:-} for an empty text" },
		{ "policy p {\n\n colour = red }",
		  "c:3: unknown option 'colour' of a policy; the options are kind, verdict, cost, "
		  "not, urls, url, file, texts, text, patterns, pattern, hosts, host, key, query, "
		  "cluster, "
		  "member, members, others, depth, assign, from, above, "
		  "below, pressure, interval, tcp, http, timeout, fall, rise, path, times, "
		  "log, format, scheme, feed, feed_mode, feed_group, window, "
		  "entries_max, children, ttl, program, arguments" },
		{ "\ndefault = hot", "c:2: default: unknown verdict 'hot'; it can be hit, miss, "
				     "miss_nofetch, denied or err" },
		{ "default = query", "c:1: default: unknown verdict 'query'; it can be hit, miss, "
				     "miss_nofetch, denied or err" },
		{ "listen = { '127.0.0.1',\n'localhost' }",
		  "c:2: listen: bad address 'localhost'" ADDRESS_FORM },
		{ "metrics = 'localhost:9130'",
		  "c:1: metrics: bad address 'localhost:9130'; write it as 192.0.2.1:9130 or "
		  "[2001:db8::1]:9130, with numbers, not names" },
		{ "listen = '127.0.0.1:0'", "c:1: listen: bad address '127.0.0.1:0'" ADDRESS_FORM },
		{ "listen = '127.0.0.1:65536'",
		  "c:1: listen: bad address '127.0.0.1:65536'" ADDRESS_FORM },
		{ "listen = '127.0.0.1:'", "c:1: listen: bad address '127.0.0.1:'" ADDRESS_FORM },
		{ "listen = '::1'", "c:1: listen: bad address '::1'" ADDRESS_FORM },
		{ "listen = '[::1'", "c:1: listen: bad address '[::1'" ADDRESS_FORM },
		{ "listen = '[::1]x'", "c:1: listen: bad address '[::1]x'" ADDRESS_FORM },
		{ "listen = '[127.0.0.1]'", "c:1: listen: bad address '[127.0.0.1]'" ADDRESS_FORM },
		{ "listen = ''", "c:1: listen: bad address ''" ADDRESS_FORM },
		{ "listen = { '[::]',\n'[::]:3130' }",
		  "c:2: listen: '[::]:3130' is given twice; once is enough" },
		{ "interfaces = { eth0,\neth0 }",
		  "c:2: interfaces: 'eth0' is given twice; once is enough" },
		{ "interfaces = '1234567890123456'",
		  "c:1: interfaces: '1234567890123456' is not the name of an interface; `ip link` "
		  "shows the names" },
		{ "mode = fast",
		  "c:1: mode: unknown mode 'fast'; it can be auto, native, generic or off" },
		{ "mode = {\nauto,\noff }", "c:3: mode takes one value, not 2" },
		{ "mode = auto\nmode = off",
		  "c:2: 'mode' is set twice; set it once, or append with +=" },
		{ "workers = 0", "c:1: workers: '0' is not a number from 1 to 64" },
		{ "workers = 65", "c:1: workers: '65' is not a number from 1 to 64" },
		{ "rules_max = 0", "c:1: rules_max: '0' is not a number from 1 to 67108864" },
		{ "rules_max = 1x", "c:1: rules_max: '1x' is not a number from 1 to 67108864" },
		{ "prefixes_max = 67108865",
		  "c:1: prefixes_max: '67108865' is not a number from 0 to 67108864" },
		{ "prefixes_max = ''", "c:1: prefixes_max: '' is not a number from 0 to 67108864" },
		{ "answer_request_zero = 1",
		  "c:1: answer_request_zero: '1' is neither true nor false" },
		{ "pin_dir = '/x; id > p; :'",
		  "c:1: pin_dir: '/x; id > p; :' has a character other than letters, digits and "
		  "/._-+:@,%; name a directory in a bpffs, such as /sys/fs/bpf/xdp-icp" },
		{ "pin_dir = bpf",
		  "c:1: pin_dir: 'bpf' is not an absolute path; name a directory in a "
		  "bpffs, such as /sys/fs/bpf/xdp-icp" },
		{ "on_exit = stay", "c:1: on_exit: 'stay' must be keep or close" },
		{ "log = xml", "c:1: log: 'xml' must be text or json" },
		{ "user = ''", "c:1: user: an empty name; name a user, such as nobody" },
		{ "control = '/23456789012345678901234567890123456789012345678901234567890123456789"
		  "012345678901234567890123456789012345678'",
		  "c:1: control: a path of 108 bytes; a socket's has 1 to 107" },
		{ "policy p { }\n\npolicy p { }",
		  "c:3: there is one named 'p' already; each policy and each cluster needs a name "
		  "of its own" },
		{ "cluster { }", "c:1: a cluster needs a name; write cluster \"NAME\" { ... }" },
		{ "cluster s {\nkind = x }",
		  "c:2: unknown option 'kind' of a cluster; the options are etcd, prefix, member, "
		  "weight, addresses, ttl, state, members_min, when_isolated, ca, cert, key, user, "
		  "password_file" },
		{ "\ncluster s { }", "c:2: cluster 's': 'etcd' is missing; write etcd = "
				     "\"https://HOST:2379\"" },
		{ "cluster '.s' {\netcd = 'http://a' }",
		  "c:1: cluster '.s': a name has 1 to 64 of A-Za-z0-9._-, and no dot at its "
		  "beginning" },
		{ "cluster s {\netcd = { 'http://a',\n'ftp://b' } }",
		  "c:3: etcd 'ftp://b': must be https://HOST:PORT or http://HOST:PORT" },
		{ CLUSTER "etcd += 'https://a/b' }",
		  "c:2: etcd 'https://a/b': must be https://HOST:PORT or http://HOST:PORT" },
		{ CLUSTER "prefix = '/a/' }",
		  "c:2: prefix '/a/': it has at most 255 bytes, and no slash at its end" },
		{ CLUSTER "prefix = a }", "c:2: prefix 'a': the path must begin with a slash" },
		{ "cluster s { etcd = 'http://a:2379'\nmember = 'a b' }",
		  "c:2: member 'a b': a name has 1 to 64 of A-Za-z0-9._-, and is not a verdict's" },
		{ CLUSTER "weight = 0 }", "c:2: weight: '0' is not a number from 1 to 10000" },
		{ CLUSTER "ttl = 20ms }", "c:2: ttl: '20ms' is not a duration from 1s to 10m; "
					  "write a number and ms, s, m or h" },
		{ CLUSTER "state = '' }",
		  "c:2: state '': it must not be empty, or longer than a path" },
		{ CLUSTER "when_isolated = hit }",
		  "c:2: when_isolated 'hit': must be keep or miss" },
		{ CLUSTER "key = /k }", "c:1: cluster 's': 'key' is of no use without 'cert'" },
		{ CLUSTER "user = u }",
		  "c:1: cluster 's': 'user' and 'password_file' go together" },
		{ "policy { }", "c:1: a policy needs a name; write policy \"NAME\" { ... }" },
		{ "policy p\nkind = x", "c:2: a policy is missing its {; write policy \"NAME\" { "
					"... }" },
		{ "mode auto", "c:1: 'mode' must be followed by = and a value" },
		{ "mode =", "c:1: the file ends within an option; write NAME = VALUE" },
		{ "mode = =", "c:1: unexpected '='; " VALUE_FORM },
		{ "listen = { a b }", "c:1: unexpected 'b'; " VALUE_FORM },
		{ "mode = \n\n\"auto\nuser = nobody",
		  "c:3: the string that begins here has no end; close it with \"" },
		{ "mode = 'auto", "c:1: the string that begins here has no end; close it with '" },
		{ "mode = \"auto\\", "c:1: the string that begins here has no end; close it with "
				     "\"" },
		{ "mode = auto\n/* off", "c:2: the comment that begins here has no end; close it "
					 "with */" },
		{ "\npolicy p {\nkind = prefix", "c:2: the { of this line is never closed; close "
						 "it with }" },
		{ "policy p {\nurls = {\na }\n", "c:1: the { of this line is never closed; close "
						 "it with }" },
		{ "mode = auto }", "c:1: a } that closes nothing; remove it" },
		{ "policy p {\nurls = {\n{ a } } }", "c:3: too many opening braces; a list cannot "
						     "hold lists" },
		{ "user = \"a${b\" }", "c:1: ${ without }; single quotes keep the text as it is" },
		{ "user = \"\n\\400\"",
		  "c:2: a backslash before a number that is not a byte; \\001 "
		  "to \\377 and \\x01 to \\xff are, and \\\\ is a "
		  "backslash" },
		{ "user = \"\\0\"", "c:1: a backslash before a number that is not a byte; \\001 to "
				    "\\377 and \\x01 to \\xff are, and \\\\ is a backslash" },
		{ "user = \"\\x0g\"",
		  "c:1: a backslash before a number that is not a byte; \\001 to "
		  "\\377 and \\x01 to \\xff are, and \\\\ is a backslash" },
		{ "user = \"\\8\"", "c:1: a backslash before a number that is not a byte; \\001 to "
				    "\\377 and \\x01 to \\xff are, and \\\\ is a backslash" },
	};

	for (size_t i = 0; i < sizeof(configuration_errors) / sizeof(configuration_errors[0]); i++)
		assert_chain_error(configuration_errors[i].text, configuration_errors[i].error);
	/* None of them affects the next text. */
	config_free(parse_text("mode = auto"));
}

TEST(non_text_bytes)
{
	struct config *config;
	struct error error;

	assert_int_equal(config_parse_text("mode = auto\nuser\0", 17, "c", &config, &error), -1);
	assert_string_equal(error.text, "c:2: a NUL; a configuration is text, remove it");
	assert_int_equal(config_parse_text("", CONFIG_TEXT_MAX + 1, "c", &config, &error), -1);
	assert_string_equal(error.text,
			    "c: more than 67108864 bytes; put lists of URLs into files");
}

TEST(files)
{
	char path[LIST_PATH_SIZE];
	struct config *config;
	struct error error;

	assert_int_equal(config_load("/no/such/file", NULL, &config, &error), -1);
	assert_string_equal(error.text, "/no/such/file: cannot read: No such file or directory; "
					"name a configuration file that can be read");
	assert_int_equal(config_load("/tmp", NULL, &config, &error), -1);
	assert_string_equal(error.text, "/tmp: cannot read: Is a directory; name a configuration "
					"file that can be read");
	write_list(path, "", 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(60); /* a bug would block forever */
	assert_int_equal(config_load(path, NULL, &config, &error), -1);
	alarm(0);
	assert_non_null(strstr(error.text, ": cannot read: not a regular file; "));
	unlink(path);
	write_list(path, "mode = off", 10);
	assert_int_equal(config_load(path, NULL, &config, &error), 0);
	assert_int_equal(config->mode, CONFIG_MODE_OFF);
	config_free(config);
	unlink(path);
	write_list(path, "\nmode = on", 10);
	assert_int_equal(config_load(path, NULL, &config, &error), -1);
	assert_string_equal(
		error.text,
		formatted("%s:2: mode: unknown mode 'on'; it can be auto, native, generic or off",
			  path));
	unlink(path);
}

/* Read a text as a reload does. */
static int load_again(const char *text, const struct config *running, struct config **config,
		      struct error *error)
{
	char path[LIST_PATH_SIZE];
	int result;

	write_list(path, text, strlen(text));
	result = config_load(path, running, config, error);
	unlink(path);
	return result;
}

/* A daemon may have kept only the variables that its configuration named at the start. */
TEST(variables_of_a_reload)
{
	struct config *first = parse_text("control = \"${XDP_ICP_NAMED:-/s}\""), *second, *third;
	char names[CONFIG_NAMES_SIZE];
	struct error error;

	setenv("XDP_ICP_SET", "/set", 1);
	assert_int_equal(load_again("control = \"${XDP_ICP_SET}\"", first, &second, &error), 0);
	assert_string_equal(second->control, "/set");
	config_keep_startup_options(second, first, names);
	config_free(first);
	assert_int_equal(load_again("control = \"${XDP_ICP_NAMED:-/t}\"", second, &third, &error),
			 0);
	assert_string_equal(third->control, "/t");
	config_free(third);
	assert_int_equal(load_again("\ncontrol = \"${XDP_ICP_NEW:-/s}\"", second, &third, &error),
			 -1);
	assert_non_null(strstr(
		error.text,
		":2: ${XDP_ICP_NEW}: this environment variable is unknown, because the "
		"configuration did not name it when the daemon started; restart the daemon"));
	config_free(second);
}

TEST(a_long_file)
{
	char *text = malloc(1 << 20);
	size_t size = sprintf(text, "policy p { kind = prefix verdict = hit\nurls = {\n");
	struct config *config;
	struct error error;

	for (int i = 0; i < 20000; i++)
		size += sprintf(text + size, "\"http://e.org/%d\", # %d\n", i, i);
	size += sprintf(text + size, "'http://e.org/last' } }\n");
	assert_int_equal(config_parse_text(text, size, "c", &config, &error), 0);
	const struct spec_setting *urls = policy_spec_find(config->policies[0], "urls");

	assert_int_equal(urls->count, 20001);
	assert_string_equal(urls->values[20000].text, "http://e.org/last");
	assert_string_equal(urls->values[20000].where, "c:20003");
	config_free(config);
	free(text);
}

/* All members that options set. */
static void show(const struct config *config, char text[1024])
{
	size_t used = 0;

	for (size_t i = 0; i < config->listen_count; i++) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&config->listen[i];

		used += snprintf(text + used, 1024 - used, "%u:%u ", in->sin_family,
				 ntohs(in->sin_port));
	}
	for (size_t i = 0; i < config->include_count; i++)
		used += snprintf(text + used, 1024 - used, "%s ", config->includes[i]);
	for (size_t i = 0; i < config->interface_count; i++)
		used += snprintf(text + used, 1024 - used, "%s ", config->interfaces[i]);
	snprintf(text + used, 1024 - used, "%d %s %u %s %s %d %d %u %u %u %u %u %u %d %d",
		 config->mode, config->control, config->metrics.ss_family, config->pin_dir,
		 config->user, config->default_verdict, config->answer_request_zero,
		 config->rules_max, config->prefixes_max, config->verdicts_max, config->lease,
		 config->workers, config->drain_time, config->on_exit, config->log_json);
}

/* Each option in turn differs between the running configuration and that of a reload. */
TEST(startup_options)
{
	static const struct {
		const char *name, *value;
		bool start;
	} rows[] = {
		{ "include", "/other", false }, { "listen", "'0.0.0.0:4130'", true },
		{ "interfaces", "eth0", true }, { "mode", "off", true },
		{ "control", "/other", true },	{ "metrics", "'127.0.0.1'", true },
		{ "pin_dir", "/other", true },	{ "user", "other", true },
		{ "default", "hit", false },	{ "answer_request_zero", "true", false },
		{ "rules_max", "5", true },	{ "prefixes_max", "5", true },
		{ "verdicts_max", "5", true },	{ "lease", "5s", false },
		{ "drain_time", "5s", false },	{ "on_exit", "keep", false },
		{ "log", "json", false },	{ "workers", "5", true },
	};
	char names[CONFIG_NAMES_SIZE], text[128], before[1024], read[1024], after[1024];
	char known[512] = "";
	struct config *config;
	struct error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "%s = %s", rows[i].name, rows[i].value);
		for (int back = 0; back < 2; back++) {
			struct config *started = parse_text(back ? text : "");

			config = parse_text(back ? "" : text);
			show(started, before);
			show(config, read);
			assert_string_not_equal(before, read);
			config_keep_startup_options(config, started, names);
			assert_string_equal(names, rows[i].start ? rows[i].name : "");
			show(config, after);
			assert_string_equal(after, rows[i].start ? before : read);
			show(started, after);
			assert_string_equal(after, rows[i].start ? read : before);
			config_free(started);
			config_free(config);
		}
		strcat(strcat(known, rows[i].name), ", ");
	}
	/* There are no other options. */
	strcat(known, "policy, cluster");
	assert_int_equal(config_parse_text("none = 1", 8, "c", &config, &error), -1);
	assert_string_equal(strstr(error.text, "are ") + 4, known);
}
