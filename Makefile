# Everything a contributor runs. `make test` is what CI runs.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS = -X main.version=$(VERSION)

.PHONY: build test lint unit bench memory failures soak cycles clean

build: ## the molt binary, in bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/molt ./cmd/molt

test: lint unit ## linters, then every test with the race detector

lint:
	@unformatted=$$(gofmt -l cmd configs integration isolation pyproc queue worker); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on: $$unformatted"; exit 1; fi
	$(GO) mod verify
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

unit:
	$(GO) test -race ./...

bench: build ## molt against the bare limit, on the embedded server
	bin/molt bench

memory: ## 100,000 jobs through one worker, whose memory may grow by a tenth
	$(GO) test -run '^$$' -bench '^BenchmarkMemory$$' -benchtime 100000x -timeout 30m ./integration

failures: ## the tests of failures with all their jobs and outages, and what each counted
	$(GO) test -run '^TestFailure' -v -timeout 60m ./integration -failures 1

cycles: ## two hundred starts and stops of a worker with 16 interpreters
	$(GO) test -run '^TestStartsAndStops$$' -v -timeout 60m ./integration -cycles 200

# How long `make soak` keeps jobs under way.
SOAK ?= 10m

soak: ## jobs of every kind under all budgets at once: nothing is lost, nothing grows
	$(GO) test -run '^TestSoak$$' -v -timeout 0 ./integration -soak $(SOAK)

clean:
	rm -rf bin
