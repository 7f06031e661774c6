FUZZTIME ?= 10s
REQUIRE  ?=
BENCH    ?= -out ../docs/benchmarks.md
BENCH_DPDK ?= -out ../docs/benchmarks-dpdk.md
BENCH_IOURING ?= -runs 7 -duration 1s -out ../docs/benchmarks-iouring.md
BENCH_XDP ?= -duration 2s -out ../docs/benchmarks-xdp.md
SHARE ?= -out ../docs/sharing.md
MUTATE ?=
BENCH_RELAY ?= -out ../docs/benchmarks-relay.md
AGAINST ?=
BENCH_GRPC ?= -runs 5 -duration 1s -out ../docs/benchmarks-grpc.md
BENCH_TLS ?= -runs 5 -duration 1s -out ../docs/benchmarks-tls.md
BENCH_CROWDED ?= -runs 20 -duration 1s -out ../docs/benchmarks-crowded.md

# cgo has to be told to take what libdpdk is compiled with: docs/dpdk.md.
export CGO_CFLAGS_ALLOW ?= -mrtm|-moutline-atomics

TESTALL = go -C internal/tools run ./testall -root "$(CURDIR)"

.PHONY: help test test-dpdk-versions dist test-dist lint vulncheck fuzz cover bench bench-dpdk bench-iouring bench-xdp bench-relay bench-crowded bench-grpc bench-tls congestion share instructions mutate

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

test: ## run every check this host can run; REQUIRE=mem,udp,iouring fails if one of these backends is skipped that this host can run
	@$(TESTALL) -require "$(REQUIRE)"

test-dpdk-versions: ## as root: try DPDK 22.11 to the newest of Debian's archives, on amd64 and arm64, and the documents' steps on fresh Debians
	@go -C internal/tools run ./dpdkversions -root "$(CURDIR)"

dist: ## build what is handed out, of the current commit, into dist: static programs, Debian packages, images, lists of parts, sums
	@go -C internal/tools run ./dist -root "$(CURDIR)"

test-dist: ## as root: do that twice, compare, and use the packages on fresh Debians
	@go -C internal/tools run ./dist -root "$(CURDIR)" -try

lint: ## run staticcheck and the architecture's rules
	@$(TESTALL) lint

vulncheck: ## look for known vulnerabilities in what is called of dependencies and Go; says so where the database is out of reach
	@go -C internal/tools run ./vulncheck -root "$(CURDIR)"

fuzz: ## run every fuzz target for FUZZTIME (10s) each, and say which failed
	@set -e; ran=0; failed=; \
	for module in . grpc bench; do \
		found=$$(go -C $$module test -list '^Fuzz' ./...); \
		for t in $$(echo "$$found" | awk '/^Fuzz/ { t[++n] = $$1 } /^ok/ { for (; n; n--) print $$2 ":" t[n] }'); do \
			echo "$${t%:*} $${t#*:}"; \
			go -C $$module test -run '^$$' -fuzz "^$${t#*:}\$$" -fuzzminimizetime 1s -fuzztime $(FUZZTIME) "$${t%:*}" || failed="$$failed $${t#*:}"; \
			ran=$$((ran + 1)); \
		done; \
	done; \
	echo "$$ran targets ran for $(FUZZTIME) each; failed:$${failed:- none}"; \
	test -z "$$failed"

cover: ## write cover.html: what all tests together cover of the protocol
	@go test -coverpkg=./wire,./cc,./core -coverprofile=cover.out ./...
	@go tool cover -html=cover.out -o cover.html
	@go tool cover -func=cover.out | tail -1

bench: ## measure beside raw datagrams and gRPC-Go, into docs/benchmarks.md; BENCH="-quick" tries it, "-help" lists more
	@go -C bench run . $(BENCH)

bench-dpdk: ## measure the DPDK backend over vhost and virtio-user, into docs/benchmarks-dpdk.md; BENCH_DPDK is like BENCH
	@go -C bench run . -dpdk $(BENCH_DPDK)

bench-iouring: ## measure the io_uring backend beside plain UDP, into docs/benchmarks-iouring.md; BENCH_IOURING is like BENCH
	@go -C bench run . -iouring $(BENCH_IOURING)

bench-xdp: ## measure the AF_XDP backend over a veth pair, as root, into docs/benchmarks-xdp.md; BENCH_XDP is like BENCH
	@go -C bench run . -xdp $(BENCH_XDP)

bench-relay: ## measure what passes through a relay, as root, into docs/benchmarks-relay.md; BENCH_RELAY is like BENCH
	@go -C bench run . -relay $(BENCH_RELAY)

bench-crowded: ## measure where the loops do not have a CPU each, into docs/benchmarks-crowded.md; BENCH_CROWDED is like BENCH
	@go -C bench run . -crowded $(BENCH_CROWDED)

bench-grpc: ## measure generated stubs over Peregrine, gRPC-Go and drpc, into docs/benchmarks-grpc.md; BENCH_GRPC is like BENCH
	@go -C bench run . -grpc $(BENCH_GRPC)

bench-tls: ## measure sealed connections beside plain ones, gRPC-Go with TLS and quic-go, into docs/benchmarks-tls.md; BENCH_TLS is like BENCH
	@go -C bench run . -tls $(BENCH_TLS)

share: ## measure beside the kernel's TCP at one bottleneck, as root, into docs/sharing.md; SHARE="-quick" tries it
	@go -C bench run ./share $(SHARE)

congestion: ## simulate congestion control, into docs/congestion.md: takes minutes
	@go run ./cmd/peregrine sim all --document docs/congestion.md

instructions: ## count the instructions of a small RPC with valgrind, and AGAINST=revision those of another one
	@go -C internal/tools run ./instructions -root "$(CURDIR)" -against "$(AGAINST)"

mutate: ## change the code operator by operator and count what no test notices: takes hours; MUTATE="-budget 10m wire cc" is less
	@go -C internal/tools run ./mutate -root "$(CURDIR)" $(MUTATE)
