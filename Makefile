# Everything anyone runs here. Needs make, Python 3.11 or newer, and PyPI the first time; sets up what it runs in.
#
# .venv holds the gateway as users install it (compiled where there is a C compiler), .venv-dev the source as it
# stands with the tools for working on it, .venv-compiled the compiled gateway with the tools for testing it.
#
#   make demo                     model servers and a gateway in front of them   (ARGS="--port 8081 --load")
#   make test                     all tests                                      (ARGS="-k pool")
#   make help                     the rest

PRODUCT := .venv
VENV := .venv-dev
BIN := $(VENV)/bin
COMPILED := .venv-compiled
CONFIG ?= config/gateway.yaml
BENCHES ?= proxy_cost stream_cost memory
ARGS ?=

# The first Python that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo run top test compiled check format docs bench clean

help: ## what can be made
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r what does; do \
		printf '  %-14s%s\n' "$$what" "$$does"; done

demo: $(PRODUCT)/.installed ## model servers on this machine and a gateway in front of them; ARGS="--load" sends requests
	@$(PRODUCT)/bin/gateway demo $(ARGS)

run: $(PRODUCT)/.installed ## a gateway with CONFIG=config/gateway.yaml
	@$(PRODUCT)/bin/gateway run -c $(CONFIG)

top: $(PRODUCT)/.installed ## a running gateway, live in this terminal; ARGS="--admin http://10.0.0.1:9901"
	@$(PRODUCT)/bin/gateway top $(ARGS)

test: $(VENV)/.developing ## all tests; ARGS="-k pool" for some
	@$(BIN)/python -m pytest $(ARGS)

compiled: $(COMPILED)/.installed ## the tests with sockets and of cache and tokens, on the gateway as it is installed: compiled (needs a C compiler)
	@cd $(COMPILED)/tree && ../bin/python -m pytest tests/integration tests/conformance tests/unit/cache tests/unit/tokens $(ARGS)

check: $(VENV)/.developing ## format, lint, types, who imports whom, generated files in step
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m gateway.settings.manual | diff -u docs/configuration.md - \
		|| { echo 'docs/configuration.md is out of step with the settings: make docs' >&2; exit 1; }
	@$(BIN)/python -m gateway.settings.schema_file | diff -u config/gateway.schema.json - \
		|| { echo 'config/gateway.schema.json is out of step with the settings: make docs' >&2; exit 1; }
	@rm -rf $(VENV)/boards && $(BIN)/python -m config.grafana.generate $(VENV)/boards
	@diff -ur config/grafana/dashboards $(VENV)/boards \
		|| { echo 'config/grafana/dashboards is out of step with config/grafana/generate: make docs' >&2; exit 1; }
	@$(BIN)/python -m gateway.telemetry.zabbix.template | diff -u config/zabbix/gateway.yaml - \
		|| { echo 'config/zabbix/gateway.yaml is out of step with the series: make docs' >&2; exit 1; }

format: $(VENV)/.developing ## put the code into the house's form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Each into a file of its own first: a failure must not leave an empty manual behind.
docs: $(VENV)/.developing ## write what is generated: the manual, the schema, Grafana's boards, Zabbix' template
	@$(BIN)/python -m gateway.settings.manual > $(VENV)/manual && cp $(VENV)/manual docs/configuration.md
	@$(BIN)/python -m gateway.settings.schema_file > $(VENV)/schema && cp $(VENV)/schema config/gateway.schema.json
	@$(BIN)/python -m config.grafana.generate config/grafana/dashboards
	@$(BIN)/python -m gateway.telemetry.zabbix.template > $(VENV)/zabbix && cp $(VENV)/zabbix config/zabbix/gateway.yaml

bench: $(COMPILED)/.installed ## what the gateway costs beside nginx and HAProxy; 11 minutes (BENCHES=cache_hit: hits; 4)
	@cd $(COMPILED)/tree && for what in $(BENCHES); do ../bin/python -m benchmarks.$$what $(ARGS) || exit; done

clean: ## remove the environments and caches
	rm -rf $(PRODUCT) $(VENV) $(COMPILED) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made anew when there is none that works, and its packages when pyproject.toml is newer.

$(PRODUCT)/.installed: pyproject.toml setup.py $(shell find gateway -name '*.py') $(PRODUCT)/bin/python
	@echo 'Installing the gateway into $(PRODUCT), a minute and a half where it can be compiled …'
	@rm -rf build
	@$(PRODUCT)/bin/python -m pip install --quiet '.[top]'
	@touch $@

$(VENV)/.developing: pyproject.toml $(BIN)/python
	@echo 'Installing the gateway and the tools for its development into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# The gateway as users install it. What runs there stands in a folder without gateway/, or the source would be run.
$(COMPILED)/.installed: pyproject.toml setup.py $(shell find gateway -name '*.py') $(COMPILED)/bin/python
	@echo 'Compiling the gateway into $(COMPILED) …'
	@rm -rf build
	@GATEWAY_COMPILE=on $(COMPILED)/bin/python -m pip install --quiet '.[dev]'
	@mkdir -p $(COMPILED)/tree
	@for part in benchmarks config docs pyproject.toml tests; do ln -sfn ../../$$part $(COMPILED)/tree/$$part; done
	@touch $@

%/bin/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed and none was found. On Debian or Ubuntu:' \
		'apt install python3 python3-venv; or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) is not Python 3.11 or newer' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'The venv module of $(PYTHON) is missing.' \
		'On Debian or Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $*
