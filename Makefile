# SPDX-License-Identifier: GPL-2.0-or-later
# xdp-icp: `make help` lists the targets. Everything that is built lies in build/.

VERSION := 0.1.0

BUILD ?= build
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(shell command -v bpftool 2>/dev/null) /usr/sbin/bpftool)
PREFIX ?= /usr/local
# The default of the configuration's option `user`.
DAEMON_USER ?= nobody
Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-8s %s\n' $(1) $(2))

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
LIBRARIES := libbpf libxdp libconfuse libevent libmicrohttpd libcurl libpcre2-8 libmnl libcap-ng jansson zlib
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	    -Wwrite-strings -Wformat=2 -Wundef -Wno-missing-field-initializers -Wno-unused-parameter \
	    $(if $(CI),-Werror)
CPPFLAGS += -D_GNU_SOURCE -DXDP_ICP_VERSION='"$(VERSION)"' -DXDP_ICP_USER='"$(DAEMON_USER)"' \
	    -Iinclude -Iuser -I$(BUILD) \
	    $(LIBRARY_CPPFLAGS)
# Reports of sanitizers need lines, not variables.
CFLAGS ?= $(if $(SANITIZE),-O1 -g1,-O2 -g)
HARDENING ?= $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
SANITIZERS_thread := -fsanitize=thread
SANITIZERS_1 := -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all
SANITIZERS := $(if $(SANITIZE),$(SANITIZERS_$(SANITIZE)) -fno-omit-frame-pointer)
# Every program that ends adds its counts, several at a time.
COUNTS := $(if $(COVERAGE),--coverage -fprofile-update=atomic)
ALL_CFLAGS := -std=gnu11 $(CFLAGS) $(WARNINGS) $(HARDENING) $(SANITIZERS) $(COUNTS) -fPIE -MMD -MP
ALL_LDFLAGS := $(LDFLAGS) $(SANITIZERS) $(COUNTS) -pie -Wl,-z,relro,-z,now,--as-needed
LDLIBS = $(LIBRARY_LDLIBS) -pthread
# Asked once, but not before `deps` has installed them.
LIBRARY_CPPFLAGS = $(eval LIBRARY_CPPFLAGS := $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null))$(LIBRARY_CPPFLAGS)
LIBRARY_LDLIBS = $(eval LIBRARY_LDLIBS := $(shell pkg-config --libs $(LIBRARIES)))$(LIBRARY_LDLIBS)

# The folders of user/, each a static library; one may use those before it (scripts/check-layers).
LAYERS := lib icp cluster recent automaton helper control policy config chain xdp server
LAYER_SOURCES := $(foreach layer,$(LAYERS),$(wildcard user/$(layer)/*.c user/$(layer)/*/*.c))
ARCHIVES := $(foreach layer,$(LAYERS),$(BUILD)/user/$(layer).a)
# In the linker's order: a library comes before those that it uses.
LINKED := $(foreach layer,server xdp chain config policy control helper automaton recent cluster icp lib,$(BUILD)/user/$(layer).a)

# Each program has a folder of its own, which uses those above and no other program's.
PROGRAMS := xdp-icpd icpctl xdp-icp-loader xdp-icp-lua icpblast
BINARIES := $(PROGRAMS:%=$(BUILD)/%)
program_objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/$(patsubst xdp-icp-loader,xdp-icp-load,$(1))/*.c))
BPF_OBJECT := $(BUILD)/xdp_icp.bpf.o
SKELETON := $(BUILD)/xdp_icp.skel.h

# Shared objects: the example, and those that tests load.
PLUGINS := $(patsubst scripts/plugins/%.c,$(BUILD)/plugins/%.so,$(wildcard scripts/plugins/*.c))
TEST_PLUGINS := $(patsubst tests/plugins/%.c,$(BUILD)/tests/plugins/%.so,$(wildcard tests/plugins/*.c)) \
		$(BUILD)/tests/plugins/echo_cxx.so

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_REPLAYS := $(FUZZERS:$(BUILD)/fuzz/%=$(BUILD)/tests/%)
FIDELITY := $(BUILD)/tests/fidelity
HOSTILE := $(BUILD)/tests/hostile
TESTS := $(UNIT_TESTS) $(TEST_TOOLS) $(TEST_PLUGINS) $(FUZZ_REPLAYS) $(FIDELITY) $(HOSTILE)
BENCH_BPF := $(BUILD)/bench/limit.bpf.o
MANUALS := $(patsubst scripts/man/%.scd,$(BUILD)/man/%,$(wildcard scripts/man/*.scd))

# Print a file with its @PLACEHOLDERS@ replaced.
filled_in = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@USER@|$(DAEMON_USER)|g' -e 's|@VERSION@|$(VERSION)|g' $(1)
# Likewise, into a file that all may read, whatever the umask is.
install_filled_in = $(call filled_in,$(1)) >$(2) && chmod 644 $(2)

# The settings that objects and manuals were built with: a changed setting rebuilds them.
.PHONY: always
$(BUILD)/objects.settings: settings = $(VERSION) $(DAEMON_USER)
$(BUILD)/manuals.settings: settings = $(VERSION) $(DAEMON_USER) $(PREFIX)
$(BUILD)/%.settings: always | $(BUILD)/
	$(Q)echo '$(settings)' | cmp -s - $@ || echo '$(settings)' >$@

.PHONY: all
all: $(BINARIES) $(BPF_OBJECT) $(PLUGINS) manuals ## build build/xdp-icpd, build/icpctl, the XDP program, build/icpblast, build/man

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z_.-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target text; do printf '%-27s %s\n' "$$target" "$$text"; done
	@echo
	@echo "  V=1 shows the commands, SANITIZE=1 BUILD=build/sanitized builds with ASan and UBSan,"
	@echo "  SANITIZE=thread BUILD=build/thread with ThreadSanitizer."

.PHONY: deps
deps: ## install what building and testing need (Debian 12, as root)
	$(Q)scripts/install-deps

.PHONY: run
run: deps ## install what is missing, build, reply on the loopback interface until Ctrl-C
	$(Q)$(MAKE) -s --no-print-directory all
	$(Q)scripts/run-sample $(BUILD)

.PHONY: check
check: deps ## install what is missing, build, run all the tests
	$(Q)mkdir -p $(BUILD)
	$(Q)$(MAKE) --no-print-directory -j"$$(nproc)" tests-build >$(BUILD)/check-build.log 2>&1 || \
		{ cat $(BUILD)/check-build.log; exit 1; }
	$(Q)tests/run $(ONLY)

.PHONY: tests-build
tests-build: all $(TESTS) $(BUILD)/bench/limit.bpf.o sanitized-build

# Both builds run at the same time, so that neither waits for the last file of the other.
.PHONY: sanitized-build
sanitized-build:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized SANITIZE=1 sanitized

# Without the tests of the XDP program, which the kernel's verifier checks, and the load generators.
.PHONY: sanitized
sanitized: $(filter-out %/icpblast,$(BINARIES)) $(PLUGINS) \
	$(filter-out $(BUILD)/tests/program_% $(HOSTILE) %/flood,$(TESTS))

# The unit tests of code that threads call. Those of control and lua use no threads, and have time
# limits that are too short under ThreadSanitizer.
THREAD_TESTS := $(filter-out %/policy_lua_test, \
		$(filter $(addprefix $(BUILD)/tests/,chain_test evaluation_test policy_% recent_store_test responder_test), \
		$(UNIT_TESTS)))

.PHONY: tsan
tsan: all $(TEST_TOOLS) ## run the tests of code with threads under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/thread SANITIZE=thread all thread-tests
	$(Q)tests/run --thread $(ONLY)

.PHONY: thread-tests
thread-tests: $(THREAD_TESTS) $(TEST_PLUGINS)

.PHONY: check-kernels
check-kernels: all $(filter $(BUILD)/tests/program_%,$(UNIT_TESTS)) ## test under Debian's kernels 5.10, 6.1, 6.12, in QEMU; ONLY=6.1 for one
	$(Q)scripts/install-deps kernels
	$(Q)tests/run --kernels $(ONLY)

# The counts begin as empty files, into which the daemon's user can write as well.
.PHONY: check-package
check-package: deb ## test the package under systemd, in QEMU: install, restart and upgrade under queries, remove
	$(Q)scripts/install-deps package
	$(Q)tests/run --package

.PHONY: check-page
check-page: deps all ## test the page of `metrics` in Chromium; screenshots in build/page
	$(Q)scripts/install-deps page
	$(Q)tests/run --page

.PHONY: check-site
check-site: deps all ## test a site of ten origins, three etcd and a Squid
	$(Q)tests/run --site

.PHONY: coverage
coverage: deps ## measure which lines the tests reach: build/coverage/report.html, and a summary
	$(Q)scripts/install-deps coverage
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage COVERAGE=1 CFLAGS='-Og -g' HARDENING= \
		all coverage-tests
	$(Q)find $(BUILD)/coverage -name '*.gcno' -exec sh -c \
		'for notes; do install -m 666 /dev/null "$${notes%.gcno}.gcda"; done' sh {} +
	$(Q)tests/run --coverage $(ONLY)
	$(Q)find $(BUILD)/coverage -name '*.gcda' -empty -delete
	$(Q)gcovr --object-directory $(BUILD)/coverage --filter user/ --filter include/ --print-summary \
		--html-details $(BUILD)/coverage/report.html --output $(BUILD)/coverage/report.txt

.PHONY: coverage-tests
coverage-tests: $(TESTS) $(BUILD)/bench/limit.bpf.o

.PHONY: bench
bench: deps ## measure: tables, build/bench/report.md; ONLY=word for some, QUICK=1 for a rough idea
	$(Q)scripts/install-deps bench
	$(Q)$(MAKE) -s --no-print-directory all $(BENCH_BPF) $(BUILD)/bench/recvmmsg_loop
	$(Q)tests/bench/run $(if $(QUICK),--quick) $(ONLY)

.PHONY: bench-cluster
bench-cluster: deps ## measure a member of a large cluster: MEMBERS=1000 ASSIGNMENTS=1000000
	$(Q)$(MAKE) -s --no-print-directory all $(BENCH_BPF)
	$(Q)tests/bench/cluster $(if $(MEMBERS),--members $(MEMBERS)) \
		$(if $(ASSIGNMENTS),--assignments $(ASSIGNMENTS))

.PHONY: fuzz
fuzz: $(FUZZERS) ## fuzz the parser, the configuration and automata, SECONDS=60 each
	$(Q)for fuzzer in $(FUZZERS); do \
		corpus=tests/fuzz/corpus/$$(basename $$fuzzer _fuzz); \
		work=$(BUILD)/fuzz/found/$$(basename $$fuzzer _fuzz); mkdir -p $$work; \
		$$fuzzer -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 $$work $$corpus || exit 1; \
	done

.PHONY: fidelity
fidelity: all $(FIDELITY) $(BUILD)/tests/voice $(BUILD)/tests/plugins/voice.so ## compare random chains with an independent evaluator: N=100000000 SEED=1
	$(Q)$(FIDELITY) -n $(or $(N),10000000) -s $(or $(SEED),1) -j $$(nproc) -k tests/fidelity/cases \
		tests/fidelity/cases/*.case
	$(Q)XDP_ICP_FIDELITY_WIRE=$$(($(or $(N),10000000) / 1000000 + 10)) \
		XDP_ICP_FIDELITY_SEED=$(or $(SEED),1) \
		/usr/bin/python3 -B tests/functional/test_fidelity.py OverTheWire \
		>$(BUILD)/fidelity-wire.log || { cat $(BUILD)/fidelity-wire.log; exit 1; }
	$(Q)sed -n 's/^# //p' $(BUILD)/fidelity-wire.log

.PHONY: soak
soak: all $(HOSTILE) $(BUILD)/tests/flood ## send hostile frames and inject faults: MINUTES=60 SEED=1 RATE=32000 (frames a second)
	$(Q)tests/soak/run $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(RATE),--rate $(RATE))

.PHONY: torn
torn: $(BUILD)/tests/program_torn_test ## read entries of the verdicts map while they are overwritten: N=30000000 queries
	$(Q)XDP_ICP_TORN=$(or $(N),30000000) CMOCKA_MESSAGE_OUTPUT=TAP $<

.PHONY: automata
automata: $(BUILD)/tests/automaton_fidelity_test ## compare automata of random patterns with PCRE2 and fnmatch(): N=100 (millions), SEED=1
	$(Q)XDP_ICP_AUTOMATA=$(or $(N),100) XDP_ICP_SEED=$(or $(SEED),1) CMOCKA_MESSAGE_OUTPUT=TAP $<

.PHONY: lint
lint: all ## run clang-format, codespell, clang-tidy, cppcheck, sparse, shellcheck; check the layers
	$(Q)scripts/lint

.PHONY: format
format: ## run clang-format on all C files
	$(Q)git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

.PHONY: hooks
hooks: ## check the text of every commit before it is made
	$(Q)git config core.hooksPath scripts/hooks

.PHONY: compile_commands.json
compile_commands.json: $(SKELETON) ## write the compilation database for clangd and other tools
	$(Q)$(MAKE) -nB --no-print-directory V=1 all $(TESTS) | scripts/compile-commands >$@.new && mv $@.new $@

COMPLETION := scripts/completion
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions

.PHONY: install
install: all ## install below PREFIX (/usr/local) and DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec/xdp-icp \
		$(DESTDIR)$(PREFIX)/lib/xdp-icp $(DESTDIR)$(PREFIX)/include \
		$(DESTDIR)$(PREFIX)/share/pkgconfig $(DESTDIR)/etc/xdp-icp
	install -m 755 $(BUILD)/icpctl $(BUILD)/icpblast $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/xdp-icpd scripts/xdp-icp-load $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(BUILD)/xdp-icp-loader $(BUILD)/xdp-icp-lua scripts/zc-icp-helper.py \
		$(COMPLETION)/complete $(DESTDIR)$(PREFIX)/libexec/xdp-icp
	install -m 644 $(BPF_OBJECT) $(PLUGINS) $(DESTDIR)$(PREFIX)/lib/xdp-icp
	install -m 644 include/xdp_icp_plugin.h $(DESTDIR)$(PREFIX)/include
	$(call install_filled_in,scripts/xdp-icp.pc.in,$(DESTDIR)$(PREFIX)/share/pkgconfig/xdp-icp.pc)
	test -e $(DESTDIR)/etc/xdp-icp/xdp-icp.conf || \
		install -m 644 scripts/sample.conf $(DESTDIR)/etc/xdp-icp/xdp-icp.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/xdp-icp scripts/metrics/*
	install -d $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR)
	$(call install_filled_in,$(COMPLETION)/xdp-icp.bash,$(DESTDIR)$(BASHDIR)/icpctl)
	for program in icpblast xdp-icpd xdp-icp-load; do \
		ln -sf icpctl $(DESTDIR)$(BASHDIR)/$$program || exit 1; \
	done
	$(call install_filled_in,$(COMPLETION)/xdp-icp.zsh,$(DESTDIR)$(ZSHDIR)/_xdp-icp)
	for page in $(MANUALS); do \
		test ! -e $$page || install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; \
	done

UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSTEMD := scripts/systemd

.PHONY: install-units
install-units: ## install systemd's units; needs DAEMON_USER=xdp-icp, for `install` too
	@test "$(DAEMON_USER)" = xdp-icp || { echo "install-units: the units' user is xdp-icp;" \
		"make DAEMON_USER=xdp-icp install install-units" >&2; exit 1; }
	install -d $(DESTDIR)$(UNITDIR)/xdp-icp-.service.d
	for unit in $(basename $(notdir $(wildcard $(SYSTEMD)/*.service.in))); do \
		$(call install_filled_in,$(SYSTEMD)/$$unit.in,$(DESTDIR)$(UNITDIR)/$$unit) || exit 1; \
	done
	install -m 644 $(SYSTEMD)/xdp-icp.slice $(DESTDIR)$(UNITDIR)
	install -m 644 $(SYSTEMD)/xdp-icp-.service.conf $(DESTDIR)$(UNITDIR)/xdp-icp-.service.d/sandbox.conf
	install -D -m 644 $(SYSTEMD)/xdp-icp.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/xdp-icp.conf
	install -D -m 644 $(SYSTEMD)/xdp-icp.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/xdp-icp.conf

# Installs into a directory below BUILD to list the files. Those in /etc belong to the administrator.
.PHONY: uninstall
uninstall: ## remove what `install` (and `install-units`) with the same settings installs; keep /etc
	$(Q)rm -rf $(BUILD)/installed
	$(Q)$(MAKE) -s DESTDIR=$(abspath $(BUILD)/installed) install \
		$(if $(filter xdp-icp,$(DAEMON_USER)),install-units)
	cd $(BUILD)/installed && find . -depth ! -path './etc*' \( ! -type d -o -path '*/xdp-icp*' \) \
		-printf '$(DESTDIR)/%P\0' | xargs -0 rm -df
	$(Q)rm -rf $(BUILD)/installed

.PHONY: deb
deb: ## build Debian packages in build/deb, which lintian checks
	$(Q)scripts/install-deps deb
	$(Q)scripts/build-deb $(BUILD)/deb $(VERSION)

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)

# --- the BPF program and the header that carries it into the daemon

# The BPF lookups have the same parameters as those in userspace, and do not use all of them.
BPF_CC := $(CLANG) -target bpf -mcpu=v3 -O2 -g -fno-strict-aliasing -Wall -Wextra -Wno-unused-parameter \
	  $(if $(CI),-Werror) \
	  -Iinclude $(if $(MULTIARCH),-I/usr/include/$(MULTIARCH))

$(BUILD)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/*.h) | $(BUILD)/
	$(call say,BPF,$@)
	$(Q)$(BPF_CC) -c $< -o $@

$(BUILD)/xdp_icp.skel.h $(BUILD)/fidelity/xdp_icp.skel.h: %/xdp_icp.skel.h: %/xdp_icp.bpf.o
	$(call say,SKELETON,$@)
	$(Q){ echo '/* NOLINTBEGIN: generated */' && $(BPFTOOL) gen skeleton $< name xdp_icp && \
		echo '/* NOLINTEND */'; } >$@.new && mv $@.new $@

$(BUILD)/icpblast.skel.h: $(BUILD)/icpblast.bpf.o
	$(call say,SKELETON,$@)
	$(Q){ echo '/* NOLINTBEGIN: generated */' && $(BPFTOOL) gen skeleton $< name icpblast_bpf && \
		echo '/* NOLINTEND */'; } >$@.new && mv $@.new $@

# --- libraries and programs

$(patsubst %,$(BUILD)/user/xdp/%.o,load attach skeleton): $(SKELETON)
$(patsubst %,$(BUILD)/user/icpblast/%.o,run send setup): $(BUILD)/icpblast.skel.h

# The object includes the file.
$(BUILD)/user/xdp-icpd/page.o: user/xdp-icpd/page.html

$(BUILD)/user/%.o: user/%.c $(BUILD)/objects.settings
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

define archive_rule
$(BUILD)/user/$(1).a: $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/$(1)/*.c user/$(1)/*/*.c))
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(foreach layer,$(LAYERS),$(eval $(call archive_rule,$(layer))))

# The only program that needs Lua. It links few libraries, so that it starts quickly.
$(BUILD)/user/xdp-icp-lua/main.o: CPPFLAGS += $(shell pkg-config --cflags lua5.4)
$(BUILD)/xdp-icp-lua: LDLIBS = $(shell pkg-config --libs lua5.4 jansson)
$(BUILD)/icpblast $(BUILD)/tests/order_test $(FIDELITY): LDLIBS += -lm
$(BUILD)/icpctl: LDLIBS += $(shell pkg-config --libs ncurses)

define program_rule
$(BUILD)/$(1): $(call program_objects,$(1)) $(ARCHIVES)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) $(call program_objects,$(1)) $(LINKED) $$(LDLIBS) -o $$@
endef
$(foreach program,$(PROGRAMS),$(eval $(call program_rule,$(program))))

PLUGIN_FLAGS = -Iinclude $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC -shared

$(BUILD)/plugins/%.so: scripts/plugins/%.c | $(BUILD)/plugins/
	$(call say,PLUGIN,$@)
	$(Q)$(CC) $(PLUGIN_FLAGS) $(LDFLAGS) $< -o $@

# --- the tests

$(BUILD)/tests/plugins/%.so: tests/plugins/%.c | $(BUILD)/tests/plugins/
	$(call say,PLUGIN,$@)
	$(Q)$(CC) $(PLUGIN_FLAGS) $< -o $@

# The header must compile as C++ too.
$(BUILD)/tests/plugins/%_cxx.so: tests/plugins/%.c include/xdp_icp_plugin.h | $(BUILD)/tests/plugins/
	$(call say,PLUGIN,$@)
	$(Q)$(CLANG) -x c++ -Iinclude -Wall -Wextra $(if $(CI),-Werror) -fPIC -shared $< -o $@

$(BUILD)/tests/policy_plugin_test: | $(PLUGINS) $(TEST_PLUGINS)

# Code that tests share. A tool that does not use its assertions needs no cmocka.
SUPPORT := $(BUILD)/tests/support.a

$(BUILD)/tests/support/%.o: tests/support/%.c $(SKELETON) | $(BUILD)/tests/support/
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -c $< -o $@

$(SUPPORT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Some hundred programs are linked: by the quicker linker, if it is there.
$(BUILD)/tests/%: ALL_LDFLAGS += $(if $(shell command -v ld.gold),-fuse-ld=gold)

$(UNIT_TESTS): $(BUILD)/tests/%: tests/unit/%.c $(SUPPORT) $(ARCHIVES) | $(BUILD)/tests/
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(SUPPORT) $(LINKED) -lcmocka \
		$(LDLIBS) -o $@

$(TEST_TOOLS): $(BUILD)/tests/%: tests/tools/%.c $(SUPPORT) $(ARCHIVES) | $(BUILD)/tests/
	$(call say,TOOL,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(SUPPORT) $(LINKED) $(LDLIBS) -o $@

$(HOSTILE): $(wildcard tests/soak/*.[ch]) $(SUPPORT) | $(BUILD)/tests/
	$(call say,TOOL,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(filter-out -MMD -MP,$(ALL_CFLAGS)) $(ALL_LDFLAGS) \
		$(filter %.c %.a,$^) -o $@

# The fidelity test replaces the daemon's environment (seams.h): these calls, and the program's
# clock.
FIDELITY_SEAMS := getrandom syscall open clock_gettime dlopen dlsym dlclose \
		  helper_pool_new helper_pool_ask helper_pool_free helper_run
FIDELITY_BPF := $(BUILD)/fidelity/xdp_icp.bpf.o
FIDELITY_SKELETON := $(BUILD)/fidelity/xdp_icp.skel.h

$(FIDELITY_BPF): bpf/xdp_icp.bpf.c tests/fidelity/clock.bpf.h $(wildcard bpf/*.h include/*.h) | $(BUILD)/fidelity/
	$(call say,BPF,$@)
	$(Q)$(BPF_CC) -include tests/fidelity/clock.bpf.h -c $< -o $@

# support/program.c once more, for that program.
$(FIDELITY): $(wildcard tests/fidelity/*.[ch]) tests/support/program.c $(SUPPORT) $(ARCHIVES) $(FIDELITY_SKELETON) | $(BUILD)/tests/
	$(call say,TEST,$@)
	$(Q)$(CC) -I$(BUILD)/fidelity $(CPPFLAGS) -Itests $(filter-out -MMD -MP,$(ALL_CFLAGS)) \
		$(ALL_LDFLAGS) $(FIDELITY_SEAMS:%=-Wl,--wrap=%) $(filter %.c,$^) $(SUPPORT) $(LINKED) \
		-lcmocka $(LDLIBS) -o $@

# A fuzz target is two programs: one that searches, one that replays the corpus as a test.
$(FUZZERS): $(BUILD)/fuzz/%: tests/fuzz/%.c $(LAYER_SOURCES) $(SKELETON) | $(BUILD)/fuzz/
	$(call say,FUZZER,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined \
		$< $(LAYER_SOURCES) $(LDLIBS) -o $@

$(FUZZ_REPLAYS): $(BUILD)/tests/%: tests/fuzz/%.c tests/fuzz/replay.c $(ARCHIVES) | $(BUILD)/tests/
	$(call say,REPLAY,$@)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -MMD -MP,$(ALL_CFLAGS)) $(ALL_LDFLAGS) $(filter %.c,$^) \
		$(LINKED) $(LDLIBS) -o $@

# --- the benchmarks

$(BENCH_BPF): $(BUILD)/bench/%.bpf.o: tests/bench/%.bpf.c $(wildcard include/*.h) | $(BUILD)/bench/
	$(call say,BPF,$@)
	$(Q)$(BPF_CC) -c $< -o $@

$(BUILD)/bench/recvmmsg_loop: tests/bench/recvmmsg_loop.c | $(BUILD)/bench/
	$(call say,TOOL,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< -o $@

# --- the manual pages; tables of the program, such as the counters, are filled in

SCDOC := $(shell command -v scdoc 2>/dev/null)

.PHONY: manuals
manuals: $(MANUALS)

$(BUILD)/man/tables: scripts/man/tables.c $(ARCHIVES) | $(BUILD)/man/
	$(call say,TOOL,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(LINKED) $(LDLIBS) -o $@

ifneq ($(SCDOC),)
$(MANUALS): $(BUILD)/man/%: scripts/man/%.scd $(BUILD)/man/tables $(BUILD)/manuals.settings
	$(call say,MAN,$@)
	$(Q)$(call filled_in,$<) | $(BUILD)/man/tables >$@.scd && $(SCDOC) <$@.scd >$@.new && mv $@.new $@ && rm $@.scd
else
$(MANUALS):
	@echo "  no scdoc: $(notdir $@) is not built (Debian package scdoc)"
endif

%/:
	$(Q)mkdir -p $@

.PRECIOUS: %/

-include $(wildcard $(BUILD)/user/*/*.d $(BUILD)/user/*/*/*.d $(BUILD)/plugins/*.d $(BUILD)/man/*.d $(BUILD)/bench/*.d \
	$(BUILD)/tests/*.d $(BUILD)/tests/support/*.d $(BUILD)/tests/plugins/*.d)
