# What one does with lifeline. The building is Meson's, the testing tools/test's; this only names it.

PREFIX = /usr/local
ARGS =
SEEDS = 20000

.PHONY: all run test check fuzz format sim bench truth install clean help
.NOTPARALLEL:

RELEASE = --optimization=2 -Ddebug=false -Db_lto=true -Dtests=disabled
SOURCES = $(shell find src tests bench -name '*.[ch]')

# `all` builds with what is there; `run` and `test` install what is missing first.
all: build-release/build.ninja
	@ninja -C build-release --quiet src/cli/lifeline
	@ln -sf src/cli/lifeline build-release/lifeline

build-release/build.ninja:
	@mkdir -p build-release
	@echo "Setting up a release build in build-release/ (what was found is in build-release/setup.log)"
	@meson setup $(if $(wildcard build-release/meson-private/coredata.dat),--reconfigure) $(RELEASE) build-release \
		>build-release/setup.log || { cat build-release/setup.log; exit 1; }

run:
	@tools/setup run
	@$(MAKE) --no-print-directory all
	@echo "To talk to it, from another terminal: nc 127.0.0.1 6666"
	@exec build-release/lifeline serve $(ARGS)

test:
	@tools/setup test
	@tools/test

check:
	@tools/test form unit sim=500

fuzz:
	@tools/test fuzz=600

sim:
	@tools/test sim=$(SEEDS)

format:
	@clang-format -i $(SOURCES)

bench:
	@tools/setup bench
	@$(MAKE) --no-print-directory all
	@bench/run $(ARGS)

truth:
	@tools/setup bench
	@$(MAKE) --no-print-directory all
	@tools/truth $(ARGS)

install: all
	@meson configure build-release --prefix=$(PREFIX)
	@ninja -C build-release --quiet src/cli/lifeline
	@meson install -C build-release --no-rebuild --strip

clean:
	rm -rf build-release build-test

help:
	@echo "make run      install what is missing, build, serve on port 6666 (ARGS='--listen 7000 -v')"
	@echo "make test     install what is missing, pass every test; make check: the quick ones"
	@echo "make sim      the simulator over any number of worlds (SEEDS=1000000)"
	@echo "make fuzz     ten minutes of fuzzing"
	@echo "make bench    speed, side by side with others; make truth: verdicts, likewise"
	@echo "make format   lays out the sources; make install (PREFIX=/usr/local), make clean"
