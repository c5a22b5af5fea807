# The front door. Meson and ninja do the work; each variant has its own build folder below build/.
#   make                 the program, build/gcc/farol        make CC=clang      the same with clang
#   make test [M=flow]   unit tests of all modules or one    make SAN=1 test    with address and undefined
#   make check           format, layers, symbols, ...        make SAN=thread test
#   make fuzz M=flow T=30  each fuzzer of a module (or all)   make bench         benchmarks, printed
#   make format          clang-format over the tree          make man           manual pages in build/gcc/man

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
T ?= 30
M ?=

ifeq ($(SAN),)
SANITIZER := none
else ifeq ($(SAN),thread)
SANITIZER := thread
else
SANITIZER := address
endif

NAME := $(CC)$(if $(filter-out none,$(SANITIZER)),-$(SANITIZER))
B := build/$(NAME)
CXX := $(if $(filter clang%,$(CC)),clang++,g++)
C_FILES := $(shell git ls-files -co --exclude-standard '*.c' '*.h' '*.cc' 2>/dev/null)

.PHONY: all test check fuzz bench format man clean
all: $(B)/build.ninja
	@ninja -C $(B) --quiet

$(B)/build.ninja:
	@CC=$(CC) CXX=$(CXX) meson setup $(B) -Dsan=$(SANITIZER) >/dev/null

test: all
	@test/unit $(B) $(M)

build/fuzz/build.ninja:
	@CC=clang CXX=clang++ meson setup build/fuzz -Dfuzz=true >/dev/null

fuzz: build/fuzz/build.ninja
	@ninja -C build/fuzz --quiet
	@test/fuzz build/fuzz $(T) $(M)

check: all
	@tools/check $(B)

bench: all
	@bench/run $(B)

format:
	@clang-format -i $(C_FILES)

man: all
	@ninja -C $(B) --quiet man

clean:
	rm -rf build out
