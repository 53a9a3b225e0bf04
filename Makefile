# Darsena: build, try, test. `make help` lists the targets.

IMAGE ?=
HELLO_ARCHIVE := target/hello.oci.tar
# A target of its own keeps the static build apart from every other one.
STATIC := --target x86_64-unknown-linux-gnu

.PHONY: help build hello demo test lint unit e2e soak bench clean

help:
	@echo 'make demo                 a running application with a URL; Ctrl-C ends it and leaves nothing behind'
	@echo 'make demo IMAGE=REF       the same with any image that a registry serves'
	@echo 'make test                 format, lints, unit, integration and end-to-end tests (root for the last)'
	@echo 'make soak                 the long tests: thousands of kills and redeployments, about three quarters of an hour'
	@echo 'make build                the release binary, target/release/darsena'
	@echo 'make bench                sizes, memory and times, printed with the commands that made them'

build:
	scripts/prerequisites build
	cargo build --release --locked -p darsena

# The sample application, linked statically and packed as an OCI image.
hello:
	cargo rustc --release --locked -p hello $(STATIC) -- -C target-feature=+crt-static
	cargo run --release --locked -p testkit --bin pack-image -- target/x86_64-unknown-linux-gnu/release/hello $(HELLO_ARCHIVE)

demo: build hello
	@scripts/prerequisites run
	@IMAGE='$(IMAGE)' exec scripts/demo

test:
	scripts/prerequisites build run test
	$(MAKE) --no-print-directory lint unit e2e

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit:
	cargo test --workspace --locked --exclude darsena

e2e:
	@[ "$$(id -u)" -eq 0 ] || { echo 'make e2e makes containers, which needs root: sudo -E make e2e' >&2; exit 1; }
	cargo rustc --locked -p hello $(STATIC) -- -C target-feature=+crt-static
	cargo test --locked -p darsena

# The long tests, one after the other, so that each has the machine for itself. SOAK_ROUNDS sets how often each
# does what it does, instead of its own number.
soak:
	scripts/prerequisites build run test
	cargo rustc --locked -p hello $(STATIC) -- -C target-feature=+crt-static
	cargo test --locked -p image --test it -- --ignored --nocapture --test-threads=1
	cargo test --locked -p engine -- soak_ --ignored --nocapture --test-threads=1
	cargo test --locked -p ingress -- --ignored --nocapture --test-threads=1
	cargo test --locked -p darsena --test e2e -- --ignored --nocapture --test-threads=1

bench: build hello
	@scripts/prerequisites run
	@scripts/bench

clean:
	cargo clean
