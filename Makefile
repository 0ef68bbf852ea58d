# Two commands for users: make demo, make test. Everything is built in one target directory with one profile,
# so that RocksDB is compiled once per machine.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/pumice/target
PREFIX ?= /usr/local
CARGO = cargo

.PHONY: demo test bench install wheel header tools
.DEFAULT_GOAL := test

tools:
	@sh tools/install

demo: tools
	$(CARGO) run --release --example demo

test: tools
	sh tools/test

bench: tools
	sh tools/bench

header: tools
	PUMICE_WRITE_HEADER=1 $(CARGO) test --release --test header

install: tools
	sh tools/install-c "$(PREFIX)"

wheel: tools
	sh tools/wheel
