# make          build/stap
# make demo     install what is missing, build, say hello, trace file opens
# make check    install what the tests need, build, run every test
# make vm-check run the tests on a 6.1 kernel in QEMU; make vm-shell: a prompt there
# make bench    what stap costs, against bpftrace and hand-written C
# make fuzz-front, fuzz-index, fuzz-record …: fuzz on; TIME=20: for that many seconds
# make fuzz    random scripts in each runtime, compared; TIME=60: for that many seconds
# make install  [DESTDIR=…] [PREFIX=/usr/local]
# make format   lay the sources out; make tidy: static analysis
# make SAN=1    into build-san, with AddressSanitizer and UndefinedBehaviorSanitizer

PREFIX  ?= /usr/local
B       ?= build
CC      ?= gcc
CLANG   ?= clang
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
# -iquote: <bpf/bpf.h> is libbpf's, "bpf/bpf.h" ours
STDFLAGS = -std=gnu11 -D_GNU_SOURCE -iquote src -iquote $(B)/gen
BPFFLAGS = -g -O2 -target bpf -mcpu=v2 -iquote src -I/usr/include/$(shell gcc -dumpmachine 2>/dev/null)
LIBS    := -lbpf -ldw -lelf -lz -lpthread
ifdef SAN
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
B       := build-san
endif
ifdef FUZZ
CC      := clang
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -Wno-everything
B       := build-fuzz
endif

DIRS := base lang regex elaborate probe target ir bpf user runtime session driver
SRC  := $(foreach d,$(DIRS),$(filter-out %.bpf.c %/rtgen.c %/mkindex.c,$(wildcard src/$(d)/*.c)))
OBJ  := $(SRC:src/%.c=$(B)/%.o)
TAPSET_FILES := $(wildcard tapset/*.stp tapset/*.stpm)
INDEX := $(if $(TAPSET_FILES),tapset/index)

all: $(B)/stap $(B)/mkindex $(INDEX)

$(B)/stap: $(OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(STDFLAGS) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/mkindex: $(B)/driver/mkindex.o $(B)/libstap.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
tapset/index: $(B)/mkindex $(TAPSET_FILES)
	$(B)/mkindex tapset >$@.tmp && mv $@.tmp $@

# The runtime: compiled for BPF, then made into arrays that bpf/link.c reads.
$(B)/gen/rt.bpf.o: src/runtime/rt.bpf.c $(wildcard src/runtime/*.bpf.c src/runtime/*.h) src/regex/table.h
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -Wall -Wextra -Wshadow -Werror -c -o $@ $<
$(B)/rtgen: src/runtime/rtgen.c src/runtime/rt_image.h src/runtime/rt_const.h
	@mkdir -p $(@D)
	$(CC) $(STDFLAGS) $(WARN) -O1 -o $@ $< -lelf -lbpf
$(B)/gen/rt_image.inc: $(B)/gen/rt.bpf.o $(B)/rtgen
	$(B)/rtgen $< > $@.tmp && mv $@.tmp $@
$(B)/bpf/link.o: $(B)/gen/rt_image.inc

# Everything but main(), for the tests to link what they need of it.
$(B)/libstap.a: $(filter-out $(B)/driver/main.o,$(OBJ))
	@rm -f $@
	$(AR) rcs $@ $^
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/*.c))
$(B)/tests/%: tests/unit/%.c $(B)/libstap.a
	@mkdir -p $(@D)
	$(CC) $(STDFLAGS) $(WARN) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(B)/libstap.a $(LIBS)
unit: $(UNIT)

# make fuzz-NAME: builds tests/fuzz/NAME_fuzz.c with sanitizers and runs it on, from and into build-fuzz/corpus/NAME.
$(B)/fuzz/%: tests/fuzz/%_fuzz.c tests/fuzz/fuzz.h $(B)/libstap.a
	@mkdir -p $(@D)
	$(CC) $(STDFLAGS) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(B)/libstap.a $(LIBS)
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzzers: deps-fuzz
	@$(MAKE) -s FUZZ=1 $(FUZZERS:%=build-fuzz/fuzz/%)
$(FUZZERS:%=fuzz-%): fuzz-%: deps-fuzz
	@$(MAKE) -s FUZZ=1 build-fuzz/fuzz/$*
	@tests/fuzz/fuzz $* $(TIME)

# Random scripts, run in each runtime and compared.
fuzz: all
	@tests/fuzz/differ --keep-going --seconds $(or $(TIME),1000000000)

# Compile one folder alone: make dir-lang
dir-%:
	$(MAKE) $(patsubst src/%.c,$(B)/%.o,$(filter-out %.bpf.c %/rtgen.c,$(wildcard src/$*/*.c)))

# ---- for users and developers ----

deps-%:
	@scripts/deps.sh $*

# The packages first: what follows runs the compilers.
demo: deps-build
	@$(MAKE) -s all
	@scripts/demo.sh

check: deps-build deps-test fuzzers
	@$(MAKE) -s all unit
	@$(MAKE) -s SAN=1 all unit
	@tests/all

# The peers that bench/run compares with.
$(B)/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(STDFLAGS) $(WARN) -O2 -o $@ $< -lbpf
$(B)/bench/peer.bpf.o: bench/peer.bpf.c
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -mcpu=v3 -Wall -Werror -c -o $@ $<
bench: deps-build deps-bench
	@$(MAKE) -s all $(B)/bench/measure $(B)/bench/load $(B)/bench/peer $(B)/bench/peer.bpf.o
	@bench/run

vm-check: deps-build deps-test fuzzers
	@$(MAKE) -s all unit
	@tests/vm/check
vm-shell: deps-test
	@tests/vm/shell

install: all
	scripts/install.sh $(B) $(DESTDIR)$(PREFIX)

C_FILES = $(shell git ls-files '*.c' '*.h')
format: deps-lint
	clang-format -i $(C_FILES)
tidy: deps-lint $(B)/gen/rt_image.inc
	printf '%s\n' $(filter-out %.bpf.c,$(wildcard src/*/*.c)) | xargs -P2 -n1 -I{} clang-tidy --quiet {} -- $(STDFLAGS) $(WARN)

clean:
	rm -rf build build-san build-fuzz tapset/index

-include $(OBJ:.o=.d) $(UNIT:=.d)
.PHONY: all unit fuzzers fuzz demo check vm-check vm-shell bench install format tidy clean
