# caplake: "make demo" and "make test" need Go, gcc and make, and nothing else.
# (gcc: DuckDB, in caplake-query and its test, and the race detector. caplake itself
# is pure Go.)

GO         ?= go
OUT        ?= out/demo
CORPUS     ?= $(CAPLAKE_CORPUS)
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Binaries do not depend on where and from which commit they were built.
export GOFLAGS := $(GOFLAGS) -buildvcs=false
BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w"
# DuckDB's library is linked with C++'s, of which a machine with gcc and without
# g++ has only the runtime, under a name that ld does not look for.
CXXLIB := $(if $(shell command -v g++),,$(shell gcc -print-file-name=libstdc++.so.6 2>/dev/null))
ifneq ($(CXXLIB),)
export CGO_LDFLAGS := -L$(CURDIR)/bin/lib $(CGO_LDFLAGS)
$(shell mkdir -p bin/lib && ln -sf $(CXXLIB) bin/lib/libstdc++.so)
endif
# duckdb_arrow: hand Arrow record batches to DuckDB, for datasets of Arrow files.
DUCK  = cd cmd/caplake-query && CGO_ENABLED=1 $(GO)
DUCKTAGS = -tags duckdb_arrow

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-12s %s\n' "$$t" "$$d"; done

.PHONY: build
build: ## bin/caplake, a static binary
	$(BUILD) -o bin/caplake ./cmd/caplake

.PHONY: query
query: build ## bin/caplake-query, the program with DuckDB that "caplake query" runs
	$(DUCK) build -trimpath -ldflags "-s -w" $(DUCKTAGS) -o $(CURDIR)/bin/caplake-query .

# The man page and the completions are what the program prints.
PREFIX  ?= /usr/local
DESTDIR ?=
share    = $(DESTDIR)$(PREFIX)/share
.PHONY: install uninstall
install: build ## install the program, its man page and completions (PREFIX=/usr/local, DESTDIR=)
	$(MAKE) -s install-files PROGRAM=bin/caplake
.PHONY: install-files
install-files:
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/caplake
	install -d $(share)/man/man1 $(share)/bash-completion/completions $(share)/zsh/site-functions $(share)/fish/vendor_completions.d
	$(PROGRAM) man > $(share)/man/man1/caplake.1
	$(PROGRAM) completion bash > $(share)/bash-completion/completions/caplake
	$(PROGRAM) completion zsh > $(share)/zsh/site-functions/_caplake
	$(PROGRAM) completion fish > $(share)/fish/vendor_completions.d/caplake.fish
	install -D -m 644 LICENSE $(share)/doc/caplake/copyright
uninstall: ## remove what make install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/caplake $(share)/man/man1/caplake.1 $(share)/bash-completion/completions/caplake \
		$(share)/zsh/site-functions/_caplake $(share)/fish/vendor_completions.d/caplake.fish $(share)/doc/caplake/copyright

# A release is built from the commit, not from what lies around, and says which: so here the build
# does depend on the commit, and on nothing else. That is checked by building it again, in another
# folder and with an empty cache.
RELEASE   = out/release
REPRODUCE = git clone -q . "$$d/caplake" && cd "$$d/caplake" && CGO_ENABLED=0 $(GO) build -buildvcs=true -trimpath -ldflags "-s -w" -o caplake ./cmd/caplake
.PHONY: release packages
release: ## a static binary of HEAD in out/release, built twice to see that it comes out the same
	@rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	d=$$(mktemp -d) && ( $(REPRODUCE) ) && mv "$$d/caplake/caplake" $(RELEASE)/caplake && rm -rf "$$d"
	d=$$(mktemp -d) && ( export GOCACHE="$$d/cache"; $(REPRODUCE) ) && cmp "$$d/caplake/caplake" $(RELEASE)/caplake; code=$$?; rm -rf "$$d"; exit $$code
	@if ldd $(RELEASE)/caplake >/dev/null 2>&1; then echo "$(RELEASE)/caplake is not static"; exit 1; fi
	cd $(RELEASE) && sha256sum caplake > SHA256SUMS && ./caplake version && cat SHA256SUMS

NFPM = github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
packages: ## .deb and .rpm of the release
	@[ -x $(RELEASE)/caplake ] || $(MAKE) release
	@rm -rf out/stage out/packages && mkdir -p out/packages
	$(MAKE) -s install-files PROGRAM=$(RELEASE)/caplake DESTDIR=out/stage PREFIX=/usr
	set -e; export ARCH=$$($(GO) env GOARCH) VERSION=$$($(RELEASE)/caplake version | sed -n '1s/^caplake \([^ ]*\).*/\1/p') SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct); \
	for kind in deb rpm; do $(GO) run $(NFPM) package -f .nfpm.yaml -p $$kind -t out/packages/; done
	@ls -l out/packages

.PHONY: demo
demo: query ## convert testdata's captures to out/demo and query the tables with DuckDB
	@rm -rf $(OUT) && mkdir -p $(dir $(OUT))
	./bin/caplake convert --headers --fingerprints testdata/captures -o $(OUT)
	@./bin/caplake query --table --echo -f cmd/caplake-query/questions.sql $(OUT)

# -count=1: the program that the DuckDB test builds is no input that go test knows of,
# so it would call a result of an earlier program this one's.
.PHONY: test
test: ## all tests, those with DuckDB included
	$(GO) test -timeout 20m ./...
	$(DUCK) test -count=1 $(DUCKTAGS) ./...

.PHONY: check
check: format vet staticcheck generated tidy static race ## format, vet, staticcheck, generated files, go.mod, static binary, race detector

.PHONY: format vet staticcheck generated tidy static race
format:
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted by gofmt:"; echo "$$bad"; exit 1; fi
vet:
	$(GO) vet ./...
	$(DUCK) vet $(DUCKTAGS) ./...
staticcheck:
	$(GO) run $(STATICCHECK) ./...
	$(DUCK) run $(STATICCHECK) $(DUCKTAGS) ./...
generated: # what go generate writes is what is there
	@cp schema/SCHEMA.md schema/SCHEMA.md.before; \
	$(GO) generate ./... && cmp schema/SCHEMA.md.before schema/SCHEMA.md; code=$$?; \
	rm -f schema/SCHEMA.md.before; \
	[ $$code = 0 ] || echo "schema/SCHEMA.md was out of date; it is written anew now"; exit $$code
tidy:
	$(GO) mod tidy -diff
	$(DUCK) mod tidy -diff
static: build
	@if ldd bin/caplake >/dev/null 2>&1; then echo "bin/caplake is not static:"; ldd bin/caplake; exit 1; fi
race: # without the corpus, which takes long enough without the detector
	CAPLAKE_CORPUS= CGO_ENABLED=1 $(GO) test -timeout 20m -race ./...

# Python: an environment of its own, from exact versions.
PYTHON ?= python3
LAB     = out/notebooks
$(LAB)/venv/ready: notebooks/requirements.txt
	$(PYTHON) -m venv $(LAB)/venv
	$(LAB)/venv/bin/pip install -q --disable-pip-version-check -r notebooks/requirements.txt
	touch $@

.PHONY: lab notebooks
lab: build # the captures and the dataset that the notebooks look at
	$(GO) run ./cmd/internal/office -o $(LAB)
	./bin/caplake convert --quiet --overwrite $(LAB)/office -o $(LAB)/lake
notebooks: lab $(LAB)/venv/ready ## run the notebooks, on captures made for them (needs python3 with venv)
	$(LAB)/venv/bin/python notebooks/run.py

# The captures in testdata and ten minutes of the notebooks' office, with every column that is there by option.
READERS = out/readers
ALLCOLUMNS = --headers --fingerprints --splt 8 --first-bytes 16 --payload-entropy
$(READERS)/venv/ready: notebooks/requirements-readers.txt
	$(PYTHON) -m venv $(READERS)/venv
	$(READERS)/venv/bin/pip install -q --disable-pip-version-check -r notebooks/requirements-readers.txt
	touch $@
.PHONY: readers
readers: build $(READERS)/venv/ready ## read one dataset by DuckDB, Polars, pandas, pyarrow and Spark (needs python3 with venv, and Java 17)
	$(GO) run ./cmd/internal/office -o $(LAB)
	./bin/caplake convert --quiet --overwrite $(ALLCOLUMNS) testdata/captures $(LAB)/office/0910.pcap -o $(READERS)/parquet
	./bin/caplake convert --quiet --overwrite $(ALLCOLUMNS) --format arrow testdata/captures $(LAB)/office/0910.pcap -o $(READERS)/arrow
	./bin/caplake convert --quiet --overwrite $(ALLCOLUMNS) --partition-by hour testdata/captures $(LAB)/office/0910.pcap -o $(READERS)/hours
	$(READERS)/venv/bin/python notebooks/readers.py bin/caplake $(READERS)/parquet $(READERS)/arrow --partitioned $(READERS)/hours --readme README.md

.PHONY: conformance
conformance: ## compare with what others say of the captures of a corpus: make conformance CORPUS=DIR
	@[ -n "$(CORPUS)" ] || { echo "which corpus? make conformance CORPUS=DIR"; exit 2; }
	$(GO) run ./cmd/conformance -corpus "$(CORPUS)"

.PHONY: bench
bench: ## speed and memory on generated captures (make bench BENCHFLAGS="-size 0.1")
	$(GO) run ./cmd/bench $(BENCHFLAGS)

.PHONY: generate
generate: ## write generated files anew
	$(GO) generate ./...

.PHONY: clean
clean: ## remove what was made
	rm -rf bin out
