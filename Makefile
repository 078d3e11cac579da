# Set-up, tests, packages and installation of videod. `make` alone lists the targets.
PREFIX     = /usr
SYSCONFDIR = /etc
UNITDIR    = $(PREFIX)/lib/systemd/system
MINUTES    = 30
SECONDS    = 60
BENCHES    = dispatch recovery makespan edges growth clips many
LIBDIR     = $(PREFIX)/lib/videod
DATADIR    = $(PREFIX)/share
BIN        = .venv/bin
PIP        = $(BIN)/python -m pip install -q --disable-pip-version-check
# most of the tests wait for something: three files at a time, whatever the number of cores
MANY       = -n 4 --dist loadfile
# nginx and logrotate lie in sbin, which the PATH of ordinary users lacks
TEST_PATH  = PATH="$$PATH:/usr/local/sbin:/usr/sbin:/sbin"
D          = $(DESTDIR)

.PHONY: help venv demo test test-all soak fuzz bench screens man dist install uninstall clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

venv: .venv/run ## make .venv with videod and the pinned libraries that it runs with

demo: .venv/run ## cut a made video, or URL= from START= to END=, through a private Redis; WEB=1: the pages
	@sh tools/packages run
	@bin/videod demo $${URL:+"--url=$$URL"} $${START:+"--start=$$START"} $${END:+"--end=$$END"} $(if $(filter-out 0 no,$(WEB)),--web)

test: .venv/dev ## check style and types and run the tests
	@sh tools/packages run test $(MORE)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(TEST_PATH) $(BIN)/python -m pytest -q $(MANY) $(ARGS)

test-all: ARGS += -m ""
test-all: MORE = all
test-all: test ## the tests with the long repeats

soak: .venv/dev ## break everything at random for MINUTES=30 and print an account
	@sh tools/packages run test
	$(TEST_PATH) $(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

fuzz: .venv/fuzz ## feed the readers what finds new branches of them, for SECONDS=60
	$(BIN)/python tools/fuzz.py --seconds $(SECONDS) $(ARGS)

bench: .venv/dev ## measure what jobs cost, beside other ways (BENCHES=clips for one of them)
	@sh tools/packages run test
	@for name in $(BENCHES); do echo "== $$name"; $(BIN)/python "bench/$$name.py" || exit 1; done

screens: .venv/dev ## make the pictures of docs/web.md anew, by a browser
	@sh tools/packages run test
	$(BIN)/python -m tests.screens

man: .venv/run ## write the settings into man/videod.ini.5 as they are declared
	$(BIN)/python tools/manual.py

# A stamp for each set of libraries: the second run has nothing to do.
.venv/run: requirements.txt requirements-build.txt setup.cfg pyproject.toml
	@sh tools/packages build
	@python=$$(PYTHON="$(PYTHON)" sh tools/python) && "$$python" -m venv .venv
	$(PIP) -r requirements-build.txt -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

# Its wheels are for x86_64 and few versions of Python, so `make test` does without.
.venv/fuzz: .venv/dev
	$(PIP) --only-binary :all: atheris==3.0.0
	@touch $@

dist: .venv/dev ## build wheel and sdist into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

# The package and its libraries lie in a folder of their own, which the system's Python cannot break, nor they it.
install: .venv/run ## lay videod out by the FHS: DESTDIR= PREFIX=/usr SYSCONFDIR=/etc
	rm -rf "$D$(LIBDIR)" build
	$(PIP) --no-deps --no-build-isolation --target "$D$(LIBDIR)" -r requirements.txt .
	rm -rf "$D$(LIBDIR)/bin" build
	PYTHON="$(PYTHON)" DESTDIR="$D" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" sh tools/layout

uninstall: ## take out what install laid, but for settings and data
	rm -rf "$D$(LIBDIR)" "$D$(DATADIR)/doc/videod" "$D$(DATADIR)/videod"
	rm -f "$D$(PREFIX)/bin/videod" "$D$(UNITDIR)/videod.service" "$D$(UNITDIR)/videod-watch@.service" \
		"$D$(UNITDIR)/videod-web.service" "$D$(SYSCONFDIR)/init.d/videod" \
		"$D$(PREFIX)/lib/sysusers.d/videod.conf" "$D$(PREFIX)/lib/tmpfiles.d/videod.conf" \
		"$D$(DATADIR)/man/man8/videod.8" "$D$(DATADIR)/man/man5/videod.ini.5" \
		"$D$(DATADIR)/bash-completion/completions/videod" "$D$(DATADIR)/zsh/site-functions/_videod"

clean: ## remove what was built, with .venv
	rm -rf .venv build dist demo videod.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
